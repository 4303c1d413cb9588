/** Waiting between attempts. */
import { sleep } from "../nats/wait.ts";

const FIRST_MS = 100;
const MOST_MS = 5_000;

/** Doubles from 100 ms to 5 s, each time with up to a half of chance. */
export class Backoff {
  readonly #random: () => number;
  #nextMs = FIRST_MS;
  #wake: (() => void) | null = null;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  nextMs(): number {
    const base = this.#nextMs;
    this.#nextMs = Math.min(MOST_MS, base * 2);
    return base * (1 + this.#random() / 2);
  }

  reset(): void {
    this.#nextMs = FIRST_MS;
  }

  /** Waits, until `wake` is called at the latest. */
  async pause(ms: number): Promise<void> {
    const abort = new AbortController();
    this.#wake = () => abort.abort();
    await sleep(ms, abort.signal);
    this.#wake = null;
  }

  /** Ends a running pause. */
  wake(): void {
    this.#wake?.();
  }
}
