/** The control plane of one site: joins state, peers, server and reconciler, and answers what the API asks. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { countAlarms } from "../model/alarms.ts";
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { EventScan } from "../model/event_scan.ts";
import { type LintReport, lintReport } from "../model/finding.ts";
import type { KeyInfo, KeyKind, PolicyKeys } from "../model/keys.ts";
import type { LinkMode } from "../model/links.ts";
import type { MemberReport } from "../model/member.ts";
import { siteApiPrefix, siteApiReset, tenantAccount } from "../model/names.ts";
import type { Replay } from "../model/replay.ts";
import type { RotationApi } from "../model/rotation.ts";
import type { AlarmLimits } from "../model/schema/alarms.ts";
import type { ExportPolicy } from "../model/schema/policy.ts";
import type { Peer, SiteFile } from "../model/schema/site.ts";
import type { ShadowNumbers } from "../model/shadow.ts";
import { consumerResetSubject, resetConsumer } from "../nats/consumer_reset.ts";
import type { SigningKey } from "../nats/keys.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { TenantKeys } from "../nats/tenant_keys.ts";
import { type CompileOptions, usedKeys } from "../policy/compile.ts";
import { Workspace } from "../policy/redact/workspace.ts";
import type { PeerKnowledge, Peers } from "./agreement.ts";
import { AlarmWatch } from "./alarms/alarm_watch.ts";
import type { Alarms } from "./alarms/alarms.ts";
import { ClusterSight } from "./alarms/cluster.ts";
import type { SiteFacts } from "./alarms/dangers.ts";
import { oldestFrom } from "./alarms/oldest.ts";
import { memoryReport, readFacts, storeReport, type Watched } from "./alarms/site_facts.ts";
import type { ApplyReport, Control, PlanReport, StepReport, UserReport } from "./api.ts";
import type { ViewRunner } from "./apply.ts";
import type { Audit } from "./audit/audit.ts";
import { joinAudit, refusedRequest, refusedReset } from "./audit/refusals.ts";
import { candidacy } from "./candidate.ts";
import { clusterNames } from "./cluster_names.ts";
import type { DiffReport, DiffRequest, ShadowReport } from "./compare_api.ts";
import { Differ } from "./diff.ts";
import type { Erasures, ErasuresOptions } from "./erasure/erasures.ts";
import { explainForPeers, keyNotes } from "./explain.ts";
import type { ExplainReport, ExplainRequest } from "./explain_api.ts";
import { importPosition } from "./import_position.ts";
import type { LinkReport, ViewReport } from "./link_api.ts";
import { reportLinks, revokedLink } from "./link_report.ts";
import type { LinkTrust } from "./link_trust.ts";
import { LinkedLeaders, type ServerLinks } from "./linked_leaders.ts";
import { type LintFile, lintSite, lintText } from "./lint.ts";
import { LogGate } from "./log_gate.ts";
import { Membership } from "./membership.ts";
import { moveLeader } from "./move_leader.ts";
import { type Observed, type ObservedStreams, observeLog, observeMesh, observeReaders } from "./observe.ts";
import { offersTo } from "./offers.ts";
import { Peering } from "./peering.ts";
import type { Plan } from "./plan.ts";
import { Readiness } from "./readiness.ts";
import { type Planned, Reconciler } from "./reconcile.ts";
import { type ReplayApi, Replays, type ReplayWork } from "./replay_api.ts";
import { ReplaySources, type SourceOfReplay } from "./replay_source.ts";
import { holdRoutes } from "./rollback/held.ts";
import { RewindAsk, rewindSource } from "./rollback/rewind.ts";
import type { Rollbacks } from "./rollback/rollbacks.ts";
import { notRotating } from "./rotation/not_rotating.ts";
import type { RotationHost, SiteRotations } from "./rotation/site_rotations.ts";
import { RouteGate } from "./route_gate.ts";
import { acceptedOf, type ExportPlan, planExports, planInRoutes } from "./routes.ts";
import { Shadows } from "./shadows.ts";
import { SilentSources } from "./silent_sources.ts";
import type { SiteReport } from "./site_api.ts";
import type { SiteServer } from "./site_server.ts";
import { detachSources, whenThere } from "./source_repair.ts";
import type { KvStateStore } from "./state_store.ts";
import { describeStep } from "./step.ts";
import { StuckConsumers } from "./stuck_consumers.ts";
import { UserExpiry } from "./user_expiry.ts";
import { reportUsers } from "./user_report.ts";

/** How long a peer's server may take to have a consumer go on elsewhere, and what it is when it does not. */
const RESET_AT_PEER = { timeoutMs: 2000, code: "peer_unreachable" } as const;
const RESET_HERE = { timeoutMs: 2000, code: "apply_failed" } as const;

