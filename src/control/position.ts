/**
 * Positions: the sequence of an event in the stream that it was published to. A view's events carry theirs, so a place
 * in any stream of the same events can be found in any other.
 */
import type { JetStreamManager, StoredMsg, StreamConfig } from "@nats-io/jetstream";
import { erasedPosition, POLICY_HEADER, POSITION_HEADER, viewConsumer } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { VIEW_AFTER, VIEW_VERSION, VIEW_VERSION_AFTER, VIEW_VERSION_POSITION } from "./observe.ts";
import type { ExportPlan } from "./routes.ts";

/** Position of the event at `sequence` of `stream`, or of the last one before it: where a view begins when there is none. */
export async function positionAt(
  mesh: JetStreamManager,
  stream: string,
  source: string,
  sequence: number,
): Promise<number> {
  if (stream === source) return sequence;
  const { config, state } = await mesh.streams.info(stream);
  const begin = beginOfView(config);
  const erased = erasedPosition(config.metadata);
  const least = erased !== null && erased.sequence <= sequence ? erased.position : 0;
  if (sequence < (config.first_seq || 1) || state.messages === 0) return Math.max(begin, least);
  // Retention has dropped it: all that is left comes after it.
  if (state.first_seq > sequence) {
    const first = await messageFrom(mesh, stream, state.first_seq);
    return Math.max(least, first === null ? begin : positionOf(first) - 1);
  }
  const last = await lastUpTo(mesh, stream, state.first_seq, sequence);
  return Math.max(least, last === null ? begin : positionOf(last));
}

/** The first message at or after a sequence: one may have been deleted from the middle of a stream. */
export async function messageFrom(
  mesh: JetStreamManager,
  stream: string,
  seq: number,
): Promise<StoredMsg | null> {
  // The client knows this request for direct reads only.
  const query = { seq, next_by_subj: ">" } as { seq: number };
  return await unlessGone(mesh.streams.getMessage(stream, query), null);
}

/** The last message from `first` up to `sequence`. */
async function lastUpTo(
  mesh: JetStreamManager,
  stream: string,
  first: number,
  sequence: number,
): Promise<StoredMsg | null> {
  let found: StoredMsg | null = null;
  let low = first;
  // Nearly always it is there: look at it first.
  for (let middle = sequence, high = sequence; low <= high; middle = Math.ceil((low + high) / 2)) {
    const message = await messageFrom(mesh, stream, middle);
    if (message === null || message.seq > sequence) high = middle - 1;
    else {
      found = message;
      low = message.seq + 1;
    }
  }
  return found;
}

function positionOf(message: StoredMsg): number {
  return Number(message.header.get(POSITION_HEADER)) || 0;
}

/**
 * The sequence of the route's stream after which all events have a position above `position`; `null` while a view's
 * worker has not got that far.
 */
export async function sequenceAfter(
  mesh: JetStreamManager,
  plan: ExportPlan,
  position: number,
): Promise<number | null> {
  if (plan.stream === plan.source) return position;
  const { state } = await mesh.streams.info(plan.stream);
  const worker = await mesh.consumers.info(plan.source, viewConsumer(plan.policy.name));
  const reached =
    worker.num_pending === 0 && worker.num_ack_pending === 0
      ? Number.POSITIVE_INFINITY
      : worker.ack_floor.stream_seq;
  if (reached < position) return null;
  // Binary search for the last event at or below the position: positions grow with sequences.
  let low = Math.max(state.first_seq - 1, 0);
  let high = state.last_seq;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const message = await messageFrom(mesh, plan.stream, middle);
    if (message !== null && positionOf(message) <= position) low = message.seq;
    else high = middle - 1;
  }
  return low;
}

/** The sequence of the last message that was stored before `time`; 0 when all of the stream is later. */
export async function sequenceAt(mesh: JetStreamManager, stream: string, time: Date): Promise<number> {
  const { state } = await mesh.streams.info(stream);
  let low = Math.max(state.first_seq - 1, 0);
  let high = state.last_seq;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const message = await messageFrom(mesh, stream, middle);
    if (message !== null && message.time.getTime() < time.getTime()) low = message.seq;
    else high = middle - 1;
  }
  return low;
}

/** The position after which a view begins; 0 for a stream that is none. */
export function beginOfView({ metadata }: StreamConfig): number {
  return Number(metadata?.[VIEW_AFTER] ?? 0);
}

/**
 * The sequence of a view after which `version` of its policy has decided every event, now and later; `null` while that
 * cannot be said: events that were decided before may still be on their way.
 */
export async function sequenceOfVersion(
  mesh: JetStreamManager,
  plan: ExportPlan,
  version: string,
): Promise<number | null> {
  const worker = await mesh.consumers.info(plan.source, viewConsumer(plan.policy.name));
  const idle = worker.num_pending === 0 && worker.num_ack_pending === 0;
  const { config, state } = await mesh.streams.info(plan.stream);
  if (config.metadata?.[VIEW_VERSION] !== version) return null;
  let low = Number(config.metadata[VIEW_VERSION_AFTER] ?? state.last_seq);
  let high = state.last_seq;
  const last = low < high ? await messageFrom(mesh, plan.stream, high) : null;
  if (!idle && last?.header.get(POLICY_HEADER) !== version) return null;
  const position = config.metadata[VIEW_VERSION_POSITION];
  // Of a policy that was changed and changed back at once, events may be on their way from before the one in between and after it.
  const least = position === undefined ? 0 : await sequenceAfter(mesh, plan, Number(position));
  if (least === null) return null;
  // After the note come events of the version before, which were on their way, and then those of this one.
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const message = await messageFrom(mesh, plan.stream, middle);
    if (message !== null && message.header.get(POLICY_HEADER) !== version) low = message.seq;
    else high = middle - 1;
  }
  return Math.max(low, least);
}
