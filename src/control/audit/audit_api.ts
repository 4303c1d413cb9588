/** What the audit trail offers to the HTTP API and to those who change things. */
import type { Actor, AuditEntry, AuditRecord, ChainHead, RecordType } from "../../model/audit.ts";
import type { Denial } from "./denials.ts";

/** A change that is about to be made. */
export interface Change extends Pick<AuditEntry, "operation" | "target" | "asked" | "before" | "after"> {
  /** On whose behalf; default: of whoever the code runs for. */
  readonly by?: { readonly who: Actor; readonly from: string | null };
  /** It takes away what somebody may do, and is made also where the trail cannot be written: it never waits for it. */
  readonly cuts?: boolean;
}

/** Which records; all that is given must hold. */
export interface AuditQuery {
  /** Number of the record to go on after; 0 for the oldest. */
  readonly after: number;
  readonly limit: number;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Name of the principal, peer or sidecar. */
  readonly who?: string;
  /** A part of the target. */
  readonly target?: string;
  readonly type?: RecordType;
}

/** Numbers for metrics. */
export interface AuditNumbers {
  /** Number of the last record: a witness outside of the store. */
  readonly records: number;
  readonly denials: number;
  readonly droppedDenials: number;
  /** Records of changes that were made all the same: how they ended, and all of what cuts. */
  readonly untoldResults: number;
}

/** The audit trail. */
export interface AuditApi {
  readonly head: ChainHead;
  numbers(): AuditNumbers;
  /** @throws LeafmeshError `audit_unavailable` when it cannot be told, and nothing has been changed; what `work` throws */
  change<T>(change: Change, work: () => Promise<T>, result?: (done: T) => string): Promise<T>;
  /** Takes note of a refusal; never waits, never throws. */
  denied(denial: Denial): void;
  list(
    query: AuditQuery,
  ): Promise<{ readonly records: readonly AuditRecord[]; readonly next: number | null }>;
  /** The stored records as lines, oldest first. */
  export(query: Pick<AuditQuery, "sinceMs" | "untilMs">): AsyncGenerator<string>;
}
