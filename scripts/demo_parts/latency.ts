/** The latest latencies, in bounded memory. */
const CAPACITY = 20_000;

export interface Percentiles {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

/** Keeps the latest samples and tells their percentiles. */
export class LatencyWindow {
  readonly #samples: Float64Array;
  #count = 0;

  constructor(capacity: number = CAPACITY) {
    this.#samples = new Float64Array(capacity);
  }

  add(ms: number): void {
    this.#samples[this.#count++ % this.#samples.length] = ms;
  }

  /** `null` without samples. */
  percentiles(): Percentiles | null {
    const kept = Math.min(this.#count, this.#samples.length);
    if (kept === 0) return null;
    const sorted = this.#samples.slice(0, kept).sort();
    const at = (share: number) => sorted[Math.min(kept - 1, Math.floor(kept * share))] as number;
    return { p50: at(0.5), p99: at(0.99) };
  }
}
