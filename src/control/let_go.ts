/**
 * Has who takes what a consumer delivers attach again. A RESET under one that is attached loses events, and nobody is told: the
 * consumer counts anew, and who listens takes the first whose count fits for the next one, whatever is between. So it is told of
 * a delivery that never was: it has missed that, stops listening, and asks for the RESET itself.
 * Source: nats-server `server/stream.go`, processInboundSourceMsg, and `server/consumer.go`, sendIdleHeartbeat.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { until } from "../nats/wait.ts";

const LAST_CONSUMER_HEADER = "Nats-Last-Consumer";
/** More than any consumer has delivered. */
const NEVER_DELIVERED = "9007199254740991";
/** nats-server attaches a source at most every two seconds. */
const WITHIN_MS = 5000;
const LOOK_AGAIN_MS = 10;

/** What a consumer says that has nothing to deliver: a source that is attached takes it for that. */
export const idleHeartbeat = (): MsgHdrs => headers(100, "Idle Heartbeat");

/**
 * Makes who listens attach again.
 * @param withinMs how long to wait until nobody listens; 0: not at all
 * @returns whether nobody did
 */
export async function letGo(
  { nc, mesh }: { readonly nc: NatsConnection; readonly mesh: JetStreamManager },
  stream: string,
  consumer: string,
  withinMs = WITHIN_MS,
): Promise<boolean> {
  const look = () => unlessGone(mesh.consumers.info(stream, consumer), null);
  const info = await look();
  const { deliver_subject } = info?.config ?? {};
  if (info?.push_bound !== true || deliver_subject === undefined) return true;
  const missed = idleHeartbeat();
  missed.set(LAST_CONSUMER_HEADER, NEVER_DELIVERED);
  nc.publish(deliver_subject, "", { headers: missed });
  return (
    withinMs > 0 && (await until(async () => (await look())?.push_bound !== true, withinMs, LOOK_AGAIN_MS))
  );
}
