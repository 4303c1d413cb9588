/** Makes the consumer of a route anew that lets more pass than before: nothing lost, nothing repeated, nothing of before the change. */
import type { ConsumerInfo } from "@nats-io/jetstream";
import { outsideOf } from "../model/subject_cover.ts";
import type { ApplyContext } from "./apply.ts";
import { addAnew, beginOf, resumeConsumer } from "./apply_consumers.ts";
import type { ConsumerSpec } from "./assets.ts";
import { filtersOfConsumer } from "./differences.ts";
import { pauseConsumer } from "./hold_consumer.ts";
import type { Step } from "./step.ts";
import { askPosition, setBackWith, switchPosition } from "./switch.ts";
import { Waiting } from "./waiting.ts";

/**
 * Makes the consumer of a route anew, with a wider filter, after all of the stream that the peer has: it begins there for good. It is
 * paused for that, so that the peer is told to detach, and has to be asked after the pause how far it is: it may attach and take more
 * at any moment. Who cannot be asked goes on with what it has.
 * @throws {Waiting} until the peer has detached
 */
export async function widenRoute(
  context: ApplyContext,
  { route, spec, start, rest }: Extract<Step, { type: "widen-route" }>,
): Promise<void> {
  const { mesh } = context;
  const { peer, export: plan } = route;
  const begin = await beginOf(mesh, start);
  const waitForRest = async (paused: boolean) => {
    if (paused) await resumeConsumer(context, plan.stream, peer);
    throw new Waiting(`${peer} has not all yet that it may have of ${plan.stream} from before the change`);
  };
  const before = await mesh.consumers.info(plan.stream, peer);
  const behind = before.num_pending > 0 && before.delivered.stream_seq < begin;
  if (rest && behind) await waitForRest(before.paused === true);
  if (before.paused !== true) {
    // A peer that is away is not paused and resumed again and again.
    await askPosition(context, route, plan.stream);
    await pauseConsumer(mesh, plan.stream, peer);
  }
  const says = await askPosition(context, route, plan.stream).catch(async (error: unknown) => {
    if (rest && isNarrow(before, spec)) await resumeConsumer(context, plan.stream, peer);
    throw error;
  });
  if (says.attached) throw new Waiting(`${peer} still takes events from ${plan.stream}`);
  const old = { stream: plan.stream, consumer: peer, source: plan.stream };
  await setBackWith(context, old, says);
  const has = await switchPosition(mesh, old, says.sequence);
  const { num_pending, delivered } = await mesh.consumers.info(plan.stream, peer);
  const all = num_pending === 0 && has >= delivered.stream_seq;
  if (rest && has < begin && !all) await waitForRest(true);
  await mesh.consumers.delete(plan.stream, peer);
  // The peer may have attached to the one before, since it was asked.
  await addAnew(mesh, plan.stream, spec, Math.max(has, begin));
  await resumeConsumer(context, plan.stream, peer);
  context.poke(peer);
}

/** Whether a consumer lets nothing pass but what the one that takes its place will. */
function isNarrow({ config }: ConsumerInfo, { filter_subjects = [] }: ConsumerSpec): boolean {
  const filters = filtersOfConsumer(config);
  return filters.length > 0 && filters.every((pattern) => outsideOf(pattern, filter_subjects) === null);
}
