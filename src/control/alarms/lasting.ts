/** What must hold for a while before it is an alarm. */

/** Remembers since when things hold. */
export class Lasting {
  readonly #now: () => number;
  #since = new Map<string, number>();
  #next = new Map<string, number>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** How long it has held, milliseconds; to be asked in each round in which it holds. */
  held(key: string): number {
    const now = this.#now();
    const since = this.#since.get(key) ?? now;
    this.#next.set(key, since);
    return now - since;
  }

  /** Ends a round: what was not asked for in it holds no more. */
  endRound(): void {
    this.#since = this.#next;
    this.#next = new Map();
  }
}
