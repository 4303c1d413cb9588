/** Records a view's position on the server now and then: soon after it moves, seldom while it keeps moving. */

export interface ProgressOptions {
  readonly record: (position: number) => Promise<void>;
  readonly onError: (error: unknown) => void;
  /** From the first move to the record of it. Default 50 ms. */
  readonly delayMs?: number;
  /** The server counts what is left at each record, which takes it longer with a long backlog. */
  readonly costFactor?: number;
}

const DELAY_MS = 50;
const COST_FACTOR = 20;
const RETRY_MS = 1_000;

export class Progress {
  readonly #options: ProgressOptions;
  #position = 0;
  #recorded = 0;
  #costMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | null = null;
  #stopped = false;

  /** @param position what the record says already */
  constructor(position: number, options: ProgressOptions) {
    this.#position = position;
    this.#recorded = position;
    this.#options = options;
  }

  /** All up to `position` is dealt with. */
  moved(position: number): void {
    this.#position = position;
    this.#schedule();
  }

  /** Records what is not recorded yet. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#running !== null) await this.#running;
    if (this.#position !== this.#recorded) await this.#record();
  }

  /** Records nothing more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(failed = false): void {
    if (this.#timer !== undefined || this.#running !== null || this.#stopped) return;
    const least = failed ? RETRY_MS : (this.#options.delayMs ?? DELAY_MS);
    const pause = this.#costMs * (this.#options.costFactor ?? COST_FACTOR);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        void this.#record();
      },
      Math.max(least, pause),
    );
  }

  async #record(): Promise<void> {
    const position = this.#position;
    const startedAt = performance.now();
    this.#running = this.#options.record(position).then(
      () => {
        this.#recorded = position;
      },
      (error: unknown) => this.#options.onError(error),
    );
    await this.#running;
    this.#running = null;
    this.#costMs = performance.now() - startedAt;
    if (this.#position !== this.#recorded) this.#schedule(this.#recorded !== position);
  }
}
