/** Has a consumer go on with a sequence. Source: nats-server `server/consumer.go`, processResetReq (since 2.14). */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { type ErrorCode, LeafmeshError } from "../model/errors.ts";

/** The subject of a consumer of the connection's own account. */
export function consumerResetSubject(stream: string, consumer: string): string {
  return `$JS.API.CONSUMER.RESET.${stream}.${consumer}`;
}

/** With any value: asks for the identity of the stream, which another one of the same name does not have. */
export const IDENTITY_HEADER = "Nats-Stream-Identity";

/**
 * Sets where a consumer goes on: all before `sequence` counts as dealt with. `null`: what is not acknowledged is sent again.
 * @returns the identity of the consumer's stream; empty where the server does not tell it
 * @param code of the error when the server refuses it
 * @throws {LeafmeshError} `code`; what the client throws when nobody answers within `timeoutMs`
 */
export async function resetConsumer(
  nc: NatsConnection,
  subject: string,
  sequence: number | null,
  { timeoutMs, code }: { readonly timeoutMs: number; readonly code: ErrorCode },
): Promise<string> {
  const asked = headers();
  asked.set(IDENTITY_HEADER, "-");
  const payload = sequence === null ? "" : JSON.stringify({ seq: sequence });
  const answer = await nc.request(subject, payload, { timeout: timeoutMs, headers: asked });
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
