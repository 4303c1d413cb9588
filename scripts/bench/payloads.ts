/** Payloads to measure the engine with, and two ways to treat them that take turns. */
import { createRequire } from "node:module";
import { payload } from "./events.ts";
import { median } from "./server.ts";

const encoder = new TextEncoder();

/** Orders of about 300 bytes. */
export function orders(): Uint8Array[] {
  return Array.from({ length: 64 }, (_, i) => encoder.encode(payload(i * 997)));
}

/** GitHub's webhook examples of about 10 kB that have a sender and a repository. */
export function webhooks(): Uint8Array[] {
  const events = createRequire(import.meta.url)("@octokit/webhooks-examples") as readonly {
    readonly examples: readonly object[];
  }[];
  return events
    .flatMap((event) => event.examples)
    .filter((example) => "sender" in example && "repository" in example)
    .map((example) => encoder.encode(JSON.stringify(example)))
    .filter(({ length }) => length > 9000 && length < 11_000)
    .slice(0, 32);
}

/** One way to treat a payload. What it returns is only added up, so that it is not left out. */
export type Treat = (data: Uint8Array) => number;

export interface Turns {
  readonly payloads: readonly Uint8Array[];
  /** Payloads of one run. */
  readonly count: number;
  readonly runs: number;
}

/** Nanoseconds a payload. */
function time({ payloads, count }: Turns, treat: Treat): number {
  let sum = 0;
  const start = performance.now();
  for (let i = 0; i < count; i++) sum += treat(payloads[i % payloads.length] as Uint8Array);
  const ns = ((performance.now() - start) * 1e6) / count;
  if (sum === 0) throw new Error("Nothing was done");
  return ns;
}

/** Lets two ways take turns, in short runs, so that other work on the machine slows both. Medians: the ratio is that of pairs. */
export function takeTurns(
  turns: Turns,
  ours: Treat,
  baseline: Treat,
): { readonly ratio: number; readonly oursNs: number; readonly baselineNs: number } {
  const samples: { readonly ours: number; readonly baseline: number }[] = [];
  for (let run = -20; run < turns.runs; run++) {
    const sample = { ours: time(turns, ours), baseline: time(turns, baseline) };
    // The first ones warm up.
    if (run >= 0) samples.push(sample);
  }
  return {
    ratio: Number(median(samples.map((one) => one.baseline / one.ours)).toFixed(2)),
    oursNs: Math.round(median(samples.map((one) => one.ours))),
    baselineNs: Math.round(median(samples.map((one) => one.baseline))),
  };
}
