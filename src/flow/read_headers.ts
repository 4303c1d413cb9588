/** Goes through a part of a stream without its payloads: what is looked for stands in the headers. */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamManager,
  type JsMsg,
  jetstream,
} from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import { nanos } from "../model/units.ts";

/** Header blocks are up to 64 KiB. */
const FETCH = 1_000;
const FETCH_MS = 5_000;
const INACTIVE_MS = 10_000;

/** Which messages. */
export interface HeaderRange {
  readonly from: number;
  readonly to: number;
  /** Patterns of their subjects; all when there are none. */
  readonly subjects?: readonly string[];
}

/**
 * The messages of a stream that it holds of the sequences `from` to `to`, in order, with headers alone.
 * @throws Error when the server does not deliver what it says is there
 */
export async function* readHeaders(
  { nc, jsm }: { readonly nc: NatsConnection; readonly jsm: JetStreamManager },
  stream: string,
  { from, to, subjects }: HeaderRange,
): AsyncGenerator<JsMsg> {
  if (from > to) return;
  const name = `headers_${nuid.next()}`;
  const made = await jsm.consumers.add(stream, {
    name,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: Math.max(1, from),
    headers_only: true,
    inactive_threshold: nanos(INACTIVE_MS),
    mem_storage: true,
    num_replicas: 1,
    ...(subjects === undefined || subjects.length === 0 ? {} : { filter_subjects: [...subjects] }),
  } as Partial<ConsumerConfig> as ConsumerConfig);
  const consumer = await jetstream(nc).consumers.get(stream, name);
  try {
    let at = from - 1;
    // All of them may be erased: then nothing is delivered, however long one waits.
    let pending = made.num_pending;
    while (pending > 0 && at < to) {
      const before = at;
      for await (const message of await consumer.fetch({ max_messages: FETCH, expires: FETCH_MS })) {
        at = message.seq;
        if (at > to) return;
        yield message;
        pending = message.info.pending;
        if (at >= to || pending === 0) return;
      }
      if (at > before) continue;
      // What was there a moment ago may be erased by now.
      pending = (await consumer.info()).num_pending;
      if (pending > 0) throw new Error(`Stream '${stream}' is not read beyond ${at}`);
    }
  } finally {
    await consumer.delete().catch(() => false);
  }
}
