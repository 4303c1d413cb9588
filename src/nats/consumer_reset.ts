/** Has a consumer go on with a sequence. Source: nats-server `server/consumer.go`, processResetReq (since 2.14). */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { type ErrorCode, LeafmeshError } from "../model/errors.ts";

/** The subject of a consumer of the connection's own account. */
export function consumerResetSubject(stream: string, consumer: string): string {
  return `$JS.API.CONSUMER.RESET.${stream}.${consumer}`;
}

/** With any value: asks for the identity of the stream, which another one of the same name does not have. */
export const IDENTITY_HEADER = "Nats-Stream-Identity";

/** Where a consumer goes on: all before a sequence counts as dealt with; `null`: what is not acknowledged is sent again. */
export type ResetTo = number | null | "begin";

/** Asks a peer's sidecar for where the consumer began, which a server does not know by a word. */
const BEGIN = JSON.stringify({ begin: true });

/** Whether a request of {@link resetConsumer} asks for the begin. */
export const asksForBegin = (body: string): boolean => body === BEGIN;

/** The body of a request. */
export function resetBody(sequence: ResetTo): string {
  if (sequence === null) return "";
  return sequence === "begin" ? BEGIN : JSON.stringify({ seq: sequence });
}

/**
 * Sets where a consumer goes on. `"begin"` is for a peer's sidecar alone.
 * @returns the identity of the consumer's stream; empty where the server does not tell it
 * @param code of the error when the server refuses it
 * @throws {LeafmeshError} `code`; what the client throws when nobody answers within `timeoutMs`
 */
export async function resetConsumer(
  nc: NatsConnection,
  subject: string,
  sequence: ResetTo,
  { timeoutMs, code }: { readonly timeoutMs: number; readonly code: ErrorCode },
): Promise<string> {
  const asked = headers();
  asked.set(IDENTITY_HEADER, "-");
  const answer = await nc.request(subject, resetBody(sequence), { timeout: timeoutMs, headers: asked });
  const body: unknown = answer.data.length === 0 ? null : answer.json();
  if (typeof body === "object" && body !== null && !("error" in body)) {
    return answer.headers?.get(IDENTITY_HEADER) ?? "";
  }
  const text = body === null ? "no answer" : JSON.stringify(body);
  throw new LeafmeshError(
    code,
    `Consumer does not go on with ${sequence ?? "what is not acknowledged"} (${subject}): ${text}`,
  );
}
