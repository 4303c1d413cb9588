/**
 * Passes on what a server asks for when a source of it attaches: that a consumer goes back to what is acknowledged.
 *
 * Never while the consumer delivers to somebody. The answer says how far the consumer has delivered, and who asked takes that
 * for what is stored already; but nats-server looks it up after it has set the consumer back, and a consumer that delivers may
 * have gone on by then: thousands of events would be passed over, and nobody told. Who asks has stopped listening before, so it
 * is waited for until the consumer has noticed. Source: nats-server `server/consumer.go`, processResetReq, and
 * `server/stream.go`, trySetupSourceConsumer.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { consumerResetSubject } from "../nats/consumer_reset.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { sleep } from "../nats/wait.ts";

const RESET_TIMEOUT_MS = 2000;
/** Who asks waits for five seconds. */
const UNBOUND_WITHIN_MS = 2500;
const LOOK_AGAIN_MS = 25;

export interface ResetTarget {
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly stream: string;
  readonly consumer: string;
}

/**
 * Passes a RESET on, and its answer back.
 * @param body of the request that is passed on
 * @returns whether it was; not where the consumer still delivers to somebody
 * @throws what the server or the client says
 */
export async function passReset(target: ResetTarget, message: Msg, body: Uint8Array): Promise<boolean> {
  const { nc, stream, consumer } = target;
  if (!(await isUnbound(target))) return false;
  const answer = await nc.request(consumerResetSubject(stream, consumer), body, {
    timeout: RESET_TIMEOUT_MS,
    headers: passedOn(message),
  });
  message.respond(answer.data, answer.headers === undefined ? {} : { headers: answer.headers });
  return true;
}

/** Waits until nobody takes what the consumer delivers. One that is not there has nothing to wait for. */
async function isUnbound({ mesh, stream, consumer }: ResetTarget): Promise<boolean> {
  const end = performance.now() + UNBOUND_WITHIN_MS;
  for (;;) {
    const info = await unlessGone(mesh.consumers.info(stream, consumer), null);
    if (info?.push_bound !== true) return true;
    if (performance.now() > end) return false;
    await sleep(LOOK_AGAIN_MS);
  }
}

/** What a server asks with; nothing else of the request is passed on. */
function passedOn(message: Msg): MsgHdrs {
  const passed = headers();
  for (const name of ["Nats-Required-Api-Level", "Nats-Stream-Identity"]) {
    const value = message.headers?.get(name) ?? "";
    if (value !== "") passed.set(name, value);
  }
  return passed;
}
