/** What the sidecar offers to its HTTP API: the state, the plan, and what the other `…_api.ts` say of each thing. */
import type { Alarm } from "../model/alarms.ts";
import type { DesiredState } from "../model/desired.ts";
import type { ErasureReport, ErasureRequest } from "../model/erasure.ts";
import type { LintReport } from "../model/finding.ts";
import type { KeyInfo, KeyKind } from "../model/keys.ts";
import type { MemberReport } from "../model/member.ts";
import type { RotationApi } from "../model/rotation.ts";
import type { Role } from "../model/schema/user.ts";
import type { AuditApi } from "./audit/audit_api.ts";
import type { DiffReport, DiffRequest, ShadowReport } from "./compare_api.ts";
import type { DeadLetters } from "./dead_letter_api.ts";
import type { ExplainReport, ExplainRequest } from "./explain_api.ts";
import type { MembershipApi } from "./join_api.ts";
import type { LinkReport } from "./link_api.ts";
import type { ReplayApi } from "./replay_api.ts";
import type { ResourceRef, ResourceType, ResourceValue, ResourceValues, Versioned } from "./resource.ts";
import type { SiteReport } from "./site_api.ts";

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

/** What a pass would do now. */
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

/** What a pass has done. */
export interface ApplyReport {
  readonly revision: number;
  readonly applied: readonly StepReport[];
  /** `waiting`: nothing is wrong, the step is tried again when a peer has answered. */
  readonly failed: readonly (StepReport & { readonly error: string; readonly waiting: boolean })[];
  /** Nothing is left to do. */
  readonly converged: boolean;
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
