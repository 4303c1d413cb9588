/** What the sidecar offers to its HTTP API: the state, the plan, and reports of what runs. */
import type { Alarm, AlarmCount } from "../model/alarms.ts";
import type { DesiredState } from "../model/desired.ts";
import type { ErasureReport, ErasureRequest } from "../model/erasure.ts";
import type { LintReport } from "../model/finding.ts";
import type { KeyInfo, KeyKind } from "../model/keys.ts";
import type { MemberReport } from "../model/member.ts";
import type { RedriveReport } from "../model/redrive.ts";
import type { RotationApi } from "../model/rotation.ts";
import type { Role } from "../model/schema/user.ts";
import type { AuditApi } from "./audit/audit_api.ts";
import type { DiffReport, DiffRequest, ShadowReport } from "./compare_api.ts";
import type {
  InvitationReport,
  Invited,
  InviteRequest,
  JoinPreview,
  JoinReport,
  JoinRequest,
  RevokeReport,
} from "./join_api.ts";
import type { ReplayApi } from "./replay_api.ts";
import type { ResourceRef, ResourceType, ResourceValue, ResourceValues, Versioned } from "./resource.ts";

/** The desired state, one document at a time. Every write validates the whole state that would result. */
export interface StateStore {
  /** The whole state. `revision` grows with every change of any document. */
  desired(): { readonly state: DesiredState; readonly revision: number };
  get<R extends ResourceRef>(ref: R): Versioned<ResourceValue<R>> | null;
  /** All documents of a type, of one tenant where the type has tenants; sorted by name. */
  list<T extends ResourceType>(
    type: T,
    tenant?: string,
  ): readonly {
    readonly ref: Extract<ResourceRef, { type: T }>;
    readonly document: Versioned<ResourceValues[T]>;
  }[];
  /**
   * Writes a document.
   * @param expected revision that must be current; `null`: must not exist yet; `undefined`: whatever is there.
   * @returns the new revision.
   * @throws {LeafmeshError} `precondition_failed`, `policy_invalid` or `config_invalid` with all problems, `not_found` for a missing tenant.
   */
  put<R extends ResourceRef>(
    ref: R,
    value: ResourceValue<R>,
    expected: number | null | undefined,
  ): Promise<number>;
  /** Checks a value as {@link put} does, and writes nothing. @throws as `put` */
  check<R extends ResourceRef>(ref: R, value: ResourceValue<R>): void;
  /** Removes a document (a tenant with its exports and imports). @throws as `put`. */
  remove(ref: ResourceRef, expected: number | undefined): Promise<void>;
}

/** One step of a plan, printable and idempotent. */
export interface StepReport {
  /** For example `create-stream`. */
  readonly type: string;
  /** What it is done to, for example `MESH/out_acme` . */
  readonly target: string;
  /** One line that says what and why. */
  readonly text: string;
}

export interface PlanReport {
  readonly revision: number;
  readonly steps: readonly StepReport[];
  /** What a person must decide. */
  readonly notes: readonly string[];
  /** How each export runs, and why: `native`, or `view` with the rules that need one. */
  readonly routes: readonly {
    readonly tenant: string;
    readonly policy: string;
    readonly kind: "native" | "view";
    readonly why: readonly string[];
  }[];
}

export interface ApplyReport {
  readonly revision: number;
  readonly applied: readonly StepReport[];
  /** `waiting`: nothing is wrong, the step is tried again when a peer has answered. */
  readonly failed: readonly (StepReport & { readonly error: string; readonly waiting: boolean })[];
  /** Nothing is left to do. */
  readonly converged: boolean;
}

/** One tenant's flow to or from a peer. */
export interface RouteReport {
  readonly direction: "out" | "in";
  readonly tenant: string;
  /** Where the events were published. */
  readonly origin: string;
  readonly policy: string | null;
  readonly kind: "native" | "view" | "mirror";
  readonly stream: string;
  /** Patterns that cross, in the tenant's own subjects. */
  readonly subjects: readonly string[];
  readonly active: boolean;
  /** Events that wait to cross (out: not yet delivered; in: as the server reports it). */
  readonly lag: number;
  /** Events that crossed so far: out: acknowledged position; in: last position stored. */
  readonly position: number;
  /** When an event last crossed, RFC 3339. */
  readonly lastEvent: string | null;
  /** Events that retention dropped before they crossed; an upper bound. 0 is the promise. */
  readonly lost: number;
  /** Why nothing flows; `null` when it does. */
  readonly why: string | null;
  /** What the view's worker did since it started; `null` for other kinds. */
  readonly view: ViewReport | null;
}

