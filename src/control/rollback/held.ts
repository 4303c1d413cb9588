/**
 * Routes that are held when a server starts anew. Its store may be an older copy: then sequences that a peer has stored
 * already are used again, and the peer's server would pass over the new events. So nothing is delivered to a peer before
 * it has said how far it has stored the stream; {@link placeRoute} then lets it go on from there.
 */
import type { ConsumerConfig, JetStreamManager } from "@nats-io/jetstream";
import { z } from "zod";
import { parseStreamName } from "../../model/names.ts";
import { addConsumer } from "../apply_consumers.ts";
import type { ConsumerSpec } from "../assets.ts";
import { pauseConsumer } from "../hold_consumer.ts";
import { filledFrom, isPeerConsumer, type ObservedStreams, observeMesh } from "../observe.ts";
import { together } from "../together.ts";
import type { HoldNote } from "./hold_note.ts";

/** Metadata of a peer's consumer: {@link HeldAt} as JSON, while it is held. */
const HELD = "leafmesh-held";

/** Kinds of streams that routes to peers begin in. */
const ROUTED: ReadonlySet<string> = new Set(["out", "in", "quiet", "view"]);

const HeldAt = z.object({
  /** Last sequence of the stream when it was held: what comes behind it is new. */
  last: z.int().nonnegative(),
  /** The same of the stream that a view is filled from. */
  source: z.int().nonnegative(),
  /**
   * Of a consumer that was made where the peer may have had one before: what a peer goes on after that has more than `last`. It is not
   * known how much of what is here it has; `source` is the position of this.
   */
  after: z.int().nonnegative().optional(),
  /** Beside it: the peer turned out to have more than there was of the stream that a view is filled from, by another stream. */
  ahead: z.boolean().optional(),
  /** After which sequence the peer was asked to take it up again. */
  again: z.int().nonnegative().optional(),
});
export type HeldAt = z.infer<typeof HeldAt>;

/** Where a consumer is held; `null`: it is not. */
export function heldAt({ metadata }: Pick<ConsumerConfig, "metadata">): HeldAt | null {
  const text = metadata?.[HELD] ?? "";
  return text === "" ? null : HeldAt.parse(JSON.parse(text));
}

/**
 * Holds all routes to peers. Must be called before anything can be published or delivered. A route that is still held from
 * an earlier start stays held where it was: the peer has got nothing since. Not so one that stands held in an older copy only.
 * @returns how many
 */
export async function holdRoutes(mesh: JetStreamManager, note: HoldNote): Promise<number> {
  const streams = await observeMesh(mesh);
  const routes = [...streams].flatMap(([stream, { info, consumers }]) => {
    // What is replayed is no route.
    if (!ROUTED.has(parseStreamName(stream)?.type ?? "")) return [];
    const last = info.state.last_seq;
    const source = lastOf(streams, filledFrom(info.config));
    return [...consumers.values()]
      .filter(({ name }) => isPeerConsumer(name))
      .map(({ name: consumer, config, paused }) => {
        const found = heldAt(config);
        const before = found !== null && note.knows(stream, consumer, found.last) ? found : null;
        const held = {
          last: Math.min(before?.last ?? Number.POSITIVE_INFINITY, last),
          source: Math.min(before?.source ?? Number.POSITIVE_INFINITY, source),
          ...(before?.after === undefined ? {} : { after: Math.min(before.after, last) }),
          ...(before?.ahead === undefined ? {} : { ahead: before.ahead }),
        };
        return { stream, consumer, paused, held, last: held.last };
      });
  });
  await note.replace(routes);
  await together(routes, async ({ stream, consumer, paused, held }) => {
    if (!paused) await pauseConsumer(mesh, stream, consumer);
    await writeHeld(mesh, stream, consumer, held);
  });
  return routes.length;
}

/** Makes a consumer that is held from its beginning. */
export async function addHeld(
  { mesh, holds }: { readonly mesh: JetStreamManager; readonly holds: HoldNote },
  stream: string,
  spec: ConsumerSpec,
  after: number,
  at: HeldAt,
): Promise<void> {
  await holds.put(stream, spec.durable_name, at.last);
  await addConsumer(mesh, stream, spec, after, { paused: true, metadata: { [HELD]: JSON.stringify(at) } });
}

/** Writes down where a consumer is held; `null`: that it is not any more. */
export async function noteHeld(
  { mesh, holds }: { readonly mesh: JetStreamManager; readonly holds: HoldNote },
  stream: string,
  consumer: string,
  at: HeldAt | null,
): Promise<void> {
  await holds.put(stream, consumer, at?.last ?? null);
  await writeHeld(mesh, stream, consumer, at);
}

async function writeHeld(
  mesh: JetStreamManager,
  stream: string,
  consumer: string,
  at: HeldAt | null,
): Promise<void> {
  const { config } = await mesh.consumers.info(stream, consumer);
  const metadata = { ...config.metadata };
  if (at === null) delete metadata[HELD];
  else metadata[HELD] = JSON.stringify(at);
  await mesh.consumers.update(stream, consumer, { metadata } as Partial<ConsumerConfig> as ConsumerConfig);
}

function lastOf(streams: ObservedStreams, stream: string): number {
  return streams.get(stream)?.info.state.last_seq ?? 0;
}
