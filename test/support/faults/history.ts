/** What was done to a mesh and when, so that what went wrong can be held against it. */

import { SITES } from "./scenario.ts";

export interface HistoryEntry {
  /** Milliseconds since the start. */
  readonly atMs: number;
  readonly text: string;
}

/** Notes in order of time. */
export class History {
  readonly entries: HistoryEntry[] = [];
  readonly #start = performance.now();
  readonly #log: (line: string) => void;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Milliseconds since the start. */
  nowMs(): number {
    return Math.round(performance.now() - this.#start);
  }

  note(text: string): void {
    const atMs = this.nowMs();
    this.entries.push({ atMs, text });
    this.#log(`${(atMs / 1000).toFixed(1).padStart(7)} s  ${text}`);
  }

  /** What was noted from `beforeMs` before a moment to `afterMs` after it; with `sites`, of what names one of them or none at all. */
  around(
    atMs: number,
    beforeMs = 12_000,
    afterMs = 6000,
    sites: readonly string[] = SITES,
  ): readonly string[] {
    const others = SITES.filter((site) => !sites.includes(site));
    const concerns = (text: string) =>
      sites.some((site) => text.includes(site)) || !others.some((site) => text.includes(site));
    return this.entries
      .filter(
        (entry) => entry.atMs >= atMs - beforeMs && entry.atMs <= atMs + afterMs && concerns(entry.text),
      )
      .map((entry) => `${(entry.atMs / 1000).toFixed(1)} s ${entry.text}`);
  }
}
