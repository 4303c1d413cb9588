/** Has a consumer go on with a sequence. Source: nats-server `server/consumer.go`, processResetReq (since 2.14). */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { type ErrorCode, LeafmeshError } from "../model/errors.ts";

/** The subject of a consumer of the connection's own account. */
export function consumerResetSubject(stream: string, consumer: string): string {
  return `$JS.API.CONSUMER.RESET.${stream}.${consumer}`;
}

/** With any value: asks for the identity of the stream, which another one of the same name does not have. */
export const IDENTITY_HEADER = "Nats-Stream-Identity";

/** Of an answer to {@link LeastReset}: the position after which the consumer begins, in the stream that its events were published to. */
export const BEGIN_HEADER = "Leafmesh-Begins-After";

/** Asks a peer's sidecar to go on after a sequence, and where the consumer begins later, there: a server would refuse it. */
const LeastReset = z.strictObject({ least: z.int().nonnegative() });
export type LeastReset = z.infer<typeof LeastReset>;

/** Where a consumer goes on: all before a sequence counts as dealt with; `null`: what is not acknowledged is sent again. */
export type ResetTo = number | null | LeastReset;

export interface ResetDone {
  /** Of the consumer's stream; empty where the server does not tell it. */
  readonly identity: string;
  /** Of {@link BEGIN_HEADER}; `null`: it was not asked for, or is not known. */
  readonly beginsAfter: number | null;
}

/** The body of a request. */
export function resetBody(sequence: ResetTo): string {
  if (sequence === null) return "";
  return JSON.stringify(typeof sequence === "number" ? { seq: sequence } : sequence);
}

/** What a request asks of a sidecar; `null`: it is for the server as it is. */
export function leastReset(body: string): LeastReset | null {
  try {
    return LeastReset.safeParse(JSON.parse(body)).data ?? null;
  } catch {
    return null;
  }
}

/**
 * Sets where a consumer goes on. {@link LeastReset} is for a peer's sidecar alone.
 * @param code of the error when the server refuses it
 * @throws {LeafmeshError} `code`; what the client throws when nobody answers within `timeoutMs`
 */
export async function resetConsumer(
  nc: NatsConnection,
  subject: string,
  sequence: ResetTo,
  { timeoutMs, code }: { readonly timeoutMs: number; readonly code: ErrorCode },
): Promise<ResetDone> {
  const asked = headers();
  asked.set(IDENTITY_HEADER, "-");
  const answer = await nc.request(subject, resetBody(sequence), { timeout: timeoutMs, headers: asked });
  const body: unknown = answer.data.length === 0 ? null : answer.json();
  if (typeof body === "object" && body !== null && !("error" in body)) {
    const begin = answer.headers?.get(BEGIN_HEADER) ?? "";
    return {
      identity: answer.headers?.get(IDENTITY_HEADER) ?? "",
      beginsAfter: /^\d{1,15}$/.test(begin) ? Number(begin) : null,
    };
  }
  const text = body === null ? "no answer" : JSON.stringify(body);
  throw new LeafmeshError(
    code,
    `Consumer does not go on with ${resetBody(sequence) || "what is not acknowledged"} (${subject}): ${text}`,
  );
}
