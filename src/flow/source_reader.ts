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
import { LeafmeshError } from "../model/errors.ts";
import { nanos } from "../model/units.ts";
import type { ViewStreams } from "./view_position.ts";

/** A session's consumer goes by itself when its worker has died. */
const INACTIVE_MS = 30_000;
const REQUEST_TIMEOUT_MS = 5_000;

/** Creates a session's consumer, with the filters of the durable one. @returns its name */
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

/** Whether a session's consumer of some other worker waits for events. */
export async function otherReaderWaits(jsm: JetStreamManager, streams: ViewStreams): Promise<boolean> {
  for await (const info of jsm.consumers.list(streams.sourceStream)) {
    if (info.name.startsWith(`${streams.consumer}_`) && info.num_waiting > 0) return true;
  }
  return false;
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
 * Source: nats-server `server/consumer.go`, processResetReq (since 2.14).
 * @throws LeafmeshError `apply_failed` when the server refuses it
 */
export async function recordPosition(
  nc: NatsConnection,
  streams: ViewStreams,
  position: number,
): Promise<void> {
  const subject = `$JS.API.CONSUMER.RESET.${streams.sourceStream}.${streams.consumer}`;
  const answer = await nc.request(subject, JSON.stringify({ seq: position + 1 }), {
    timeout: REQUEST_TIMEOUT_MS,
  });
  const body: unknown = answer.data.length === 0 ? null : answer.json();
  if (typeof body === "object" && body !== null && !("error" in body)) return;
  const text = body === null ? "no answer" : JSON.stringify(body);
  throw new LeafmeshError(
    "apply_failed",
    `Position ${position} of consumer '${streams.consumer}' is not recorded: ${text}`,
  );
}
