/**
 * Tells when a view that is said to run does not: events wait for it, no limit holds it, and nothing moves. It should not come to
 * that; where it does, a new session from what the view holds is always right, and cheaper than waiting for somebody to look.
 */

/** Longer than any answer is waited for: a server that does not answer ends a session earlier. */
const STILL_MS = 30_000;

/** What a session shows of itself. */
export interface Moving {
  /** Changes with everything that the session gets done. */
  readonly place: string;
  /** Whether it may stand: a limit or a lease holds it. */
  readonly held: boolean;
}

export class Standstill {
  readonly #now: () => number;
  #place: string | null = null;
  #since = 0;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Looks once, every few seconds.
   * @param waiting whether there are events for it; asked only when it stands
   */
  async look({ place, held }: Moving, waiting: () => Promise<boolean>): Promise<boolean> {
    if (held || place !== this.#place) {
      this.#place = place;
      this.#since = this.#now();
      return false;
    }
    if (this.#now() - this.#since < STILL_MS) return false;
    this.#since = this.#now();
    return await waiting();
  }
}
