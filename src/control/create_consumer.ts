/** The step that makes a consumer that peers or logs source from: where it begins, and whether its peer must say first what it has. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { errorText } from "../model/errors.ts";
import { parseStreamName } from "../model/names.ts";
import type { ApplyContext } from "./apply.ts";
import { addAnew, beginOf, resumeConsumer } from "./apply_consumers.ts";
import { positionAt } from "./position.ts";
import { addHeld, type HeldAt } from "./rollback/held.ts";
import { routeEnds } from "./rollback/setback_note.ts";
import type { Start, Step } from "./step.ts";
import { Waiting } from "./waiting.ts";

/** A policy that was written less than this ago is one that its peers have nothing of yet, as long as no store was an older copy. */
const FRESH_POLICY_MS = 60_000;

type CreateConsumer = Extract<Step, { type: "create-consumer" }>;

/** Makes a consumer. @throws {Waiting} when it must wait for a peer */
export async function createConsumer(context: ApplyContext, step: CreateConsumer): Promise<void> {
  const { mesh } = context;
  const { stream, spec, start, paused } = step;
  const begin = await beginAfter(mesh, stream, start);
  let beginning: Beginning = { after: begin, held: null };
  if (isFresh(start)) await forgetSetback(context, step);
  else beginning = setbackOf(context, step, begin) ?? (await startAfter(context, stream, start, begin));
  const { after, held } = beginning;
  if (held !== null) {
    await addHeld(context, stream, spec, after, held);
  } else {
    // One of that name may have gone under its peer, with its stream or alone.
    await addAnew(mesh, stream, spec, after);
    if (!paused) await resumeConsumer(context, stream, spec.durable_name);
  }
  if (start.type === "new") context.poke(start.route.peer);
}

/** The sequence after which a consumer begins. `held`: the peer must say what it has before it gets anything. */
interface Beginning {
  readonly after: number;
  readonly held: HeldAt | null;
}

/** Starts on a stream that was there before: what the peer has of it counts. */
type NotFresh = Start & { readonly route: NonNullable<Start["route"]> };

/** Whether no peer can have anything of the stream as it is. */
function isFresh(start: Start): start is Exclude<Start, NotFresh> {
  return start.type === "first" ? start.route === undefined : start.fresh;
}

/** Where a consumer begins, and is held, that is made on an older copy; `null`: the stream is none. */
function setbackOf(
  { setbacks }: ApplyContext,
  { stream, spec, start }: CreateConsumer,
  begin: number,
): Beginning | null {
  const peer = spec.durable_name;
  const last = setbacks.lastOf(stream, `to ${peer}`);
  if (last === null) return null;
  const source = start.route?.export.source ?? stream;
  if (parseStreamName(stream)?.type !== "view") return { after: begin, held: { last, source: last } };
  // Where its source is no older copy, positions are what they were.
  const position = setbacks.lastOf(source, `to ${peer} by ${stream}`) ?? Number.MAX_SAFE_INTEGER;
  return { after: begin, held: { last, source: position } };
}

/** What was noted of a stream that was there before under the same name does not hold for this one. */
async function forgetSetback({ setbacks }: ApplyContext, { stream, spec, start }: CreateConsumer) {
  const source = start.route?.export.source ?? stream;
  for (const [one, end] of routeEnds({ stream, source }, spec.durable_name)) await setbacks.placed(one, end);
}

/**
 * Where a new consumer begins. One that was deleted under its peer goes on where the peer is; so a peer that cannot be asked is
 * waited for, unless the policy lets it have all, or is so new that the peer cannot have anything yet: then it is asked later.
 */
async function startAfter(
  { mesh, peerPosition }: ApplyContext,
  stream: string,
  start: Start,
  begin: number,
): Promise<Beginning> {
  const { route } = start;
  if (route === undefined) return { after: begin, held: null };
  const { peer, export: plan } = route;
  // Looked at before the peer is asked: without a consumer it gets no more.
  const { last_seq: last } = (await mesh.streams.info(stream)).state;
  const held = async (): Promise<Beginning> => {
    const source = await positionAt(mesh, stream, plan.source, begin);
    return { after: begin, held: { last, source, after: begin } };
  };
  try {
    const { sequence } = await peerPosition(peer, plan.tenant.name, stream);
    // A peer that has more than there is speaks of an earlier stream of this name, or this one is an older copy.
    if (sequence > last) return await held();
    return { after: start.type === "first" ? begin : Math.max(begin, sequence), held: null };
  } catch (error) {
    const isNew = start.type === "first" || Date.now() - Date.parse(start.since) < FRESH_POLICY_MS;
    if (isNew) return await held();
    throw new Waiting(`${peer} must say first how far it has stored ${stream}: ${errorText(error)}`);
  }
}

/** The sequence after which the policy lets a peer have events. */
async function beginAfter(mesh: JetStreamManager, stream: string, start: Start): Promise<number> {
  if (start.type === "new") return await beginOf(mesh, start);
  return Math.max((await mesh.streams.info(stream)).state.first_seq - 1, 0);
}