export interface ViewReport {
  readonly state: string;
  readonly version: string;
  readonly position: number;
  readonly forwarded: number;
  readonly redacted: number;
  readonly denied: number;
  readonly quarantined: number;
  /** Quarantined events by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  /** Dead letters that were decided again and forwarded. */
  readonly redriven: number;
  /** Events dropped because a limit was reached. */
  readonly limited: number;
  /** How long the view has waited for its limits, milliseconds. */
  readonly deferredMs: number;
  /** The limit that the view waits for now; `null` when it does not. */
  readonly deferral: string | null;
  /** Events that were read and not passed on yet. */
  readonly waiting: number;
  /** Events that retention dropped before the worker could take them; an upper bound. */
  readonly missed: number;
  readonly lastError: string | null;
}

export interface LinkReport {
  readonly peer: string;
  readonly direction: "dial" | "accept";
  readonly address: string | null;
  readonly connected: boolean;
  /** The peer proved its key: `yes`, `no` (refused, see `why`), `unknown` (not asked yet). */
  readonly verified: "yes" | "no" | "unknown";
  readonly rttMs: number | null;
  /** When the peer's key was revoked, RFC 3339; `null` when it was not. */
  readonly revoked: string | null;
  readonly why: string | null;
  readonly routes: readonly RouteReport[];
}

export interface SiteReport {
  readonly site: string;
  /** Public site key, to give to peers. */
  readonly key: string;
  readonly version: string;
  readonly runtime: string;
  readonly revision: number;
  readonly server: {
    readonly mode: "embedded" | "external";
    readonly version: string;
    readonly id: string;
    readonly pid: number | null;
    readonly listen: string;
    readonly leaf: string;
    /** Where clients of MQTT and WebSocket connect; `null`: nowhere. */
    readonly mqtt: string | null;
    readonly websocket: string | null;
    readonly sync: string;
  };
  readonly startedAt: string;
  readonly converged: boolean;
  /** How many alarms are raised. */
  readonly alarms: AlarmCount;
  /** `null`: the disk is not this machine's, or was not looked at yet. */
  readonly store: StoreReport | null;
  readonly memory: MemoryReport;
  readonly links: LinksReport;
}

/** The disk under the store, and what tenants may take of it. */
export interface StoreReport {
  /** `low`: about to be full. `stopped`: a write has failed, and the server stores nothing, or nothing in some streams. */
  readonly state: "ok" | "low" | "stopped";
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** What the streams take. */
  readonly usedBytes: number;
  /** What all tenants together may take at most. */
  readonly budgetBytes: number;
}

/** The sidecar's own memory. */
export interface MemoryReport {
  /** What the process takes (RSS). */
  readonly usedBytes: number;
  /** Above it an alarm is raised. */
  readonly limitBytes: number;
}

/** A certificate of this site, or one that it trusts. */
export interface CertificateReport {
  /** `ca`: of this site's CA. `link`: what it shows on its links. `peer_ca`: of a peer's CA. */
  readonly kind: "ca" | "link" | "peer_ca";
  /** `null`: this site's own. */
  readonly peer: string | null;
  /** SHA-256 of its public key, hex. */
  readonly fingerprint: string;
  /** RFC 3339. */
  readonly notAfter: string;
  /** What must be done, soon; `null`: nothing. */
  readonly problem: string | null;
}

/** How this site speaks its links, and whom it trusts. */
export interface LinksReport {
  readonly mode: "tls" | "plain";
  /** What peers dial, `host:port`. */
  readonly advertise: string;
  /** This site's CA, PEM, to give to peers; while it rotates both. */
  readonly ca: string;
  readonly certificates: readonly CertificateReport[];
}

