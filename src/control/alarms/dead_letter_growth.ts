/** Whether a tenant's dead letters grow: many within some minutes, whatever was removed meanwhile. */
import type { Danger, DeadLetterFill } from "./dangers.ts";

const WINDOW_MS = 10 * 60_000;
const SAMPLES = 10;
/** So many within the window are told. */
const MANY = 100;

interface Sample {
  readonly at: number;
  readonly last: number;
}

export class DeadLetterGrowth {
  readonly #now: () => number;
  /** Of each tenant at most {@link SAMPLES}, the oldest first. */
  #samples = new Map<string, readonly Sample[]>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes what is there now; tenants that are not named are forgotten. */
  find(fills: readonly DeadLetterFill[]): Danger[] {
    const now = this.#now();
    const next = new Map<string, readonly Sample[]>();
    const dangers: Danger[] = [];
    for (const { tenant, last } of fills) {
      const known = (this.#samples.get(tenant) ?? []).filter(
        ({ at, last: before }) => now - at <= WINDOW_MS && before <= last,
      );
      const newest = known.at(-1);
      const due = newest === undefined || now - newest.at >= WINDOW_MS / SAMPLES;
      const samples = due ? [...known, { at: now, last }].slice(-SAMPLES - 1) : known;
      next.set(tenant, samples);
      const added = last - (samples[0]?.last ?? last);
      if (added < MANY) continue;
      const detail = `${added} dead letters in the last ten minutes`;
      dangers.push({ name: "dead-letters-growing", target: tenant, tenant, detail });
    }
    this.#samples = next;
    return dangers;
  }
}
