/**
 * The dead letters that a view's sessions have stored and that are not behind the position the next one starts from. A letter is
 * stored before the view's position is recorded; a crash in between has the next session read its event again. Decided anew it
 * would be a second letter, or cross while its letter waits to be redriven. So it is not: an event that has a letter is dealt with.
 */
import type { JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { DLQ_HEADERS, dlqStream, dlqSubject, tenantSubjectOf } from "../model/names.ts";
import { isStreamNotFound } from "../nats/jetstream_errors.ts";
import { singleLine } from "./header_block.ts";
import { readHeaders } from "./read_headers.ts";
import type { ViewPosition } from "./view_position.ts";

/** Letters, of all policies, among which is looked first, from the end; then four times as many before them, and so on. */
const FIRST_LOOK = 1_000;
const NEXT_LOOK = 4;
/** Letters cannot be older than the event behind the position; the clocks of a site's servers may differ by this. */
const CLOCKS_DIFFER_MS = 120_000;

/** Which dead letters. */
export interface LettersOf {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly tenant: string;
  readonly policy: string;
  readonly sourceStream: string;
}

/** An event of the source: one that a stream was rolled back over has the same sequence, and another time. */
export interface EventPlace {
  readonly sequence: number;
  readonly timeMs: number;
}

/** The letters that were found; 16 bytes each. */
export class StoredLetters {
  /** Life of the source that they are of. */
  readonly epoch: string;
  /** Life of the dead-letter stream, and its sequence up to which it was looked through. */
  readonly stream: string;
  readonly upTo: number;
  /** Position behind which they were looked for. */
  readonly position: number;
  /** Patterns of the subjects that were looked at, as text. */
  readonly subjects: string;
  /** Ascending. */
  readonly #sequences: Float64Array;
  readonly #times: Float64Array;

  /** @param places ascending */
  constructor(
    places: readonly EventPlace[],
    from: Pick<StoredLetters, "epoch" | "stream" | "upTo" | "position" | "subjects">,
  ) {
    this.epoch = from.epoch;
    this.stream = from.stream;
    this.upTo = from.upTo;
    this.position = from.position;
    this.subjects = from.subjects;
    this.#sequences = Float64Array.from(places, ({ sequence }) => sequence);
    this.#times = Float64Array.from(places, ({ timeMs }) => timeMs);
  }

  /** Whether an event of the source's life has a letter. */
  has({ sequence, timeMs }: EventPlace): boolean {
    const all = this.#sequences;
    if (all.length === 0 || sequence > (all.at(-1) as number)) return false;
    for (let at = this.#firstFrom(sequence); all[at] === sequence; at++) {
      if (Math.abs((this.#times[at] as number) - timeMs) <= 1) return true;
    }
    return false;
  }

  /** Whether some event of a sequence has one. */
  hasAt(sequence: number): boolean {
    return this.#sequences[this.#firstFrom(sequence)] === sequence;
  }

  /** Those behind a position. */
  after(position: number): EventPlace[] {
    const first = this.#firstFrom(position + 1);
    return Array.from(this.#sequences.subarray(first), (sequence, at) => {
      return { sequence, timeMs: this.#times[first + at] as number };
    });
  }

  #firstFrom(sequence: number): number {
    let low = 0;
    let high = this.#sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sequences[middle] as number) < sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** No letters, and none looked through. */
export const NO_LETTERS = new StoredLetters([], {
  epoch: "",
  stream: "",
  upTo: 0,
  position: 0,
  subjects: "",
});

/**
 * Finds the letters of a policy's events behind the position that a session starts from. They are among the policy's last: it
 * looks from the end back to one that the position has passed, or that is older than any event behind the position; what
 * it has looked through before it does not look through again.
 * @param before what was found when the session before this one started
 * @throws when the server does not answer
 */
export async function findStoredLetters(
  of: LettersOf,
  start: ViewPosition,
  before: StoredLetters,
): Promise<StoredLetters> {
  const epoch = start.sourceEpoch;
  const subjects = start.filters.map((pattern) => dlqSubject(tenantSubjectOf(pattern)));
  const text = subjects.join(" ");
  const { position } = start;
  const same = before.epoch === epoch && before.subjects === text;
  // A position goes back where the view was rolled back.
  const kept = same && before.position <= position ? before : NO_LETTERS;
  if (start.pending === 0 || position >= start.end) return kept;
  const stream = dlqStream(of.tenant);
  const info = await of.jsm.streams.info(stream).catch((error: unknown) => {
    if (isStreamNotFound(error)) return null;
    throw error;
  });
  if (info === null) return NO_LETTERS;
  const { first_seq: first, last_seq: last } = info.state;
  const known = kept.stream === info.created && kept.upTo <= last ? kept : NO_LETTERS;
  const places = known.after(position);
  const least = Math.max(first, known.upTo + 1);
  let eventMs: number | null = null;
  let many = FIRST_LOOK;
  for (let to = last; to >= least; many *= NEXT_LOOK) {
    const from = Math.max(least, to - many + 1);
    let oldestMs = Number.POSITIVE_INFINITY;
    let passed = false;
    for await (const message of readHeaders(of, stream, { from, to, subjects })) {
      oldestMs = Math.min(oldestMs, message.time.getTime());
      const place = placeOf(message, of.policy, epoch);
      if (place === null || place.sequence > start.end) continue;
      if (place.sequence > position) places.push(place);
      else passed = true;
    }
    to = from - 1;
    if (passed || to < least) break;
    eventMs ??= await nextEventMs(of, start);
    if (oldestMs !== Number.POSITIVE_INFINITY && oldestMs < eventMs - CLOCKS_DIFFER_MS) break;
  }
  await dropGone(of, start, places);
  return new StoredLetters(places, { epoch, stream: info.created, upTo: last, position, subjects: text });
}

/** Drops the last ones as far as their events are erased: no session comes to those, and what waits for that would wait on. */
async function dropGone(
  { jsm, sourceStream }: LettersOf,
  { firstSequence }: ViewPosition,
  places: EventPlace[],
): Promise<void> {
  places.sort((a, b) => a.sequence - b.sequence);
  for (let last = places.at(-1); last !== undefined; last = places.at(-1)) {
    const { sequence } = last;
    if (sequence >= firstSequence && (await jsm.streams.getMessage(sourceStream, { seq: sequence })) !== null)
      return;
    places.pop();
  }
}

/** The event of a letter that is of this policy and life of its source. */
function placeOf({ headers }: JsMsg, policy: string, epoch: string): EventPlace | null {
  if (headers?.get(DLQ_HEADERS.policy) !== singleLine(policy, 128)) return null;
  // Those of before 0.2 have it in their id alone.
  const of = headers.get(DLQ_HEADERS.epoch) || headers.get("Nats-Msg-Id").split(":").at(-2);
  if (of !== epoch) return null;
  const sequence = Number(headers.get(DLQ_HEADERS.position));
  const timeMs = Number(headers.get(DLQ_HEADERS.time));
  return Number.isSafeInteger(sequence) && sequence > 0 ? { sequence, timeMs } : null;
}

/** When the source stored the first event behind the position. */
async function nextEventMs({ jsm, sourceStream }: LettersOf, start: ViewPosition): Promise<number> {
  const [only = ">", ...others] = start.filters;
  const where = { seq: start.position + 1, next_by_subj: others.length === 0 ? only : ">" };
  const message = await jsm.streams.getMessage(sourceStream, where);
  return message?.time.getTime() ?? Number.POSITIVE_INFINITY;
}
