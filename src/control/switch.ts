/** Up to which position a peer has all that its old route gave it. */
import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import { parseStreamName, viewConsumer } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import type { ApplyContext, PeerPosition } from "./apply.ts";
import { positionAt } from "./position.ts";
import type { OutRoute } from "./routes.ts";
import { isSameStream } from "./source_position.ts";
import type { OldRoute } from "./step.ts";
import { Waiting } from "./waiting.ts";

/** Metadata of a paused consumer: last sequence of its stream while nothing was left to deliver. */
export const CUT = "leafmesh-cut";
/** Metadata beside {@link CUT}: the last sequence that the consumer had delivered then. */
export const CUT_DELIVERED = "leafmesh-cut-delivered";

/**
 * The position that the peer's new route goes on after. The old consumer is paused and the peer has detached from it,
 * so nothing moves any more.
 * @param stored last sequence of the old stream that the peer has stored; 0 when it is not known.
 */
export async function switchPosition(mesh: JetStreamManager, old: OldRoute, stored: number): Promise<number> {
  const info = await mesh.consumers.info(old.stream, old.consumer);
  // Read before what the view holds: an event that its worker adds in between must not count as one that the peer has.
  const decided = old.stream === old.source ? 0 : await decidedBy(mesh, old);
  const { state } = await mesh.streams.info(old.stream);
  const begin = (info.config.opt_start_seq ?? 1) - 1;
  // A peer that has more than there is speaks of an earlier stream of this name.
  const has = Math.max(stored > state.last_seq ? 0 : stored, info.ack_floor.stream_seq, begin);
  // All that was delivered is stored: go on after what the consumer had considered, not only after what matched.
  const { cut, delivered } = cutOf(info);
  // A peer that lost events on their way has the consumer go back: what it says now is less than what it had delivered once.
  const complete = has >= Math.max(info.delivered.stream_seq, delivered);
  const sequence = complete ? Math.max(has, cut) : has;
  const position = await positionAt(mesh, old.stream, old.source, sequence);
  if (old.stream === old.source || !complete || sequence < state.last_seq) return position;
  // The peer has the whole view: go on after all that the view's worker has decided, forwarded or not.
  return Math.max(position, decided);
}

function cutOf({ config }: ConsumerInfo): { readonly cut: number; readonly delivered: number } {
  const delivered = config.metadata?.[CUT_DELIVERED];
  // Without it nothing says up to where the peer must have stored.
  if (delivered === undefined) return { cut: 0, delivered: 0 };
  return { cut: Number(config.metadata?.[CUT] ?? 0), delivered: Number(delivered) };
}

/**
 * What a peer has still to take of its old stream before it moves; `null` when it has all that its consumer is to give it. Nobody
 * writes to that stream any more.
 * @param stored asks the peer for the last sequence of the stream that it has stored
 */
export async function restToTake(
  mesh: JetStreamManager,
  old: OldRoute,
  stored: () => Promise<number>,
): Promise<string | null> {
  const { num_pending, delivered, ack_floor } = await mesh.consumers.info(old.stream, old.consumer);
  if (num_pending > 0) return `${num_pending} events of ${old.stream} are still to be taken`;
  if (ack_floor.stream_seq >= delivered.stream_seq) return null;
  const { state } = await mesh.streams.info(old.stream);
  const has = await stored();
  if (has >= delivered.stream_seq && has <= state.last_seq) return null;
  return `events of ${old.stream} are on their way`;
}

/** What a peer lacks that its new route does not give it. */
export interface PeerLacks {
  readonly tenant: string;
  readonly peer: string;
  /** The view that it moves to. */
  readonly stream: string;
  /** Positions in the stream that the view is filled from: the first and the last. */
  readonly first: number;
  readonly last: number;
}

/** How far the peer of a route has stored a stream. @throws {Waiting} while it cannot be asked */
export async function askPosition(
  context: Pick<ApplyContext, "peerPosition">,
  route: OutRoute,
  stream: string,
): Promise<PeerPosition> {
  try {
    return await context.peerPosition(route.peer, route.export.tenant.name, stream);
  } catch (error) {
    if (error instanceof LeafmeshError && error.code === "peer_unreachable") throw new Waiting(error.message);
    throw error;
  }
}

/**
 * Sets the consumer of a route back to what its peer has, where it has acknowledged more: what is between is lost there, with an older
 * copy of its store that nobody has noticed, too. Must be called while the peer listens to nothing of it.
 * @returns whether there is more to take now
 */
export async function setBackWith(
  { mesh, resetHere }: Pick<ApplyContext, "mesh" | "resetHere">,
  { stream, consumer }: Pick<OldRoute, "stream" | "consumer">,
  { older = false, goesOnAfter, identity = "" }: PeerPosition,
): Promise<boolean> {
  if (goesOnAfter === undefined) return false;
  const { ack_floor, config } = await mesh.consumers.info(stream, consumer);
  if (!older && goesOnAfter >= ack_floor.stream_seq) return false;
  const isOurs = isSameStream(identity, await resetHere(stream, consumer, null));
  // What it has is of an earlier stream of this name: only of an older copy that says that it has nothing of this one.
  if (!isOurs && !older) return false;
  const to = Math.max(isOurs ? goesOnAfter + 1 : 1, config.opt_start_seq ?? 1);
  if (to > ack_floor.stream_seq) return false;
  await resetHere(stream, consumer, to);
  return true;
}

/** Last position that the worker of an old view has decided; 0 when its consumer is gone. */
async function decidedBy(mesh: JetStreamManager, old: OldRoute): Promise<number> {
  const name = parseStreamName(old.stream);
  if (name?.type !== "view") return 0;
  const consumer = await unlessGone(mesh.consumers.info(old.source, viewConsumer(name.policy)), null);
  return consumer?.ack_floor.stream_seq ?? 0;
}