/** An event to explain: nothing is published. */
export interface ExplainRequest {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly data: Uint8Array;
  /** Default: this site. */
  readonly origin?: string;
}

export interface ExplainPeer {
  readonly peer: string;
  readonly policy: string | null;
  readonly kind: "native" | "view" | null;
  readonly outcome: "forward" | "drop" | "quarantine";
  readonly rule: string | null;
  readonly reason: string;
  /** Rule by rule, what was found until one decided. */
  readonly steps: readonly { readonly rule: string; readonly outcome: string }[];
  /** What the peer would get; `null` unless forwarded. Payload bytes as they would cross. */
  readonly result: {
    readonly subject: string;
    readonly headers: Readonly<Record<string, readonly string[]>>;
    readonly data: Uint8Array;
    readonly redactions: number;
  } | null;
  /** Whether the peer accepts the subject: `yes`, `no`, `unknown` (it has not said yet). */
  readonly accepted: "yes" | "no" | "unknown";
}

export interface ExplainReport {
  readonly tenant: string;
  readonly subject: string;
  readonly peers: readonly ExplainPeer[];
  /** What is shown otherwise than peers would get it. */
  readonly notes: readonly string[];
}

export interface DeadLetter {
  /** Sequence in the tenant's dead-letter stream. */
  readonly sequence: number;
  readonly time: string;
  readonly subject: string;
  readonly origin: string;
  readonly policy: string;
  readonly policyVersion: string;
  readonly rule: string;
  readonly reason: string;
  readonly error: string;
  /** Sequence of the event in the stream that the policy read. */
  readonly position: number;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly sizeBytes: number;
}

/** A dead letter, and its event's payload where it was asked for. */
export interface DeadLetterDetail extends DeadLetter {
  /** Only a part of the event is kept: it was too large for a dead letter. */
  readonly truncated: boolean;
  /** `null` unless asked for. */
  readonly payload: Uint8Array | null;
}

/** Which dead letters; all that is given must hold. */
export interface DeadLetterFilter {
  readonly reason?: string;
  readonly rule?: string;
  readonly policy?: string;
  /** Pattern in the tenant's own subjects. */
  readonly subject?: string;
  /** Put aside then or later, milliseconds since 1970. */
  readonly sinceMs?: number;
}

export interface RedriveRequest {
  /** One dead letter; else those of the filter. */
  readonly sequence?: number;
  readonly filter: DeadLetterFilter;
  readonly dryRun: boolean;
  /** Dead letters a second. */
  readonly rate: number;
}

/** The dead letters of the tenants. */
export interface DeadLetters {
  /** From `after` (exclusive) on, oldest first. */
  list(
    tenant: string,
    page: DeadLetterFilter & { readonly after: number; readonly limit: number },
  ): Promise<{ readonly letters: readonly DeadLetter[]; readonly next: number | null }>;
  /** @throws {LeafmeshError} `not_found` */
  show(tenant: string, sequence: number, options: { readonly payload: boolean }): Promise<DeadLetterDetail>;
  /** Removes one. @throws {LeafmeshError} `not_found` */
  remove(tenant: string, sequence: number): Promise<void>;
  /** Removes those of a filter. @returns how many are or would be removed */
  drop(tenant: string, filter: DeadLetterFilter, options: { readonly dryRun: boolean }): Promise<number>;
  /** Starts a redrive. @throws {LeafmeshError} `conflict` while another one of the tenant runs, `not_found` */
  redrive(tenant: string, request: RedriveRequest): Promise<RedriveReport>;
  /** The last redrives, newest first. */
  redrives(tenant: string): readonly RedriveReport[];
  /** How far a redrive is: when it has ended, or after `waitMs`. @throws {LeafmeshError} `not_found` */
  redriveOf(tenant: string, id: string, options: { readonly waitMs: number }): Promise<RedriveReport>;
  /** Ends a redrive after what it has in hand. @throws {LeafmeshError} `not_found` */
  cancelRedrive(tenant: string, id: string): RedriveReport;
}

