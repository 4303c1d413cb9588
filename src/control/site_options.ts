/** What the control plane of a site is made of. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { EventScan } from "../model/event_scan.ts";
import type { LinkMode } from "../model/links.ts";
import type { MemberReport } from "../model/member.ts";
import type { Replay, ReplayNumbers } from "../model/replay.ts";
import type { AlarmLimits } from "../model/schema/alarms.ts";
import type { Peer, SiteFile } from "../model/schema/site.ts";
import type { ShadowNumbers } from "../model/shadow.ts";
import type { SigningKey } from "../nats/keys.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { TenantKeys } from "../nats/tenant_keys.ts";
import type { Alarms } from "./alarms/alarms.ts";
import type { Watched } from "./alarms/site_facts.ts";
import type { Control } from "./api.ts";
import type { ViewRunner } from "./apply.ts";
import type { Audit } from "./audit/audit.ts";
import type { Erasures, ErasuresOptions } from "./erasure/erasures.ts";
import type { GhostInterest } from "./ghost_interest.ts";
import type { ViewReport } from "./link_api.ts";
import type { LinkTrust } from "./link_trust.ts";
import type { ReplayWork } from "./replay_api.ts";
import type { SourceOfReplay } from "./replay_source.ts";
import type { Rollbacks } from "./rollback/rollbacks.ts";
import type { RotationHost, SiteRotations } from "./rotation/site_rotations.ts";
import type { ExportPlan } from "./routes.ts";
import type { SiteReport } from "./site_api.ts";
import type { SiteServer } from "./site_server.ts";
import type { KvStateStore } from "./state_store.ts";

/** The parts that a site's control plane joins, each opened before it. */
export interface SiteControlOptions {
  readonly site: string;
  /** Whether the server was there before this sidecar led: another one may have told it anything a moment ago. */
  readonly adopted: boolean;
  readonly key: SigningKey;
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  /** JetStream of a tenant's account, called from MESH. */
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  readonly system: SystemApi;
  readonly server: SiteServer;
  readonly state: KvStateStore;
  /** What the site file declares beside the policies. */
  readonly guards?: Pick<SiteFile, "forbid" | "sensitive">;
  /** How links are spoken, and why one failed last. */
  readonly links?: {
    readonly mode: LinkMode;
    readonly failure: (peer: Peer) => string | null;
    readonly up: (peer: string) => void;
    /** Whether the server has stopped to dial a peer. */
    readonly stoppedDialling: (peer: Peer) => boolean;
    /** It was told to dial it anew. */
    readonly dialledAnew: (peer: string) => void;
  };
  readonly views: ViewRunner;
  readonly viewReports: () => ReadonlyMap<string, ViewReport>;
  readonly versionOf: (plan: ExportPlan) => string;
  readonly deadLetters: Control["deadLetters"];
  readonly about: () => Promise<
    Omit<SiteReport, "site" | "key" | "revision" | "converged" | "alarms" | "store" | "memory">
  >;
  readonly renderMetrics: (control: MeasuredControl) => Promise<string>;
  readonly scan: EventScan;
  readonly tenantKeys: TenantKeys;
  readonly audit: Audit;
  /** The sidecars of the site; default: none are told of. */
  readonly members?: () => readonly MemberReport[];
  readonly alarms: Alarms;
  /** What is watched elsewhere: the certificates and the disk of the store. */
  readonly watched?: () => Watched;
  /** From when on something is an alarm. */
  readonly alarmLimits: AlarmLimits;
  readonly trust: LinkTrust;
  readonly rollbacks: Rollbacks;
  /** Who listens to what goes to a peer, and is not there. */
  readonly ghosts: GhostInterest;
  /** Opens the erasures, which ask the peers, and change streams in their turn. */
  readonly erasures: (parts: Pick<ErasuresOptions, "ask" | "streamTurns">) => Promise<Erasures>;
  /** Opens the replays, whose events the policies of now decide. */
  readonly replays: (parts: ReplayParts) => Promise<ReplayWork>;
  /** Opens the rotations of certificates, CA and key, which tell the peers. */
  readonly rotations: (host: RotationHost) => Promise<SiteRotations>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** What metrics are made of. */
export interface MeasuredControl extends Control {
  /** What the running shadows have counted. */
  shadowNumbers(): readonly ShadowNumbers[];
  /** What is counted of the replays that have not ended, or within the last hour. */
  replayNumbers(): readonly ReplayNumbers[];
}

/** What replays need of the control plane. */
export interface ReplayParts {
  readonly source: (replay: Replay) => Promise<SourceOfReplay>;
  readonly changed: () => void;
}
