/** When something is done about what is seen again and again: not at once, and then less and less often. */

/** How long is waited between two attempts for one thing, and how often it must be seen before the first. */
export interface Pace {
  /** After the first attempt; doubles up to `mostMs`. */
  readonly waitMs: number;
  readonly mostMs: number;
  /** Looks in a row that have found it, whatever the clock says. */
  readonly looks: number;
}
const PACE: Pace = { waitMs: 4000, mostMs: 60_000, looks: 1 };

interface Attempt {
  readonly next: number;
  readonly waitMs: number;
  readonly looks: number;
  /** That were made. */
  readonly count: number;
}

/** Attempts for the things that one look after the other finds. What a look does not find is forgotten. */
export class Retries {
  readonly #now: () => number;
  readonly #pace: Pace;
  #attempts = new Map<string, Attempt>();

  /** @param now milliseconds of a clock that never goes back. @param pace default: again after 4 s, at most every minute */
  constructor(now: () => number, pace = PACE) {
    this.#now = now;
    this.#pace = pace;
  }

  /**
   * Of all that one look has found, what is due now, with the number of the attempt from 1 on. `holdMs`: how long it may last before
   * the first attempt.
   */
  due<T extends { readonly key: string; readonly holdMs: number }>(
    found: Iterable<T>,
  ): (T & { readonly attempt: number })[] {
    const now = this.#now();
    const pace = this.#pace;
    const still = new Map<string, Attempt>();
    const due: (T & { readonly attempt: number })[] = [];
    for (const one of found) {
      const before = this.#attempts.get(one.key) ?? {
        next: now + one.holdMs,
        waitMs: pace.waitMs,
        looks: 0,
        count: 0,
      };
      const looks = before.looks + 1;
      if (now < before.next || looks < pace.looks) {
        still.set(one.key, { ...before, looks });
        continue;
      }
      still.set(one.key, {
        next: now + before.waitMs,
        waitMs: Math.min(before.waitMs * 2, pace.mostMs),
        looks,
        count: before.count + 1,
      });
      due.push({ ...one, attempt: before.count + 1 });
    }
    this.#attempts = still;
    return due;
  }
}
