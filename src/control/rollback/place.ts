/** Lets a route go on that was held when the server started: from where the peer says that it is. */
import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { peerConsumer } from "../../model/names.ts";
import type { ApplyContext, PeerPosition } from "../apply.ts";
import { resumeConsumer } from "../apply_consumers.ts";
import { positionAt, sequenceAfter } from "../position.ts";
import type { ExportPlan, OutRoute } from "../routes.ts";
import { isSameStream } from "../source_position.ts";
import { Waiting } from "../waiting.ts";
import { type HeldAt, heldAt, noteHeld } from "./held.ts";
import { routeEnds } from "./setback_note.ts";

/** What a peer has of a stream that its exporter has lost. */
export interface PeerAhead {
  readonly tenant: string;
  readonly peer: string;
  readonly stream: string;
  /** The first and the last sequence. */
  readonly first: number;
  readonly last: number;
  /** Of a view: the first and the last position in the stream that it is filled from; `null`: not known. */
  readonly positions: { readonly first: number; readonly last: number } | null;
  /** After which sequence the peer goes on. */
  readonly after: number;
}

/**
 * Asks the peer how far it has stored the stream. What it has and we had at the start is one history. When it has more, our
 * store is an older copy: the peer is told to forget how far it was, and goes on with the first event that is new.
 * @param paused whether it is not to deliver yet for another reason
 * @throws {Waiting} until the peer has answered, and again until it has gone back
 */
export async function placeRoute(context: ApplyContext, route: OutRoute, paused = false): Promise<void> {
  const { mesh } = context;
  const { peer, export: plan } = route;
  const { stream, tenant, origin } = plan;
  const consumer = peerConsumer(peer);
  const info = await mesh.consumers.info(stream, consumer);
  const { config, delivered } = info;
  const held = heldAt(config);
  if (held !== null) {
    // Otherwise what is delivered is counted as before.
    let counted = delivered.consumer_seq > 0 && context.setbacks.lastOf(stream, `to ${peer}`) === null;
    const says = await orWait(
      context.peerPosition(peer, tenant.name, stream),
      `${peer} must say how far it has stored ${stream}`,
    );
    if (says.sequence > held.last) {
      const after = await newAfter(mesh, plan, held, says);
      counted = false;
      // A consumer that begins later leaves nothing out that the peer could have.
      await context.resetHere(stream, consumer, after + 1).catch((error: unknown) => {
        if (!(error instanceof LeafmeshError)) throw error;
      });
      // Otherwise what it has more was decided here again, or it has gone back already and its answer did not come.
      if (says.sequence > after) {
        context.peerAhead(aheadOf(route, held, says, after));
        const position = await positionAt(mesh, stream, plan.source, after);
        const ask = { tenant: tenant.name, origin, stream, has: says.sequence, after, position };
        await orWait(context.rewindPeer(peer, ask), `${peer} must go back to ${after} of ${stream}`);
        await noteHeld(context, stream, consumer, { ...held, last: after });
        throw new Waiting(`${peer} goes back to ${after} of ${stream}`);
      }
    } else if (isBehind(says, info) && says.goesOnAfter !== held.again) {
      counted = false;
      const identity = await context.resetHere(stream, consumer, null);
      const isOurs = isSameStream(says.identity ?? "", identity);
      if (isOurs) {
        const what = `${peer} must take ${stream} up again after ${says.goesOnAfter}`;
        await orWait(context.takeUpAgain(peer, { tenant: tenant.name, stream }), what);
      }
      await noteHeld(context, stream, consumer, { ...held, again: says.goesOnAfter });
      if (isOurs) throw new Waiting(`${peer} takes ${stream} up again after ${says.goesOnAfter}`);
    }
    if (!counted && !(await context.letGo(stream, consumer))) {
      throw new Waiting(`${peer} must attach to ${stream} again first`);
    }
    // First: who is killed in between finds it held, and asks again. The other way round nobody would forget it.
    for (const [one, end] of routeEnds(plan, peer)) await context.setbacks.placed(one, end);
    await noteHeld(context, stream, consumer, null);
  }
  if (!paused) await resumeConsumer(context, stream, consumer);
}

/** Whether a peer has stored less than its consumer has acknowledged, of what the consumer has. */
function isBehind({ goesOnAfter }: PeerPosition, { ack_floor, config }: ConsumerInfo): boolean {
  if (goesOnAfter === undefined) return false;
  return Math.max(goesOnAfter, (config.opt_start_seq ?? 1) - 1) < ack_floor.stream_seq;
}

/** The sequence behind which the stream holds what the peer has not had. */
async function newAfter(
  mesh: JetStreamManager,
  plan: ExportPlan,
  held: HeldAt,
  says: PeerPosition,
): Promise<number> {
  if (held.after !== undefined) return held.after;
  if (plan.stream === plan.source || says.position === undefined) return held.last;
  // A view's worker has decided again what it had decided before: told by positions, not by sequences.
  const position = Math.min(says.position, held.source);
  const after = await sequenceAfter(mesh, plan, position);
  if (after === null) throw new Waiting(`view ${plan.stream} has not reached position ${position} yet`);
  return after;
}

function aheadOf(
  { peer, export: plan }: OutRoute,
  held: HeldAt,
  says: PeerPosition,
  after: number,
): PeerAhead {
  const { tenant, stream, source } = plan;
  const { position } = says;
  const positions =
    stream === source || position === undefined || position <= held.source
      ? null
      : { first: held.source + 1, last: position };
  return { tenant: tenant.name, peer, stream, first: held.last + 1, last: says.sequence, positions, after };
}

async function orWait<T>(asked: Promise<T>, what: string): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    throw new Waiting(`${what}: ${errorText(error)}`);
  }
}
