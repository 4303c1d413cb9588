/** What a piece of work spent its time with, for the log. */
export class Phases {
  readonly #now: () => number;
  readonly #started: number;
  readonly #spent: [string, number][] = [];
  #last: number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#started = now();
    this.#last = this.#started;
  }

  /** Ends a phase under its name; the next one begins. */
  done(phase: string): void {
    const now = this.#now();
    this.#spent.push([phase, now - this.#last]);
    this.#last = now;
  }

  get elapsedMs(): number {
    return Math.round(this.#now() - this.#started);
  }

  /** All of it, for example `412 ms (server 120, state 90, apply 202)`. */
  toString(): string {
    const parts = this.#spent.map(([phase, ms]) => `${phase} ${Math.round(ms)}`);
    return `${this.elapsedMs} ms (${parts.join(", ")})`;
  }
}
