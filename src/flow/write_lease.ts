/**
 * For how long a view may be written. A thread asks the main thread, which knows whether another sidecar may have taken the view over;
 * the answer counts from when it was asked, by the clock of the thread alone. So a process that was stopped for a while finds its
 * lease over before it writes.
 */
export interface WriteLease {
  /** Whether the view may be written now. */
  readonly open: () => boolean;
  /** Hears when it may be again. @returns ends it */
  readonly onOpen: (listener: () => void) => () => void;
}

/** Of a sidecar that is alone. */
export const UNLIMITED: WriteLease = { open: () => true, onOpen: () => () => {} };

/** A lease that is asked for again and again. */
export class AskedLease implements WriteLease {
  readonly #ask: (asked: number) => void;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();
  #until = 0;
  #closed = true;

  /** @param now milliseconds of a monotonic clock */
  constructor(ask: (asked: number) => void, now: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#now = now;
  }

  /** Asks once. */
  ask(): void {
    this.#ask(this.#now());
  }

  /** The answer to what was asked at `asked`. */
  answered(asked: number, ms: number): void {
    this.#until = asked + ms;
    if (!this.#closed || this.#now() >= this.#until) return;
    this.#closed = false;
    for (const listener of [...this.#listeners]) listener();
  }

  readonly open = (): boolean => {
    const open = this.#now() < this.#until;
    if (!open) this.#closed = true;
    return open;
  };

  readonly onOpen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}
