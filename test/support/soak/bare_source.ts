/** Bare stream sources of nats-server: what the routes' catching up is held against. */
import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { type BarePairOptions, nearSource, startBarePair } from "../../../scripts/bench/bare_pair.ts";
import { median } from "../../../scripts/bench/server.ts";

export interface BareCatchUp {
  /** A stream of the near server's store. */
  readonly stream: string;
  readonly tenant: string;
  /** What is sourced: behind this sequence, up to that one. */
  readonly from: number;
  readonly to: number;
}

export interface BareOptions extends BarePairOptions {
  /** What is sourced at once. */
  readonly catchUps: readonly BareCatchUp[];
  readonly runs: number;
}

/** Events a second that one server sources from another, of all streams together: the median of some runs. */
export async function bareSourceRate(options: BareOptions): Promise<number> {
  const rates: number[] = [];
  for (let run = 0; run < options.runs; run++) rates.push(await oneRun(options));
  return median(rates);
}

async function oneRun({ catchUps, ...options }: BareOptions): Promise<number> {
  await using pair = await startBarePair(options);
  const jsm = await jetstreamManager(await pair.far.connect());
  for (const { stream, tenant, from } of catchUps) {
    await jsm.streams.add({
      name: stream,
      sources: [nearSource(stream, from + 1)],
      // As the stream that a site takes events in with.
      republish: { src: `*.${tenant}.>`, dest: `${tenant}.>` },
    } as unknown as StreamConfig);
  }
  const all = catchUps.map(({ stream, from, to }) => ({ stream, from: 0, to: to - from }));
  return togetherPerSecond(await Promise.all(all.map((one) => caughtUp(jsm, one, 600_000))));
}

/** When events of a stream were stored. */
export interface Stored {
  readonly events: number;
  /** Milliseconds since 1970. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/**
 * Waits until a stream has `to` events. @returns when those behind `from` were stored
 * @throws Error after the deadline
 */
export async function caughtUp(
  jsm: JetStreamManager,
  { stream, from, to }: { readonly stream: string; readonly from: number; readonly to: number },
  deadlineMs: number,
): Promise<Stored> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const { last_seq: last } = (await jsm.streams.info(stream)).state;
    if (last >= to) break;
    if (performance.now() > deadline) throw new Error(`Stream ${stream} stays at ${last} of ${to}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const timeOf = async (seq: number) => {
    const message = await jsm.streams.getMessage(stream, { seq });
    if (message === null) throw new Error(`Stream ${stream} lacks ${seq}`);
    return message.time.getTime();
  };
  return { events: to - from, firstMs: await timeOf(from + 1), lastMs: await timeOf(to) };
}

/** Events a second of several streams, from the first event of any of them to the last one. */
export function togetherPerSecond(all: readonly Stored[]): number {
  const events = all.reduce((sum, one) => sum + one.events, 0);
  const firstMs = Math.min(...all.map((one) => one.firstMs));
  const lastMs = Math.max(...all.map((one) => one.lastMs));
  return (events * 1000) / Math.max(1, lastMs - firstMs);
}
