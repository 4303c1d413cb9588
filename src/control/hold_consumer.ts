/** A peer's consumer that delivers nothing until it is resumed. */
import type { ConsumerConfig, JetStreamManager } from "@nats-io/jetstream";
import { CUT, CUT_DELIVERED } from "./switch.ts";

/** A consumer that must not deliver is paused until then: until it is resumed. */
export const FOREVER = new Date("2200-01-01T00:00:00Z");

/**
 * Pauses a peer's consumer. Notes in its metadata how far the stream went while nothing was left to deliver: all up to
 * there has been considered, which is what a switch to another stream goes on from.
 */
export async function pauseConsumer(mesh: JetStreamManager, stream: string, name: string): Promise<void> {
  const { state } = await mesh.streams.info(stream);
  const { config, delivered, num_pending } = await mesh.consumers.info(stream, name);
  const metadata = { ...config.metadata };
  delete metadata[CUT];
  delete metadata[CUT_DELIVERED];
  if (num_pending === 0) {
    metadata[CUT] = String(state.last_seq);
    metadata[CUT_DELIVERED] = String(delivered.stream_seq);
  }
  await mesh.consumers.update(stream, name, { metadata } as Partial<ConsumerConfig> as ConsumerConfig);
  await mesh.consumers.pause(stream, name, FOREVER);
}
