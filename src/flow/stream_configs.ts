/** The streams and consumers that the flow works with, as the control plane creates them. */
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import {
  dlqStream,
  dlqSubjects,
  tenantSubjects,
  viewConsumer,
  viewStream,
  viewSubject,
} from "../model/names.ts";
import { nanos } from "../model/units.ts";

/** Limits of a stream that the flow writes. */
export interface FlowLimits {
  /** Bytes the stream may take; -1 for no limit. */
  readonly maxBytes: number;
  /** How long messages are kept, in milliseconds; 0 for no limit. */
  readonly maxAgeMs: number;
  /** Bytes of header and payload of one message; -1 for the server's `max_payload`. */
  readonly maxMsgBytes: number;
  /** `refuse` makes the view wait when it is full (nothing is lost); `discard-oldest` drops its oldest messages. */
  readonly whenFull: "discard-oldest" | "refuse";
  readonly replicas?: number;
}

/**
 * The least that nats-server takes; 0 would become its default of two minutes. Position and fence already make the view
 * exact; a wide window would swallow different events with one id that come from a backlog within it.
 * Source: nats-server `server/stream.go`, checkStreamCfg.
 */
export const VIEW_DUPLICATE_WINDOW_MS = 100;

const OUTSTANDING_ACKS = 16_384;
const ACK_WAIT_MS = 60_000;

function flowStream(limits: FlowLimits): Omit<StreamConfig, "name" | "subjects"> {
  return {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: limits.whenFull === "refuse" ? DiscardPolicy.New : DiscardPolicy.Old,
    max_bytes: limits.maxBytes,
    max_age: nanos(limits.maxAgeMs),
    max_msg_size: limits.maxMsgBytes,
    max_msgs: -1,
    max_msgs_per_subject: -1,
    max_consumers: -1,
    num_replicas: limits.replicas ?? 1,
    allow_rollup_hdrs: false,
    allow_direct: false,
    deny_delete: false,
    deny_purge: false,
    sealed: false,
    no_ack: false,
  } as unknown as Omit<StreamConfig, "name" | "subjects">;
}

/** The stream that holds a tenant's events as one policy lets them be seen; filled by fast ingest. */
export function viewStreamConfig(view: {
  readonly site: string;
  readonly tenant: string;
  readonly policy: string;
  readonly limits: FlowLimits;
}): StreamConfig {
  return {
    ...flowStream(view.limits),
    name: viewStream(view.tenant, view.policy),
    subjects: [viewSubject(view.site, view.policy, tenantSubjects(view.tenant))],
    duplicate_window: nanos(VIEW_DUPLICATE_WINDOW_MS),
    allow_batched: true,
  } as StreamConfig;
}

/**
 * The durable consumer that records how far a view's worker has come: its ack floor. The worker reads through short-lived
 * consumers with the same filters. It must be possible to reset it to any sequence, so the deliver policy is all, or a
 * start sequence.
 */
export function viewConsumerConfig(consumer: {
  readonly policy: string;
  /** Subjects of the source stream (with the origin), disjoint; all when left out. */
  readonly filterSubjects?: readonly string[];
  /** First sequence of the source stream that the view may hold; the first one there is when left out. */
  readonly startSequence?: number;
  readonly replicas?: number;
}): ConsumerConfig {
  const name = viewConsumer(consumer.policy);
  return {
    name,
    durable_name: name,
    ack_policy: AckPolicy.All,
    ack_wait: nanos(ACK_WAIT_MS),
    max_ack_pending: OUTSTANDING_ACKS,
    max_deliver: -1,
    max_waiting: 64,
    replay_policy: ReplayPolicy.Instant,
    ...(consumer.startSequence === undefined
      ? { deliver_policy: DeliverPolicy.All }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: consumer.startSequence }),
    ...(consumer.filterSubjects === undefined ? {} : { filter_subjects: [...consumer.filterSubjects] }),
    ...(consumer.replicas === undefined ? {} : { num_replicas: consumer.replicas }),
  } as ConsumerConfig;
}

/** The stream of a tenant's events that no policy could decide: it stays at the source site. */
export function dlqStreamConfig(dlq: { readonly tenant: string; readonly limits: FlowLimits }): StreamConfig {
  return {
    ...flowStream(dlq.limits),
    name: dlqStream(dlq.tenant),
    subjects: [dlqSubjects(dlq.tenant)],
    // Room for the headers that a dead letter has on top of the event.
    max_msg_size: -1,
    duplicate_window: nanos(dlq.limits.maxAgeMs > 0 ? Math.min(120_000, dlq.limits.maxAgeMs) : 120_000),
  } as StreamConfig;
}
