/** Makes the consumer of a route anew that lets more pass than before: nothing lost, nothing repeated, nothing of before the change. */
import { LeafmeshError } from "../model/errors.ts";
import type { ApplyContext, PeerPosition } from "./apply.ts";
import { addConsumer, beginOf, resumeConsumer } from "./apply_consumers.ts";
import { pauseConsumer } from "./hold_consumer.ts";
import type { OutRoute } from "./routes.ts";
import type { Step } from "./step.ts";
import { switchPosition } from "./switch.ts";
import { Waiting } from "./waiting.ts";

/** Makes the consumer of a route anew, with a wider filter, after all of the stream that the peer has: it begins there for good. */
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
  // Who cannot be asked goes on with what it has.
  const { attached, sequence } = await askPosition(context, route, plan.stream);
  if (before.paused !== true) await pauseConsumer(mesh, plan.stream, peer);
  if (attached) throw new Waiting(`${peer} still takes events from ${plan.stream}`);
  const has = await switchPosition(
    mesh,
    { stream: plan.stream, consumer: peer, source: plan.stream },
    sequence,
  );
  const { num_pending, delivered } = await mesh.consumers.info(plan.stream, peer);
  const all = num_pending === 0 && has >= delivered.stream_seq;
  if (rest && has < begin && !all) await waitForRest(true);
  await mesh.consumers.delete(plan.stream, peer);
  await addConsumer(mesh, plan.stream, spec, Math.max(has, begin), { paused: false });
  context.poke(peer);
}

/** How far the peer of a route has stored a stream. @throws {Waiting} while it cannot be asked */
async function askPosition(context: ApplyContext, route: OutRoute, stream: string): Promise<PeerPosition> {
  try {
    return await context.peerPosition(route.peer, route.export.tenant.name, stream);
  } catch (error) {
    if (error instanceof LeafmeshError && error.code === "peer_unreachable") throw new Waiting(error.message);
    throw error;
  }
}
