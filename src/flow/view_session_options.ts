/** What a view's session is given, and what it says at its end. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { WriteFailure } from "../nats/publish_ack.ts";
import type { Decider } from "./event_decider.ts";
import type { FlowCounts } from "./ledger.ts";
import type { Quotas } from "./quota.ts";
import type { ViewLetters } from "./view_letters.ts";
import type { ViewPosition, ViewStreams } from "./view_position.ts";
import type { WriteLease } from "./write_lease.ts";

/** Why a session has ended. */
export type SessionEnd =
  | { readonly type: "stopped" }
  | { readonly type: "ingest"; readonly failure: WriteFailure }
  | { readonly type: "dead_letter"; readonly message: string }
  /** The source is not read any more, or a delivery was lost. */
  | { readonly type: "reader"; readonly message: string };

/** What one pull request asks for: three times as much waits in memory at most. */
export interface PullSize {
  readonly messages: number;
  readonly bytes: number;
}

export interface SessionOptions extends ViewStreams {
  readonly nc: NatsConnection;
  readonly site: string;
  readonly tenant: string;
  readonly policy: string;
  readonly start: ViewPosition;
  /** The session's own consumer of the source stream, which delivers what follows the position. */
  readonly reader: string;
  /** Patterns of stored subjects when the reader delivers others too: those are skipped. */
  readonly wanted: readonly string[];
  readonly decider: () => Decider;
  /** What may pass now; it outlives the session. */
  readonly quotas: Quotas;
  readonly counts: FlowCounts;
  /** Dead letters of the sessions before; it outlives the session. */
  readonly letters: ViewLetters;
  /** What one pull request asks for now. */
  readonly pull: () => PullSize;
  /** Reading stood still behind this sequence of the source, and went on with this one. */
  readonly onResumed: (after: number, next: number) => void;
  /** Nothing is decided or written while it is not open. */
  readonly mayWrite: WriteLease;
  /** Something was dealt with. */
  readonly onProgress: (position: number) => void;
  readonly onEnd: (end: SessionEnd) => void;
}