/** Who becomes a peer by invitation, and who is one no more. */
export interface MembershipApi {
  /** Makes an invitation of a site. @throws {LeafmeshError} `conflict`, `request_invalid`, `too_large` */
  invite(request: InviteRequest): Promise<Invited>;
  /** Invitations that are open or were lately, the newest first. */
  invitations(): readonly InvitationReport[];
  /** Closes an invitation at once. @throws {LeafmeshError} `not_found`, `conflict` */
  revokeInvitation(id: string): Promise<void>;
  /** What joining would trust; changes nothing. @throws {LeafmeshError} `invitation_…`, `peer_revoked`, `conflict` */
  preview(request: JoinRequest): JoinPreview;
  /** Joins the site that an invitation is of. @throws as {@link preview}, and `peer_unreachable`, `peer_refused` */
  join(request: JoinRequest, signal?: AbortSignal): Promise<JoinReport>;
  /** Cuts the link with a peer at once and remembers its key. @throws {LeafmeshError} `not_found` */
  revoke(peer: string, by?: string): Promise<RevokeReport>;
  /** Takes back that keys were revoked, and makes a change that needs it; where that fails they stay revoked. */
  forgive<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>;
}

/** A user of a tenant, as it stands now. */
export interface UserReport {
  readonly name: string;
  readonly role: Role;
  readonly kind: "nkey" | "password";
  /** The public key, or the name to log in with. */
  readonly login: string;
  /** `null`: as the role has them. */
  readonly subjects: readonly string[] | null;
  /** Its durable consumer on the log; `null` without one. */
  readonly consumer: string | null;
  readonly expires: string | null;
  readonly expired: boolean;
  /** Connections that are open now. */
  readonly connections: number;
}

/** Erasures of events of a tenant, here and at the peers that have them. */
export interface ErasureApi {
  list(tenant: string): readonly ErasureReport[];
  /** @throws {LeafmeshError} `not_found` */
  get(tenant: string, id: string): ErasureReport;
  /** @throws {LeafmeshError} `not_found` when there is no such event, `too_large` */
  start(tenant: string, request: ErasureRequest): Promise<ErasureReport>;
}

/** Everything the HTTP routes may call. */
export interface Control {
  readonly state: StateStore;
  site(): Promise<SiteReport>;
  plan(): Promise<PlanReport>;
  /** Runs the plan now and waits until nothing differs or a step fails. */
  apply(): Promise<ApplyReport>;
  /**
   * Lints the text of a site file, or without one the state that is in force, whose findings have no lines: all of it, or
   * what one tenant has there, as if no other were.
   */
  lint(candidate?: { readonly name: string; readonly text: string }, tenant?: string): LintReport;
  links(): Promise<readonly LinkReport[]>;
  /** The sidecars of the site. */
  members(): readonly MemberReport[];
  /** The alarms that are raised. */
  readonly alarms: { list(): readonly Alarm[] };
  explain(tenant: string, request: ExplainRequest): Promise<ExplainReport>;
  /** What other rules would have done with stored events. Nothing is published or changed. */
  diff(tenant: string, name: string, request: DiffRequest): Promise<DiffReport>;
  /** What an export's shadow has counted. @param samples show what leaves of samples @throws `not_found` without a shadow */
  shadow(tenant: string, name: string, samples: boolean): Promise<ShadowReport>;
  /** The users of a tenant. @throws {LeafmeshError} `not_found` */
  users(tenant: string): Promise<readonly UserReport[]>;
  /** A tenant's keys for pseudonyms and encrypted values, of each kind the newest first. */
  keys(tenant: string): Promise<readonly KeyInfo[]>;
  /** Makes a new key that takes the place of the active one; policies that use it change with it. */
  rotateKey(tenant: string, kind: KeyKind): Promise<KeyInfo>;
  readonly membership: MembershipApi;
  /** Rotations of this site's certificate, CA and key. */
  readonly rotations: RotationApi;
  readonly deadLetters: DeadLetters;
  /** The audit trail. */
  readonly audit: AuditApi;
  readonly replays: ReplayApi;
  readonly erasures: ErasureApi;
  /** Whether the site does its work: server up, state applied. */
  ready(): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }>;
  /** Prometheus text. */
  metrics(): Promise<string>;
}
