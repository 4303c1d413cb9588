/** The step that moves a peer from one stream of the same events to another: nothing lost, nothing repeated. */
import { parseStreamName } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import type { ApplyContext } from "./apply.ts";
import { addAnew, addConsumer, resumeConsumer } from "./apply_consumers.ts";
import { pauseConsumer } from "./hold_consumer.ts";
import { beginOfView, positionAt, sequenceAfter, sequenceOfVersion } from "./position.ts";
import { addHeld, type HeldAt, heldAt } from "./rollback/held.ts";
import { placeRoute } from "./rollback/place.ts";
import { LEFT, type RouteEnd, routeEnds } from "./rollback/setback_note.ts";
import type { OutRoute } from "./routes.ts";
import type { OldRoute, Step } from "./step.ts";
import { askPosition, restToTake, setBackWith, switchPosition } from "./switch.ts";
import { Waiting } from "./waiting.ts";

type SwitchRoute = Extract<Step, { type: "switch-route" }>;

/** Moves a peer. @throws {Waiting} until it has let go of its old stream */
export async function switchRoute(context: ApplyContext, step: SwitchRoute): Promise<void> {
  const { mesh, setbacks } = context;
  const { route, from, version } = step;
  const { peer: name, export: plan } = route;
  const tenant = plan.tenant.name;
  const ask = (stream: string) => askPosition(context, route, stream);
  const at = heldAt((await mesh.consumers.info(from.stream, from.consumer)).config);
  const drain = step.drain && (at === null || !(await isOfOlderCopy(context, step, at)));
  if (drain && at !== null) {
    if (step.paused)
      throw new Waiting(`${name} must accept the route first, and has not all of its old one yet`);
    await placeRoute(context, oldRoute(route, from));
    throw new Waiting(`${name} takes what is left of its old route first`);
  }
  if (drain) {
    const rest = await restToTake(mesh, from, async () => (await ask(from.stream)).sequence);
    if (rest !== null) throw new Waiting(`${name} has not all of its old route yet: ${rest}`);
    const { paused: drained } = await mesh.consumers.info(from.stream, from.consumer);
    if (!drained) await pauseConsumer(mesh, from.stream, from.consumer);
  }
  context.poke(name);
  const peer = await ask(from.stream);
  if (peer.attached) throw new Waiting(`${name} still takes events from ${from.stream}`);
  if ((await setBackWith(context, from, peer)) && drain) {
    throw new Waiting(`${name} has lost events of its old route, and takes them again first`);
  }
  // One that was made anew goes back only where the peer turned out to have had another, or had more by the stream of before.
  const wasAhead = at?.ahead === true && (peer.position ?? 0) > at.source;
  const held = at?.after !== undefined && peer.sequence <= at.last && !wasAhead ? null : at;
  // The store may be older than the move: the peer may have been given events by the new stream before.
  const position =
    held === null || peer.position === undefined
      ? await switchPosition(mesh, from, peer.sequence)
      : Math.min(peer.position, held.source);
  const behind = await sequenceAfter(mesh, plan, position);
  // Where the peer moves into a view that others have: what other rules than today's let them see is not for it.
  const decided = plan.stream === plan.source ? 0 : await sequenceOfVersion(mesh, plan, version);
  if (behind === null || decided === null) {
    throw new Waiting(`view ${plan.stream} has not reached position ${position} yet`);
  }
  const after = Math.max(behind, decided);
  // Looked at before the peer is asked: without a consumer it gets no more.
  const {
    config,
    state: { last_seq: end },
  } = await mesh.streams.info(plan.stream);
  const next = await ask(plan.stream);
  const noted = setbacks.lastOf(plan.stream, `to ${name}`);
  const last = noted ?? after;
  const ahead = held !== null && (peer.position ?? 0) > held.source;
  if (ahead && next.sequence <= Math.max(last, after)) {
    // Otherwise it is told when the peer goes back.
    const [first, final] = [held.source + 1, peer.position ?? 0];
    const found = { tenant, peer: name, stream: from.source, first, last: final, positions: null };
    context.peerAhead({ ...found, after: position });
  }
  const begins = beginOfView(config);
  if (position < begins) {
    // The view was made by what the peer had acknowledged, when nobody could ask it.
    context.peerLacks({ tenant, peer: name, stream: plan.stream, first: position + 1, last: begins });
  }
  // Before: afterwards nobody would forget it.
  for (const [stream, end] of routeEnds(from, name)) await setbacks.placed(stream, end);
  // A peer that made this move before may have more of the new stream than there is.
  const isCopy = held !== null || noted !== null || next.sequence > end;
  if (isCopy) {
    await addHeld(context, plan.stream, step.spec, after, {
      last,
      source: held?.source ?? position,
      after,
      ...(ahead ? { ahead } : {}),
    });
  } else {
    await addMoved(context, step, after, next.attached);
  }
  await unlessGone(mesh.consumers.delete(from.stream, from.consumer), null);
  context.poke(name);
}

/**
 * Whether the store of this site may be an older copy: of before a move of this peer, which has more then than there was when its old route
 * was held; or one of the streams alone is, and what the view holds is not what its source does.
 */
async function isOfOlderCopy(
  context: ApplyContext,
  { route, from }: SwitchRoute,
  at: HeldAt,
): Promise<boolean> {
  const { mesh, setbacks } = context;
  const end: RouteEnd = `to ${route.peer}`;
  const notes = [from.source, route.export.stream].map((stream) => setbacks.lastOf(stream, end));
  const left = ([end, LEFT] as const).map((one) => setbacks.lastOf(from.stream, one));
  if (at.after !== undefined || [...notes, ...left].some((last) => last !== null)) return true;
  if ((await positionAt(mesh, from.stream, from.source, at.last)) > at.source) return true;
  const { sequence, position = 0 } = await askPosition(context, route, from.stream);
  return sequence > at.last || position > at.source;
}

/** The old route of a peer, as it was placed before it moved. */
function oldRoute(route: OutRoute, { stream, source }: OldRoute): OutRoute {
  const name = parseStreamName(stream);
  const policy = name?.type === "view" ? { ...route.export.policy, name: name.policy } : route.export.policy;
  return { ...route, export: { ...route.export, policy, stream, source } };
}

/** Makes the new consumer. `attached`: the peer listens already, to one of before. */
async function addMoved(context: ApplyContext, step: SwitchRoute, after: number, attached: boolean) {
  const { route, spec, paused } = step;
  const { stream } = route.export;
  if (!attached) return await addConsumer(context.mesh, stream, spec, after, { paused });
  await addAnew(context.mesh, stream, spec, after);
  if (!paused) await resumeConsumer(context, stream, spec.durable_name);
}