/** Another sidecar waits for a pass here, and then for its server. */
const REWIND_BEGINS_MS = 1000;
const REWIND_AT_PEER_MS = 4000;

/** A dry run looks through streams before it is answered. */
const ERASE_AT_PEER_MS = 10_000;

export interface SiteControlOptions {
  readonly site: string;
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
  };
  readonly views: ViewRunner;
  readonly viewReports: () => ReadonlyMap<string, ViewReport>;
  readonly versionOf: (plan: ExportPlan) => string;
  readonly deadLetters: Control["deadLetters"];
  readonly about: () => Promise<
    Omit<SiteReport, "site" | "key" | "revision" | "converged" | "alarms" | "store" | "memory">
  >;
  readonly renderMetrics: (control: SiteControl) => Promise<string>;
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
  /** Opens the erasures, which ask the peers. */
  readonly erasures: (ask: ErasuresOptions["ask"]) => Promise<Erasures>;
  /** Opens the replays, whose events the policies of now decide. */
  readonly replays: (parts: ReplayParts) => Promise<ReplayWork>;
  /** Opens the rotations of certificates, CA and key, which tell the peers. */
  readonly rotations: (host: RotationHost) => Promise<SiteRotations>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** What replays need of the control plane. */
export interface ReplayParts {
  readonly source: (replay: Replay) => Promise<SourceOfReplay>;
  readonly changed: () => void;
}

export class SiteControl implements Control, AsyncDisposable {
  readonly state: KvStateStore;
  readonly #options: SiteControlOptions;
  readonly #peering: Peering;
  readonly #reconciler: Reconciler;
  readonly #readiness = new Readiness();
  readonly #silent = new SilentSources(() => performance.now());
  readonly #stuck = new StuckConsumers(() => performance.now());
  readonly #leaders = new LinkedLeaders(() => performance.now());
  /** The servers of a cluster as the last pass saw them; `null`: the site is one server, or none has looked. */
  #servers: ServerLinks | null = null;
  readonly #clusterSight = new ClusterSight();
  readonly #differ: Differ;
  readonly #shadows: Shadows;
  /** Of the policies that explanations, diffs and shadows compile: they decide one event after the other. */
  readonly #workspace = new Workspace();
  readonly #membership: Membership;
  readonly #expiry: UserExpiry;
  readonly #alarmWatch: AlarmWatch;
  readonly #logGate: LogGate;
  readonly #routeGate: RouteGate;
  #erasures: Erasures | null = null;
  readonly #replays: Replays;
  #rotations: SiteRotations | null = null;
  /** What each peer was offered last, as text. */
  readonly #offered = new Map<string, string>();

