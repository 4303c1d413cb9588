/** What a stream answers to a published message. Source: nats-server `server/stream.go`, JSPubAckResponse. */
import type { RawMessage } from "./raw.ts";

export type PublishAck =
  | { readonly type: "stored"; readonly sequence: number; readonly duplicate: boolean }
  | {
      readonly type: "refused";
      readonly status: number;
      readonly code: number;
      readonly description: string;
    };

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/**
 * Reads one answer; a server's status such as `503` (no responders) is `refused`.
 * @throws {SyntaxError} when it is no JSON
 */
export function parsePublishAck(message: RawMessage): PublishAck {
  if (message.data.length === 0) {
    const status = Number.parseInt(new TextDecoder().decode(message.headers.subarray(8, 12)), 10) || 0;
    return {
      type: "refused",
      status,
      code: 0,
      description: status === 503 ? "no responders" : "empty answer",
    };
  }
  const body = record(JSON.parse(new TextDecoder().decode(message.data)));
  if (body.error === undefined) {
    return { type: "stored", sequence: count(body.seq), duplicate: body.duplicate === true };
  }
  const error = record(body.error);
  return {
    type: "refused",
    status: count(error.code),
    code: count(error.err_code),
    description: typeof error.description === "string" ? error.description : "refused",
  };
}

/** Error codes of JetStream that a writer tells apart. Source: nats-server `server/errors.json`. */
const WRONG_LAST_SEQUENCE: ReadonlySet<number> = new Set([10071, 10164]);
/** Message or header block over the limit. */
const TOO_LARGE: ReadonlySet<number> = new Set([10054, 10097]);
/** Out of the stream's, the account's or the server's storage. */
const FULL: ReadonlySet<number> = new Set([10002, 10023, 10028, 10047, 10077]);

/** Why a writer came to an end. */
export type WriteFailure =
  /** The stream's sequence is not the expected one: somebody else wrote, or a message of ours was not stored. */
  | { readonly type: "fenced"; readonly message: string }
  | { readonly type: "stream_full"; readonly message: string }
  | { readonly type: "message_too_large"; readonly message: string }
  /** No stream listens on the subject. */
  | { readonly type: "no_responders"; readonly message: string }
  | { readonly type: "timeout"; readonly message: string }
  | { readonly type: "connection_lost"; readonly message: string }
  | { readonly type: "refused"; readonly code: number; readonly message: string };

/** The failure that a refusal of the server stands for. */
export function failureOf(refused: Extract<PublishAck, { type: "refused" }>): WriteFailure {
  const message = refused.code === 0 ? refused.description : `${refused.description} (${refused.code})`;
  if (refused.status === 503 && refused.code === 0) return { type: "no_responders", message };
  if (WRONG_LAST_SEQUENCE.has(refused.code)) return { type: "fenced", message };
  if (TOO_LARGE.has(refused.code)) return { type: "message_too_large", message };
  if (FULL.has(refused.code)) return { type: "stream_full", message };
  return { type: "refused", code: refused.code, message };
}
