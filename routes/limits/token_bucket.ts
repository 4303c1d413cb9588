/** How often something may happen: token buckets, one a key, in bounded memory. */

/** `burst` at once, then `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  left: number;
  atMs: number;
}

const MOST_KEYS = 10_000;

export class TokenBuckets {
  readonly #rate: Rate;
  readonly #now: () => number;
  /** The one that was used last stands last. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(rate: Rate, now: () => number) {
    this.#rate = rate;
    this.#now = now;
  }

  /** Takes one. @returns 0 when there was one, else in how many milliseconds there will be */
  take(key: string): number {
    const now = this.#now();
    const { perSecond, burst } = this.#rate;
    const before = this.#buckets.get(key);
    const left =
      before === undefined ? burst : Math.min(burst, before.left + ((now - before.atMs) * perSecond) / 1000);
    this.#buckets.delete(key);
    this.#buckets.set(key, { left: left < 1 ? left : left - 1, atMs: now });
    if (this.#buckets.size > MOST_KEYS) {
      // The one that was not used for longest: a full bucket again, most likely.
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return left < 1 ? ((1 - left) * 1000) / perSecond : 0;
  }
}
