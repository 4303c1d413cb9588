/** Has a consumer go on with a sequence. Source: nats-server `server/consumer.go`, processResetReq (since 2.14). */
import type { NatsConnection } from "@nats-io/transport-node";
import { type ErrorCode, LeafmeshError } from "../model/errors.ts";

/** The subject of a consumer of the connection's own account. */
export function consumerResetSubject(stream: string, consumer: string): string {
  return `$JS.API.CONSUMER.RESET.${stream}.${consumer}`;
}

/**
 * Sets where a consumer goes on: all before `sequence` counts as dealt with.
 * @param code of the error when the server refuses it
 * @throws {LeafmeshError} `code`; what the client throws when nobody answers within `timeoutMs`
 */
export async function resetConsumer(
  nc: NatsConnection,
  subject: string,
  sequence: number,
  { timeoutMs, code }: { readonly timeoutMs: number; readonly code: ErrorCode },
): Promise<void> {
  const answer = await nc.request(subject, JSON.stringify({ seq: sequence }), { timeout: timeoutMs });
  const body: unknown = answer.data.length === 0 ? null : answer.json();
  if (typeof body === "object" && body !== null && !("error" in body)) return;
  const text = body === null ? "no answer" : JSON.stringify(body);
  throw new LeafmeshError(code, `Consumer does not go on with ${sequence} (${subject}): ${text}`);
}
