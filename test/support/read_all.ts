/** All that a stream holds, in its order. */
import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";

/** Reads a small stream message by message. */
export async function readAll(jsm: JetStreamManager, stream: string): Promise<StoredMsg[]> {
  const { state } = await jsm.streams.info(stream);
  const messages: StoredMsg[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(stream, { seq });
    if (message !== null) messages.push(message);
  }
  return messages;
}
