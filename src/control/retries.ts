/** When something is done about what is seen again and again: not at once, and then less and less often. */

/** Between two attempts for one thing: doubles up to the second value. */
const RETRY_MS = 4000;
const MAX_RETRY_MS = 60_000;

interface Attempt {
  readonly next: number;
  readonly waitMs: number;
}

/** Attempts for the things that one look after the other finds. What a look does not find is forgotten. */
export class Retries {
  readonly #now: () => number;
  #attempts = new Map<string, Attempt>();

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Of all that one look has found, what is due now. `holdMs`: how long it may last before the first attempt. */
  due<T extends { readonly key: string; readonly holdMs: number }>(found: Iterable<T>): T[] {
    const now = this.#now();
    const still = new Map<string, Attempt>();
    const due: T[] = [];
    for (const one of found) {
      const known = this.#attempts.get(one.key) ?? { next: now + one.holdMs, waitMs: RETRY_MS };
      if (now < known.next) {
        still.set(one.key, known);
        continue;
      }
      still.set(one.key, { next: now + known.waitMs, waitMs: Math.min(known.waitMs * 2, MAX_RETRY_MS) });
      due.push(one);
    }
    this.#attempts = still;
    return due;
  }
}