  constructor(options: SiteControlOptions) {
    const { site, nc, key, mesh, views, log } = options;
    this.#options = options;
    this.state = options.state;
    this.#replays = new Replays(mesh, () => this.#desired());
    this.#peering = new Peering(nc, key, {
      site,
      peers: () => this.#desired().peers,
      accepted: (peer) => acceptedOf(this.#desired(), peer),
      offers: (peer) => (this.#reconciler.last === null ? null : offersTo(peer, this.#reconciler.last)),
      position: async (peer, tenant, stream) => {
        const imports = planInRoutes(this.#desired(), this.#peering.knowledge());
        return await importPosition(mesh, await this.#observeMesh(), imports, { peer, tenant, stream });
      },
      changed: () => this.#reconciler.trigger(),
      verbs: {
        erase: async (peer, body) => {
          if (this.#erasures === null) throw new LeafmeshError("peer_unreachable", "the site is starting");
          return await this.#erasures.asked(peer, body);
        },
        rewind: (peer, body) => this.#rewind(peer, body),
        rotate: async (peer, body) => {
          if (this.#rotations === null) throw new LeafmeshError("peer_unreachable", "the site is starting");
          return await this.#rotations.heard(peer, body);
        },
      },
      refused: refusedRequest(options.audit, site),
    });
    this.#reconciler = new Reconciler({
      state: options.state,
      observe: (desired) => this.#observe(desired),
      peers: () => this.#knowledge(),
      configChanges: () => options.server.changes(this.#desired()),
      silent: (observed) => this.#silent.find(observed, (api) => this.#reachable(api)),
      stuck: (observed) => this.#stuck.find(observed.mesh),
      misplaced: ({ mesh: streams }) =>
        this.#servers === null ? [] : this.#leaders.find(streams, this.#desired().peers, this.#servers),
      strangers: () => options.server.strangers(this.#desired()),
      versionOf: options.versionOf,
      replays: () => this.#replays.wanted(),
      log,
      applied: (step) => this.#tellStep(step),
      context: {
        site,
        mesh,
        tenant: options.tenant,
        configure: () => this.#configure(),
        kickLeaf: async (peer) => {
          await options.system.kickLeaf(peer);
        },
        views,
        peerPosition: (peer, tenant, stream) => this.#peering.position(peer, tenant, stream),
        resetSource: (peer, stream, sequence) =>
          resetConsumer(nc, siteApiReset(peer, stream, site), sequence, RESET_AT_PEER),
        resetHere: (stream, consumer, sequence) => this.#resetHere(stream, consumer, sequence),
        standsStill: (stuck, stored) => this.#stuck.stands(stuck, stored),
        log,
        rewindPeer: (peer, ask) => this.#peering.ask(peer, "rewind", ask, REWIND_AT_PEER_MS),
        peerAhead: (found) => options.rollbacks.peerAhead(found),
        firstSequence: (stream) => options.rollbacks.firstSequence(stream),
        setbacks: options.rollbacks.setbacks,
        holds: options.rollbacks.holds,
        moveLeader: (moved) => moveLeader(nc, moved),
        poke: (peer) => this.#peering.poke(peer),
      },
      onPlan: (planned) => this.#tellPeers(planned),
    });
    this.#membership = new Membership({
      ...options,
      audit: joinAudit(options.audit),
      configure: () => this.#configure(),
      cut: (peer) => options.server.cut(peer),
      requireSettled: () => this.#rotations?.requireSettled(),
      verified: (peer) => this.#isVerified(peer),
    });
    this.#expiry = new UserExpiry(
      () => new Date(),
      () => void this.#revoke(),
    );
    this.#alarmWatch = new AlarmWatch({
      alarms: options.alarms,
      facts: () => this.#facts(),
      patience: options.alarmLimits,
      horizon: { withinMs: options.alarmLimits.retentionWithinMs, share: options.alarmLimits.retentionShare },
      oldest: (stream, from, filters) => oldestFrom(mesh, stream, from, filters),
      log,
      clock: () => performance.now(),
    });
    this.#routeGate = new RouteGate({ site, nc, mesh, log });
    this.#logGate = new LogGate({
      nc,
      mesh,
      tenant: options.tenant,
      refused: refusedReset(options.audit),
    });
    this.#differ = new Differ(mesh, options.scan);
    this.#shadows = new Shadows({
      mesh,
      scan: options.scan,
      desired: () => this.#desired(),
      wanted: () =>
        this.state.list("shadow").map(({ ref, document }) => ({ ...ref, rules: document.value.rules })),
      optionsOf: async (tenant, policy) =>
        this.#compileOptions(tenant, policy, await options.tenantKeys.load(tenant)),
      log,
    });
  }

  /** Something has changed: makes a pass soon, and lets the peers know. */
  changed(): void {
    void this.#revoke();
    this.#expiry.sync(this.#desired());
    this.#reconciler.trigger();
    this.#shadows.sync();
    for (const peer of this.#desired().peers) this.#peering.poke(peer.name);
  }

  /** Goes on with erasures that are not done. Before, peers that ask for one are told to wait. */
  async openErasures(): Promise<void> {
    this.#erasures = await this.#options.erasures((peer, body) =>
      this.#peering.ask(peer, "erase", body, ERASE_AT_PEER_MS),
    );
  }

  /** Goes on with replays that have not ended. Before the first pass, which makes and removes their streams. */
  async openReplays(): Promise<void> {
    const sources = new ReplaySources(
      () => this.#desired(),
      async (tenant, policy) =>
        this.#compileOptions(tenant, policy, await this.#options.tenantKeys.load(tenant)),
    );
    const source = (replay: Replay) => sources.of(replay);
    this.#replays.open(await this.#options.replays({ source, changed: () => this.#reconciler.trigger() }));
  }

  get replays(): ReplayApi {
    return this.#replays;
  }

  /** Goes on with rotations that are not done. Before, peers that tell of one are told to wait. */
  async openRotations(): Promise<void> {
    this.#rotations = await this.#options.rotations({
      peers: () => this.#desired().peers,
      ask: async (peer, body, withinMs) => await this.#peering.ask(peer, "rotate", body, withinMs),
      configure: () => this.#options.server.configure(this.#desired()),
      joining: () => this.#membership.joining,
    });
  }

  get rotations(): RotationApi {
    if (this.#rotations === null) throw new LeafmeshError("internal", "The rotations are not open");
    return this.#isClustered ? notRotating(this.#rotations.own) : this.#rotations.own;
  }

  get erasures(): Erasures {
    if (this.#erasures === null) throw new LeafmeshError("internal", "The erasures are not open");
    return this.#erasures;
  }

  async site(): Promise<SiteReport> {
    const { revision } = this.state.desired();
    return {
      site: this.#options.site,
      key: this.#options.key.publicKey,
      revision,
      converged: this.#reconciler.converged,
      alarms: countAlarms(this.alarms.list()),
      store: storeReport(this.#desired(), this.#reconciler.last?.observed ?? null, this.#watched.store),
      memory: memoryReport(this.#options.alarmLimits.memoryBytes),
      ...(await this.#options.about()),
    };
  }

  async plan(): Promise<PlanReport> {
    const { plan, revision } = await this.#reconciler.plan();
    return {
      revision,
      steps: plan.steps.map(describeStep),
      routes: plan.exports.map((one) => ({
        tenant: one.tenant.name,
        policy: one.policy.name,
        kind: one.route.type,
        why: one.route.type === "view" ? one.route.why : [],
      })),
      notes: plan.notes,
    };
  }

  async apply(): Promise<ApplyReport> {
    const report = await this.#reconciler.apply();
    this.#shadows.sync();
    return report;
  }

  lint(candidate?: LintFile, tenant?: string): LintReport {
    if (candidate !== undefined) return lintText(candidate);
    const { site, guards = {} } = this.#options;
    const documents = this.state.documents();
    if (tenant === undefined) return lintSite({ site, ...documents, ...guards }, site);
    const tenants = documents.tenants.filter((one) => one.tenant === tenant);
    const { findings } = lintSite({ site, ...documents, tenants, ...guards }, site);
    const own = findings.filter(({ path }) => path.startsWith("tenants["));
    return lintReport([site], own);
  }

  async links(): Promise<readonly LinkReport[]> {
    const { plan } = this.#reconciler.last ?? (await this.#reconciler.plan());
    return await this.#links(plan, await this.#observeMesh());
  }

  async #links(plan: Plan, streams: ObservedStreams): Promise<readonly LinkReport[]> {
    const { peers, revoked = [] } = this.#desired();
    const leafs = await this.#options.system.leafs([...peers, ...revoked].map((peer) => peer.name));
    const { mode = "plain", failure = () => null, up } = this.#options.links ?? {};
    for (const leaf of leafs) if (leaf.type === "up") up?.(leaf.peer);
    const linked = reportLinks({
      mode,
      failure,
      plan,
      streams,
      peers,
      knowledge: this.#peering.knowledge(),
      leafs,
      why: (peer) => this.#peering.why(peer),
      views: this.#options.viewReports(),
    });
    const isUp = (peer: string) => leafs.some((leaf) => leaf.peer === peer && leaf.type === "up");
    return [...linked, ...revoked.map((peer) => revokedLink(peer, isUp(peer.name)))];
  }

  async explain(tenant: string, request: ExplainRequest): Promise<ExplainReport> {
    const state = this.#desired();
    this.#requireTenant(tenant);
    const exports = planExports(state).filter((plan) => plan.tenant.name === tenant);
    const { keys, missing } = await this.#options.tenantKeys.peek(tenant);
    return explainForPeers({
      site: state.site,
      tenant,
      exports,
      peers: state.peers.map((peer) => peer.name),
      knowledge: this.#peering.knowledge(),
      keys,
      notes: keyNotes(
        tenant,
        missing,
        exports.map(({ policy }) => policy),
      ),
      request,
      workspace: this.#workspace,
    });
  }

  async diff(tenant: string, name: string, request: DiffRequest): Promise<DiffReport> {
    this.state.check({ type: "shadow", tenant, name }, { rules: [...request.rules] });
    const { keys, missing } = await this.#options.tenantKeys.peek(tenant);
    const policies: ExportPolicy[] = [];
    const optionsOf = async (of: string, policy: ExportPolicy) => {
      policies.push(policy);
      return this.#compileOptions(of, policy, keys);
    };
    const sides = await candidacy(this.#desired(), tenant, name, request.rules, optionsOf);
    const report = await this.#differ.run(tenant, name, sides, request);
    return { ...report, notes: [...report.notes, ...keyNotes(tenant, missing, policies)] };
  }

  async shadow(tenant: string, name: string, samples: boolean): Promise<ShadowReport> {
    return this.#shadows.report(tenant, name, samples);
  }

  /** What the running shadows have counted. */
  shadowNumbers(): readonly ShadowNumbers[] {
    return this.#shadows.numbers();
  }

  async users(tenant: string): Promise<readonly UserReport[]> {
    return await reportUsers(this.#requireTenant(tenant), this.#options.system, new Date());
  }

  async keys(tenant: string): Promise<readonly KeyInfo[]> {
    this.#requireTenant(tenant);
    return await this.#options.tenantKeys.list(tenant);
  }

  async rotateKey(tenant: string, kind: KeyKind): Promise<KeyInfo> {
    this.#requireTenant(tenant);
    if (this.#isClustered) {
      throw new LeafmeshError(
        "conflict",
        `Each host of a site of several servers has keys of its own: write the same 32 random bytes to keys/${kind}_${tenant}.<number>.key of each, and restart the sidecars (docs/clusters.md)`,
      );
    }
    const made = await this.#options.tenantKeys.rotate(tenant, kind);
    this.#reconciler.trigger();
    this.#shadows.sync();
    return made;
  }

  /**
   * Restarts a server that could not write, and has what is sourced go on after what is stored.
   * @throws LeafmeshError `server_failed`
   */
  async restartServer(restart: () => Promise<void>): Promise<void> {
    const { site, mesh, tenant, server, log, rollbacks } = this.#options;
    const reset = (stream: string, consumer: string, sequence: number | null) =>
      this.#resetHere(stream, consumer, sequence);
    // A pass under way would put sources in again that are taken out meanwhile.
    await this.#reconciler.between(() =>
      server.restartQuiet(restart, async (state) => {
        await whenThere(() => holdRoutes(mesh, rollbacks.holds));
        await rollbacks.look(state);
        await detachSources({ site, mesh, tenant, reset, log }, state);
      }),
    );
    this.changed();
  }

  /**
   * Holds the store of a server that went on, or that somebody else runs, against what was noted of it. Where it is an older
   * copy, peers are asked before they get more.
   */
  async lookForRollback(): Promise<void> {
    const { mesh, rollbacks } = this.#options;
    if ((await rollbacks.look(this.#desired())) > 0) await holdRoutes(mesh, rollbacks.holds);
  }

  get membership(): Membership {
    return this.#membership;
  }

  get deadLetters(): Control["deadLetters"] {
    return this.#options.deadLetters;
  }

  get audit(): Audit {
    return this.#options.audit;
  }

  get alarms(): Alarms {
    return this.#options.alarms;
  }

  /** What alarms follow from. */
  async #facts(): Promise<SiteFacts> {
    const { last, failures } = this.#reconciler;
    return await readFacts({
      desired: this.#desired(),
      system: this.#options.system,
      last,
      failures,
      links: (plan, streams) => this.#links(plan, streams),
      watched: this.#watched,
      memoryLimitBytes: this.#options.alarmLimits.memoryBytes,
      cluster: this.#servers === null ? null : this.#clusterSight.look(this.#desired(), this.#servers),
    });
  }

  get #watched(): Watched {
    return this.#options.watched?.() ?? { certificates: [], store: null };
  }

  async ready(): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }> {
    const { system, viewReports } = this.#options;
    const health = await system.health().catch((error: Error) => ({ ok: false, error: error.message }));
    const reasons = await this.#readiness.reasons({
      server: health.ok ? null : health.error,
      applied: this.#reconciler.last !== null,
      failures: this.#reconciler.failures,
      views: new Map([...viewReports()].map(([key, { state }]) => [key, state])),
      converged: this.#reconciler.converged,
      unproved: () => this.#unproved(),
    });
    return { ready: reasons.length === 0, reasons };
  }

  /** Peers whose link stands, and that have not proved their keys. */
  async #unproved(): Promise<readonly string[]> {
    const leafs = await this.#options.system.leafs(this.#desired().peers.map(({ name }) => name));
    return leafs.flatMap((leaf) => (leaf.type === "up" && !this.#isVerified(leaf.peer) ? [leaf.peer] : []));
  }

  members(): readonly MemberReport[] {
    return this.#options.members?.() ?? [];
  }

  async metrics(): Promise<string> {
    return await this.#options.renderMetrics(this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rotations?.[Symbol.asyncDispose]();
    await this.#membership[Symbol.asyncDispose]();
    this.#expiry[Symbol.dispose]();
    await this.#alarmWatch[Symbol.asyncDispose]();
    await this.#erasures?.[Symbol.asyncDispose]();
    await this.#replays[Symbol.asyncDispose]();
    await this.#shadows[Symbol.asyncDispose]();
    this.#logGate[Symbol.dispose]();
    this.#routeGate[Symbol.dispose]();
    await this.#reconciler[Symbol.asyncDispose]();
    await this.#peering[Symbol.asyncDispose]();
  }

  /** What is known of the peers. Of one that is revoked: that it may have nothing. */
  #knowledge(): Peers {
    const revoked = this.#desired().revoked ?? [];
    const nothing = { verified: "no", accepted: null, offered: null } as const;
    return new Map([
      ...this.#peering.knowledge(),
      ...revoked.map(({ name }): [string, PeerKnowledge] => [name, nothing]),
    ]);
  }

  #isVerified(peer: string): boolean {
    return this.#peering.knowledge().get(peer)?.verified === "yes";
  }

  /** Users that are gone lose their connections now; where that fails, the next pass does it. */
  async #revoke(): Promise<void> {
    const { server, log } = this.#options;
    try {
      const gone = await server.revoke(this.#desired());
      for (const user of gone) log("info", `user ${user} is no longer let in; its connections are closed`);
    } catch (error) {
      log("error", `users that are gone may still be connected: ${errorText(error)}`);
    }
  }

  #desired(): DesiredState {
    return this.state.desired().state;
  }

  #compileOptions(tenant: string, policy: ExportPolicy, keys: PolicyKeys): CompileOptions {
    const schemas = this.#desired().tenants.find(({ name }) => name === tenant)?.schemas;
    return { tenant, policy, schemas, keys, workspace: this.#workspace };
  }

  #resetHere(stream: string, consumer: string, sequence: number | null): Promise<string> {
    return resetConsumer(this.#options.nc, consumerResetSubject(stream, consumer), sequence, RESET_HERE);
  }

  /** A peer whose store is an older copy has its source here go back. */
  async #rewind(peer: string, body: unknown): Promise<unknown> {
    const asked = RewindAsk.safeParse(body);
    if (!asked.success) throw new LeafmeshError("request_invalid", "the body is not what the verb takes");
    const { mesh, rollbacks } = this.#options;
    await this.#reconciler.betweenWithin(REWIND_BEGINS_MS, async () => {
      const imports = planInRoutes(this.#desired(), this.#peering.knowledge());
      await rewindSource({ mesh, note: rollbacks.rewound }, imports, peer, asked.data);
    });
    rollbacks.exporterBack(peer, asked.data);
    this.#reconciler.trigger();
    return {};
  }

  /** Whether the site behind an API prefix answers and has proved its key. */
  #reachable(api: string): boolean {
    const peer = this.#desired().peers.find(({ name }) => siteApiPrefix(name) === api)?.name;
    if (peer === undefined) return false;
    return this.#peering.knowledge().get(peer)?.verified === "yes" && this.#peering.why(peer) === null;
  }

  #requireTenant(name: string): DesiredTenant {
    const tenant = this.#desired().tenants.find((one) => one.name === name);
    if (tenant === undefined) throw new LeafmeshError("not_found", `There is no tenant ${name}`);
    return tenant;
  }

  async #configure(): Promise<void> {
    const { state, revision } = this.state.desired();
    await this.#options.server.configure(state, revision);
  }

  async #observeMesh(): Promise<ObservedStreams> {
    const { mesh, nc } = this.#options;
    if (!this.#isClustered) return await observeMesh(mesh);
    const peers = new Set(this.#desired().peers.map(({ name }) => name));
    return await observeMesh(mesh, clusterNames(nc, peers));
  }

  get #isClustered(): boolean {
    return (this.#desired().replicas ?? 1) > 1;
  }

  async #observe({ tenants }: DesiredState): Promise<Observed> {
    await this.#options.server.look();
    this.#servers = this.#isClustered ? await this.#options.system.serverLinks() : null;
    // Versions of policies count their keys. What keeps them from being read is told by the step that needs them.
    await Promise.all(
      tenants
        .filter(({ exports }) => exports.some((policy) => usedKeys(policy).length > 0))
        .map(({ name }) => this.#options.tenantKeys.load(name).catch(() => undefined)),
    );
    const logs = new Map<string, NonNullable<Awaited<ReturnType<typeof observeLog>>> | null>();
    const readers = new Map<string, Awaited<ReturnType<typeof observeReaders>>>();
    const accounts = new Set(await this.#options.system.accounts());
    await Promise.all(
      tenants.map(async ({ name }) => {
        if (!accounts.has(tenantAccount(name))) return;
        const info = await observeLog(await this.#options.tenant(name), name);
        if (info === undefined) return;
        logs.set(name, info);
        if (info === null || info.state.consumer_count === 0) return;
        readers.set(name, await observeReaders(await this.#options.tenant(name), name));
      }),
    );
    return { mesh: await this.#observeMesh(), logs, readers };
  }

  /** Tells the trail of steps that close, remove or open; not of those that only adjust. They are made whether or not it hears. */
  #tellStep({ type, target, text }: StepReport): void {
    if (!/^(?:delete|remove|kick|configure)/.test(type)) return;
    this.#options.audit
      .event(`reconcile.${type}`, target, { result: text })
      .catch((error: unknown) => this.#options.log("error", errorText(error)));
  }

  /** Pokes the peers whose offers have changed with this plan. */
  #tellPeers(planned: Planned): void {
    const { peers } = this.#desired();
    for (const name of this.#offered.keys())
      if (!peers.some((peer) => peer.name === name)) this.#offered.delete(name);
    for (const { name } of peers) {
      const text = JSON.stringify(offersTo(name, planned));
      if (this.#offered.get(name) === text) continue;
      this.#offered.set(name, text);
      this.#peering.poke(name);
    }
  }
}
