/**
 * What a peer may ask of this sidecar, and how often: a peer gone bad must not keep it busy, and a request that was heard on
 * the way must not be asked again. Bounded in what it remembers.
 */

/** A request is taken when its sender's clock is at most this far from ours. */
export const MAX_CLOCK_SKEW_MS = 120_000;
/** Largest request. */
export const MAX_REQUEST_BYTES = 512 * 1024;
/** Work that a peer may ask for, in units a second, and how much of it at once. */
const UNITS_PER_SECOND = 50;
const BURST_UNITS = 200;
/** A request costs a unit, and one more for each of these bytes. */
const BYTES_PER_UNIT = 16 * 1024;
/** Requests of a peer that are worked on at once. */
const MAX_IN_HAND = 8;
/** Nonces that are remembered of a peer; what is older than those that were forgotten is refused. */
const MAX_NONCES = 4096;
/** Refusals of one kind are answered at this pace. */
const ANSWER_EVERY_MS = 1000;

interface PeerRecord {
  units: number;
  filledAt: number;
  inHand: number;
  /** Requests signed before then are refused: they may have been taken already. By the clock that is never set. */
  floor: number;
  readonly nonces: Map<string, number>;
  readonly answered: Map<string, number>;
}

/** Whether a request is worked on. */
export type Admission = "yes" | "too_large" | "too_often";

export class RequestGuard {
  readonly #now: () => number;
  readonly #steady: () => number;
  readonly #startedAt: number;
  readonly #peers = new Map<string, PeerRecord>();

  /**
   * @param now milliseconds since 1970: the clock that requests are held against
   * @param steady milliseconds of a clock that is never set: a start while the other one was ahead must not refuse all until then
   */
  constructor(now: () => number, steady: () => number = () => performance.now()) {
    this.#now = now;
    this.#steady = steady;
    // What was taken before this start is not remembered.
    this.#startedAt = steady();
  }

  /** Before anything is done with a request, its signature included. Who is admitted is given back with {@link done}. */
  admit(peer: string, bytes: number, units = 1): Admission {
    if (bytes > MAX_REQUEST_BYTES) return "too_large";
    const record = this.#record(peer);
    const now = this.#now();
    const refilled = record.units + (Math.max(0, now - record.filledAt) / 1000) * UNITS_PER_SECOND;
    record.units = Math.min(BURST_UNITS, refilled);
    record.filledAt = now;
    const cost = units + Math.floor(bytes / BYTES_PER_UNIT);
    if (record.units < cost || record.inHand >= MAX_IN_HAND) return "too_often";
    record.units -= cost;
    record.inHand++;
    return "yes";
  }

  /** A request that was admitted is answered. */
  done(peer: string): void {
    const record = this.#record(peer);
    record.inHand = Math.max(0, record.inHand - 1);
  }

  /**
   * Whether a request whose signature is good was made now and is new.
   * @param name what who has sent it is called in the refusal, where that is not what its requests are counted by
   * @returns why it is refused; `null` when it is taken
   */
  fresh(peer: string, request: { readonly at: number; readonly nonce: string }, name = peer): string | null {
    const record = this.#record(peer);
    const skew = request.at - this.#now();
    if (Math.abs(skew) > MAX_CLOCK_SKEW_MS) {
      const seconds = Math.round(Math.abs(skew) / 1000);
      return `the clock of ${name} is ${seconds} s ${skew > 0 ? "ahead of" : "behind"} ours, or the request is an old one: at most ${MAX_CLOCK_SKEW_MS / 1000} s are taken`;
    }
    if (this.#steadyAt(request.at) < record.floor || record.nonces.has(request.nonce))
      return "the request was made before this sidecar started, or was answered already";
    record.nonces.set(request.nonce, request.at);
    this.#forget(record);
    return null;
  }

  /** Whether a refusal of this kind is answered: at most once an interval. */
  mayAnswer(peer: string, kind: string): boolean {
    const { answered } = this.#record(peer);
    const now = this.#now();
    const last = answered.get(kind);
    if (last !== undefined && now - last < ANSWER_EVERY_MS && now >= last) return false;
    answered.set(kind, now);
    return true;
  }

  /** Forgets those that are no peers any more. */
  keep(peers: ReadonlySet<string>): void {
    for (const peer of this.#peers.keys()) if (!peers.has(peer)) this.#peers.delete(peer);
  }

  /** Of the oldest only the time is kept: nothing older is taken any more. */
  #forget(record: PeerRecord): void {
    for (const [nonce, at] of record.nonces) {
      const old = at < this.#now() - MAX_CLOCK_SKEW_MS;
      if (!old && record.nonces.size <= MAX_NONCES) return;
      record.nonces.delete(nonce);
      // One from before the clock was set back is refused by its time alone: what is signed now would be older than it.
      const ahead = at > this.#now() + MAX_CLOCK_SKEW_MS;
      if (!old && !ahead) record.floor = Math.max(record.floor, this.#steadyAt(at) + 1);
    }
  }

  /** A time of the clock as it is set now. */
  #steadyAt(at: number): number {
    return at - this.#now() + this.#steady();
  }

  #record(peer: string): PeerRecord {
    const there = this.#peers.get(peer);
    if (there !== undefined) return there;
    const record: PeerRecord = {
      units: BURST_UNITS,
      filledAt: this.#now(),
      inHand: 0,
      floor: this.#startedAt,
      nonces: new Map(),
      answered: new Map(),
    };
    this.#peers.set(peer, record);
    return record;
  }
}
