/**
 * The consumers of a view's source. A session reads through a consumer of its own: were it shared, two workers that meet
 * would each get a part of the events, and neither could tell that it misses the other's. The durable consumer is the
 * record of how far the view has come, for the control plane, for lag, and for what was dropped after the view's last
 * event.
 */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  type JetStreamManager,
  ReplayPolicy,
} from "@nats-io/jetstream";
import { type NatsConnection, nuid } from "@nats-io/transport-node";
import { readerSubject } from "../model/names.ts";
import { nanos } from "../model/units.ts";
import { consumerResetSubject, resetConsumer } from "../nats/consumer_reset.ts";
import { isNoResponders } from "../nats/jetstream_errors.ts";
import type { ViewStreams } from "./view_position.ts";

/** A session's consumer goes by itself when its worker has died; a live one is heard every five seconds. */
const INACTIVE_MS = 20_000;
const REQUEST_TIMEOUT_MS = 5_000;
const ANSWER_TIMEOUT_MS = 1_000;

/** Creates a session's consumer. @param options.filters what it delivers; all when empty @returns its name */
export async function createReader(
  jsm: JetStreamManager,
  streams: ViewStreams,
  options: { readonly after: number; readonly filters: readonly string[] },
): Promise<string> {
  const name = `${streams.consumer}_${nuid.next()}`;
  await jsm.consumers.add(streams.sourceStream, {
    name,
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: options.after + 1,
    replay_policy: ReplayPolicy.Instant,
    inactive_threshold: nanos(INACTIVE_MS),
    max_waiting: 16,
    mem_storage: true,
    num_replicas: 1,
    ...(options.filters.length === 0 ? {} : { filter_subjects: [...options.filters] }),
  } as Partial<ConsumerConfig> as ConsumerConfig);
  return name;
}

/** Says to other workers that this reader's worker is alive, until it is disposed of. */
export function answerFor(nc: NatsConnection, reader: string): Disposable {
  const subscription = nc.subscribe(readerSubject(reader), {
    callback: (error, message) => {
      if (error === null) message.respond();
    },
  });
  return { [Symbol.dispose]: () => subscription.unsubscribe() };
}

/** Whether nobody at all answers for a reader: its worker has died. One that does not answer in time may have been paused. */
async function isAbandoned(nc: NatsConnection, reader: string): Promise<boolean> {
  try {
    await nc.request(readerSubject(reader), "", { timeout: ANSWER_TIMEOUT_MS });
    return false;
  } catch (error) {
    return isNoResponders(error);
  }
}

/**
 * What is there of another worker, while the own session is over: a session's consumer that waits for events, or one that does
 * not because its worker has enough to wait with.
 */
export async function otherReader(
  nc: NatsConnection,
  jsm: JetStreamManager,
  streams: ViewStreams,
): Promise<"waits" | "there" | "none"> {
  let found: "there" | "none" = "none";
  for await (const info of jsm.consumers.list(streams.sourceStream)) {
    if (!info.name.startsWith(`${streams.consumer}_`)) continue;
    if (info.num_waiting > 0) return "waits";
    if (found === "none" && !(await isAbandoned(nc, info.name))) found = "there";
  }
  return found;
}

/** The filters of a consumer. */
export function filtersOf(config: Pick<ConsumerConfig, "filter_subject" | "filter_subjects">): string[] {
  if (config.filter_subjects !== undefined && config.filter_subjects.length > 0) {
    return [...config.filter_subjects];
  }
  return config.filter_subject === undefined || config.filter_subject === "" ? [] : [config.filter_subject];
}

/**
 * Sets the durable consumer's ack floor to `position`: all up to there is dealt with.
 * @throws LeafmeshError `apply_failed` when the server refuses it
 */
export async function recordPosition(
  nc: NatsConnection,
  streams: ViewStreams,
  position: number,
): Promise<void> {
  const subject = consumerResetSubject(streams.sourceStream, streams.consumer);
  await resetConsumer(nc, subject, position + 1, { timeoutMs: REQUEST_TIMEOUT_MS, code: "apply_failed" });
}
