/** Finds where a view stands in its source. The view itself is the record: no second store can disagree with it. */
import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import { erasedPosition, POSITION_HEADER, REDRIVEN_HEADER, streamEpoch } from "../model/names.ts";
import { filtersOf } from "./source_reader.ts";

export interface ViewPosition {
  /** Last sequence of the source stream that the view has dealt with. */
  readonly position: number;
  /** Position that the view's last message carries; 0 when there is none. */
  readonly fromView: number;
  /** Last sequence of the view stream: the fence of the next write. */
  readonly lastSequence: number;
  /** Bytes of header and payload that the view takes in one message. */
  readonly maxMsgBytes: number;
  /** Duplicate window of the source stream; 0 when it has none. */
  readonly sourceWindowMs: number;
  /** Tells one life of the source stream from the next one of the same name. */
  readonly sourceEpoch: string;
  /** Subjects of the source that the view is for; all when empty. */
  readonly filters: readonly string[];
  /** How many different subjects the source holds. */
  readonly subjects: number;
  /** Sequences after the position that the source does not hold any more: what its retention dropped, or less. */
  readonly missed: number;
  /** Position that the durable consumer has on record. */
  readonly recorded: number;
  /** Events behind that one that pass the filters. */
  readonly pending: number;
  /** First and last sequence of the source. */
  readonly firstSequence: number;
  readonly end: number;
  /** What is odd about it, for the log. */
  readonly note: string | null;
}

export interface ViewStreams {
  readonly sourceStream: string;
  readonly viewStream: string;
  /** The durable consumer that records the view's position. */
  readonly consumer: string;
}

/**
 * Reads the position: that of the view's last message, or the consumer's ack floor when that is further on (what was
 * dropped after it). The view is read before the source, so its position can only be behind the source's end, unless the
 * source was rolled back or is another stream of the same name: then the events it now holds are new.
 * @throws when a stream or the consumer is missing or the server does not answer
 */
export async function readViewPosition(jsm: JetStreamManager, streams: ViewStreams): Promise<ViewPosition> {
  const view = await jsm.streams.info(streams.viewStream);
  const last = await lastPosition(jsm, view);
  const consumer = await jsm.consumers.info(streams.sourceStream, streams.consumer);
  const source = await jsm.streams.info(streams.sourceStream);

  let fromView = last?.position ?? 0;
  let note: string | null = null;
  const end = source.state.last_seq;
  if (last !== null && last.storedMs < Date.parse(source.created)) {
    note = `The view's last event is from an earlier stream '${streams.sourceStream}': starting from the consumer's place`;
    fromView = 0;
  } else if (fromView > end) {
    note = `The view is at ${fromView}, its source ends at ${end}: the source was rolled back`;
    fromView = end;
  }
  const position = Math.max(fromView, Math.min(consumer.ack_floor.stream_seq, end));
  const maxPayload = view.config.max_msg_size;
  return {
    position,
    fromView: last?.position ?? 0,
    missed: Math.max(0, source.state.first_seq - 1 - position),
    lastSequence: view.state.last_seq,
    maxMsgBytes: maxPayload > 0 ? maxPayload : Number.POSITIVE_INFINITY,
    sourceWindowMs: (source.config.duplicate_window ?? 0) / 1e6,
    sourceEpoch: streamEpoch(source.created),
    filters: filtersOf(consumer.config),
    subjects: source.state.num_subjects ?? 0,
    recorded: consumer.ack_floor.stream_seq,
    pending: consumer.num_pending,
    firstSequence: source.state.first_seq,
    end,
    note,
  };
}

async function lastPosition(
  jsm: JetStreamManager,
  view: StreamInfo,
): Promise<{ readonly position: number; readonly storedMs: number } | null> {
  const erased = erasedPosition(view.config.metadata);
  const erasedLast = erased === null ? null : { position: erased.position, storedMs: erased.storedMs };
  if (view.state.messages === 0) return erasedLast;
  const message = await jsm.streams.getMessage(view.config.name, { last_by_subj: ">" });
  if (message === null) return erasedLast;
  if (erased !== null && erased.sequence > message.seq) return erasedLast;
  const text = message.header.get(POSITION_HEADER);
  const position = Number.parseInt(text, 10);
  // A dead letter may come into a view before any event of the source that is there now.
  const least = message.header.has(REDRIVEN_HEADER) ? 0 : 1;
  if (!Number.isSafeInteger(position) || position < least) {
    throw new LeafmeshError(
      "conflict",
      `Message ${message.seq} of stream '${view.config.name}' has no position: header ${POSITION_HEADER} is '${text}', expected a sequence. Someone else writes to the view`,
    );
  }
  return { position, storedMs: message.time.getTime() };
}
