/**
 * Passes on what a server asks for when a source of it attaches: that a consumer goes back to what is acknowledged.
 *
 * The answer says how far the consumer has delivered, and who asked takes that for what it has; but nats-server looks it up after it
 * has set the consumer back, and one that delivers may have gone on by then: thousands of events would be passed over, and
 * nobody told. So it is not asked for while the consumer delivers to somebody (who asks has stopped listening before, the
 * consumer has only to notice), and an answer that is ahead is not passed on: it is asked for again.
 * Source: nats-server `server/consumer.go`, processResetReq, and `server/stream.go`, trySetupSourceConsumer.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { consumerResetSubject, IDENTITY_HEADER } from "../nats/consumer_reset.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { sleep } from "../nats/wait.ts";
import type { Attachments } from "./attachments.ts";

const RESET_TIMEOUT_MS = 2000;
/** Who asks waits for five seconds. */
const WITHIN_MS = 2500;
const LOOK_AGAIN_MS = 25;
/** On a machine that stands still for a while a consumer has had no time to notice. */
const LEAST_LOOKS = 10;

const ResetAnswer = z.object({
  delivered: z.object({ stream_seq: z.number() }),
  reset_seq: z.number(),
});

export interface ResetTarget {
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly stream: string;
  readonly consumer: string;
  /** Is told when it was passed on. */
  readonly attachments: Attachments;
}

/**
 * Passes a RESET on, and its answer back.
 * @param passed body of the request that is passed on, and headers that its answer gets
 * @returns what came of it: `bound` where the consumer delivered to somebody whenever it was looked at, and often enough
 * @throws what the server or the client says
 */
export async function passReset(
  target: ResetTarget,
  message: Msg,
  {
    body,
    answered = {},
  }: { readonly body: Uint8Array; readonly answered?: Readonly<Record<string, string>> },
): Promise<"passed" | "bound" | "late"> {
  const { nc, mesh, stream, consumer, attachments } = target;
  const end = performance.now() + WITHIN_MS;
  let looks = 0;
  while (performance.now() < end) {
    // One that is not there has nothing to wait for.
    const info = await unlessGone(mesh.consumers.info(stream, consumer), null);
    if (info?.push_bound === true) {
      looks++;
      await sleep(LOOK_AGAIN_MS);
      continue;
    }
    const answer = await nc.request(consumerResetSubject(stream, consumer), body, {
      timeout: RESET_TIMEOUT_MS,
      headers: passedOn(message),
    });
    if (isAhead(answer)) {
      looks = 0;
      continue;
    }
    if (info !== null) attachments.passed(stream, consumer, info.created);
    const told = answer.headers ?? headers();
    for (const [name, value] of Object.entries(answered)) told.set(name, value);
    message.respond(answer.data, { headers: told });
    return "passed";
  }
  return looks >= LEAST_LOOKS ? "bound" : "late";
}

/** Whether the consumer has delivered again before the server looked how far it is. */
function isAhead(answer: Msg): boolean {
  const { data } = ResetAnswer.safeParse(parsed(answer));
  return data !== undefined && data.delivered.stream_seq >= data.reset_seq;
}

function parsed(answer: Msg): unknown {
  try {
    return answer.json();
  } catch {
    return null;
  }
}

/** What a server asks with; nothing else of the request is passed on. */
function passedOn(message: Msg): MsgHdrs {
  const passed = headers();
  const level = message.headers?.get("Nats-Required-Api-Level") ?? "";
  if (level !== "") passed.set("Nats-Required-Api-Level", level);
  // The header asks for the identity of the stream, whatever its value. A server that knows none yet sends an empty one.
  if (message.headers?.has(IDENTITY_HEADER) === true) passed.set(IDENTITY_HEADER, "-");
  return passed;
}
