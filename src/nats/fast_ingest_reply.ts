/** What a server says on the control channel of a fast-ingest batch. Source: ADR-50, "Fast-ingest Batch Publishing". */
import type { RawMessage } from "./raw.ts";

export type BatchReply =
  /** All messages of the batch up to `sequence` are stored; the next one of these comes every `every` messages. */
  | { readonly type: "flow"; readonly sequence: number; readonly every: number }
  /** The batch has ended: `count` of its messages were taken, the stream's last one at `streamSequence`. */
  | {
      readonly type: "ended";
      readonly count: number;
      readonly streamSequence: number;
      readonly duplicate: boolean;
    }
  /** The server misses messages between `expected` and `got`; it ends the batch. */
  | { readonly type: "gap"; readonly expected: number; readonly got: number }
  /** A message was refused; an `ended` follows when it was one of a running batch. */
  | {
      readonly type: "refused";
      readonly status: number;
      readonly code: number;
      readonly description: string;
      /** Whether the server ends the batch of its own accord and says so. */
      readonly endsBatch: boolean;
    };

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** Reads one control message; a server's status such as `503` (no responders) becomes `refused`. */
export function parseBatchReply(message: RawMessage): BatchReply {
  if (message.data.length === 0) {
    const status = Number.parseInt(new TextDecoder().decode(message.headers.subarray(8, 12)), 10) || 0;
    const description = status === 503 ? "no responders" : "empty answer";
    return { type: "refused", status, code: 0, description, endsBatch: false };
  }
  const body = record(JSON.parse(new TextDecoder().decode(message.data)));
  if (body.type === "ack") {
    return { type: "flow", sequence: count(body.seq), every: Math.max(1, count(body.msgs)) };
  }
  if (body.type === "gap") {
    return { type: "gap", expected: count(body.last_seq), got: count(body.seq) };
  }
  const error = record(body.error);
  if (body.error !== undefined) {
    return {
      type: "refused",
      status: count(error.code),
      code: count(error.err_code),
      description: typeof error.description === "string" ? error.description : "refused",
      endsBatch: body.type === "err",
    };
  }
  return {
    type: "ended",
    count: count(body.count),
    streamSequence: count(body.seq),
    duplicate: body.duplicate === true,
  };
}

/** Error codes of JetStream that a writer tells apart. Source: nats-server `server/errors.json`. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);
/** Message or header block over the limit. */
const TOO_LARGE: ReadonlySet<number> = new Set([10054, 10097]);
/** Out of the stream's, the account's or the server's storage. */
const FULL: ReadonlySet<number> = new Set([10002, 10023, 10028, 10047, 10077]);

/** Why a batch, and with it the writer, came to an end. */
export type FastIngestFailure =
  /** Another writer wrote to the stream, or the server skipped a duplicate: the stream's sequence is not the expected one. */
  | { readonly type: "fenced"; readonly message: string }
  | { readonly type: "stream_full"; readonly message: string }
  | { readonly type: "message_too_large"; readonly message: string }
  /** No stream listens on the subject. */
  | { readonly type: "no_responders"; readonly message: string }
  | { readonly type: "timeout"; readonly message: string }
  | { readonly type: "connection_lost"; readonly message: string }
  | { readonly type: "refused"; readonly code: number; readonly message: string };

/** The failure that a refusal of the server stands for. */
export function failureOf(refused: Extract<BatchReply, { type: "refused" }>): FastIngestFailure {
  const message = refused.code === 0 ? refused.description : `${refused.description} (${refused.code})`;
  if (refused.status === 503 && refused.code === 0) return { type: "no_responders", message };
  if (WRONG_LAST_SEQUENCE.has(refused.code)) return { type: "fenced", message };
  if (TOO_LARGE.has(refused.code)) return { type: "message_too_large", message };
  if (FULL.has(refused.code)) return { type: "stream_full", message };
  return { type: "refused", code: refused.code, message };
}
