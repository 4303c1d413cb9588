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
  const rates = await Promise.all(
    catchUps.map(async ({ stream, tenant, from, to }) => {
      await jsm.streams.add({
        name: stream,
        sources: [nearSource(stream, from + 1)],
        // As the stream that a site takes events in with.
        republish: { src: `*.${tenant}.>`, dest: `${tenant}.>` },
      } as unknown as StreamConfig);
      return await storedRate(jsm, stream, { from: 0, to: to - from, deadlineMs: 600_000 });
    }),
  );
  return rates.reduce((sum, rate) => sum + rate, 0);
}

/** Waits until a stream has `to` events. @returns events a second of those after `from`, by when each was stored */
export async function storedRate(
  jsm: JetStreamManager,
  stream: string,
  { from, to, deadlineMs }: { readonly from: number; readonly to: number; readonly deadlineMs: number },
): Promise<number> {
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
  const tookMs = (await timeOf(to)) - (await timeOf(from + 1));
  return ((to - from - 1) * 1000) / Math.max(1, tookMs);
}
