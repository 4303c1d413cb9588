/** A bare stream source of nats-server over a plain leaf link: what a route's catching up is held against. */
import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { nearSource, startBarePair } from "../../../scripts/bench/bare_pair.ts";
import { fillStream } from "./fill.ts";

const STREAM = "events";

export interface BareOptions {
  readonly events: number;
  readonly payload: string;
  /** When stores are flushed, as `server.sync` of the sites. */
  readonly sync: string;
}

/** Events a second that one server sources from another, of so many. */
export async function bareSourceRate({ events, payload, sync }: BareOptions): Promise<number> {
  await using pair = await startBarePair(sync);
  const { near, far } = pair;
  const nc = await near.connect();
  const nearJsm = await jetstreamManager(nc);
  await nearJsm.streams.add({ name: STREAM, subjects: ["acme.>"] });
  await fillStream(nc, "acme.orders.x", payload, events);
  const farJsm = await jetstreamManager(await far.connect());
  await farJsm.streams.add({
    name: STREAM,
    sources: [nearSource(STREAM)],
    // As the stream that a site takes events in with.
    republish: { src: "acme.>", dest: "heard.acme.>" },
  } as unknown as StreamConfig);
  return await storedRate(farJsm, STREAM, { from: 0, to: events, deadlineMs: 600_000 });
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
