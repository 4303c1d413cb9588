/** Fills a stream fast: many publishes in flight, the last of each batch acknowledged. */
import type { NatsConnection } from "@nats-io/transport-node";

const BATCH = 2000;

/** Publishes `count` events to a subject that a stream takes. */
export async function fillStream(
  nc: NatsConnection,
  subject: string,
  payload: string,
  count: number,
): Promise<void> {
  for (let sent = 0; sent < count; ) {
    const batch = Math.min(BATCH, count - sent);
    for (let n = 1; n < batch; n++) nc.publish(subject, payload);
    await nc.request(subject, payload, { timeout: 30_000 });
    sent += batch;
  }
}
