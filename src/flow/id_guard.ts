/**
 * Keeps two different events with one producer's id from reaching a view within the view's own duplicate window.
 *
 * The origin stores an id again once its window has passed. A worker that catches up sends both within moments, and the
 * view, whose window cannot be switched off, would swallow the second without a word. The guard knows the ids of what
 * was stored in the last moments; only when those events span more than the origin's window does it look anything up.
 */

/** How long ids are kept after their events are stored: the server purges its window of 100 ms up to 100 ms late. */
const KEEP_MS = 250;
const CAPACITY = 131_072;
/** What a view that is little used takes: the ring grows with what is stored within {@link KEEP_MS}. */
const FIRST_CAPACITY = 2_048;
/** Times are cut to milliseconds, and a server's timer may be a little early. */
const CLOCK_SLACK_MS = 10;

/** 53 bits of an id's bytes: a lookup key that costs no string. Two lanes of FNV-1a. */
export function hashId(bytes: Uint8Array, from: number, to: number): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = from; i < to; i++) {
    const byte = bytes[i] as number;
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x85ebca6b) ^ (b >>> 15);
  }
  return (a >>> 0) * 0x200000 + (b >>> 11);
}

export class IdGuard {
  readonly #originWindowMs: number;
  readonly #now: () => number;
  #capacity = FIRST_CAPACITY;
  #hashes = new Float64Array(FIRST_CAPACITY);
  #times = new Float64Array(FIRST_CAPACITY);
  #ordinals = new Float64Array(FIRST_CAPACITY);
  #head = 0;
  #tail = 0;
  /** Ids of the ring, kept only while it spans more than the window. */
  #seen: Map<number, number> | null = null;
  #earliest = Number.POSITIVE_INFINITY;
  #checkpoint = 0;
  #checkpointAt = 0;
  #storedNow = 0;

  /**
   * @param originWindowMs the duplicate window of the stream that took the events in
   * @param now milliseconds of a clock that never goes back
   */
  constructor(originWindowMs: number, now: () => number = () => performance.now()) {
    this.#originWindowMs = originWindowMs;
    this.#now = now;
    this.#checkpointAt = now();
  }

  /** Whether an event with the id of `hash`, stored at its origin at `timeMs`, would be taken for one just stored. */
  repeats(hash: number, timeMs: number): boolean {
    this.#evict();
    if (this.#head === this.#tail) return false;
    if (this.#seen === null) {
      if (timeMs - this.#earliest < this.#originWindowMs - CLOCK_SLACK_MS && timeMs >= this.#earliest)
        return false;
      this.#seen = new Map();
      for (let i = this.#tail; i < this.#head; i++)
        this.#count(this.#hashes[i % this.#capacity] as number, 1);
    }
    return this.#seen.has(hash);
  }

  /** Remembers the id of an event that is sent as number `ordinal`. */
  sent(hash: number, timeMs: number, ordinal: number): void {
    if (this.#head - this.#tail >= this.#capacity) {
      if (this.#capacity < CAPACITY) this.#grow();
      else this.#drop();
    }
    const at = this.#head++ % this.#capacity;
    this.#hashes[at] = hash;
    this.#times[at] = timeMs;
    this.#ordinals[at] = ordinal;
    if (timeMs < this.#earliest) this.#earliest = timeMs;
    if (this.#seen !== null) this.#count(hash, 1);
  }

  /** The first `ordinal` events are stored. */
  stored(ordinal: number): void {
    this.#storedNow = ordinal;
  }

  /** Moves the checkpoint: what was stored at the last one, KEEP_MS ago or more, can be forgotten. */
  #evict(): void {
    const now = this.#now();
    if (now - this.#checkpointAt < KEEP_MS) return;
    const forget = this.#checkpoint;
    this.#checkpoint = this.#storedNow;
    this.#checkpointAt = now;
    if (this.#head === this.#tail || (this.#ordinals[this.#tail % this.#capacity] as number) > forget) return;
    while (this.#tail < this.#head && (this.#ordinals[this.#tail % this.#capacity] as number) <= forget)
      this.#drop();
    this.#earliest = Number.POSITIVE_INFINITY;
    let latest = Number.NEGATIVE_INFINITY;
    for (let i = this.#tail; i < this.#head; i++) {
      const time = this.#times[i % this.#capacity] as number;
      if (time < this.#earliest) this.#earliest = time;
      if (time > latest) latest = time;
    }
    if (latest - this.#earliest < this.#originWindowMs) this.#seen = null;
  }

  /** Doubles the ring; each entry keeps its number. */
  #grow(): void {
    const capacity = 2 * this.#capacity;
    const moved = (from: Float64Array): Float64Array<ArrayBuffer> => {
      const to = new Float64Array(capacity);
      for (let i = this.#tail; i < this.#head; i++) to[i % capacity] = from[i % this.#capacity] as number;
      return to;
    };
    this.#hashes = moved(this.#hashes);
    this.#times = moved(this.#times);
    this.#ordinals = moved(this.#ordinals);
    this.#capacity = capacity;
  }

  #drop(): void {
    const hash = this.#hashes[this.#tail++ % this.#capacity] as number;
    if (this.#seen !== null) this.#count(hash, -1);
  }

  #count(hash: number, change: 1 | -1): void {
    const seen = this.#seen;
    if (seen === null) return;
    const count = (seen.get(hash) ?? 0) + change;
    if (count > 0) seen.set(hash, count);
    else seen.delete(hash);
  }
}
