/** How a consumer of a peer is made, and where it begins. */
import type { ConsumerConfig, JetStreamManager } from "@nats-io/jetstream";
import type { ConsumerSpec } from "./assets.ts";
import { FOREVER } from "./hold_consumer.ts";
import { sequenceAfter, sequenceAt, sequenceOfVersion } from "./position.ts";
import type { Start } from "./step.ts";
import { Waiting } from "./waiting.ts";

/** Makes a consumer that begins after a sequence. RESET cannot take it back before its start. */
export async function addConsumer(
  mesh: JetStreamManager,
  stream: string,
  spec: ConsumerSpec,
  after: number,
  paused: boolean,
): Promise<void> {
  await mesh.consumers.add(stream, {
    ...spec,
    deliver_policy: "by_start_sequence",
    opt_start_seq: after + 1,
    ...(paused ? { pause_until: FOREVER.toISOString() } : {}),
  } as ConsumerConfig);
}

/** The sequence after which a peer may have what the policy of now allows. */
export async function beginOf(
  mesh: JetStreamManager,
  start: Extract<Start, { type: "new" }>,
): Promise<number> {
  const { export: plan } = start.route;
  const begin = await sequenceAt(mesh, plan.source, new Date(start.since));
  if (plan.stream === plan.source) return begin;
  const [after, decided] = [
    await sequenceAfter(mesh, plan, begin),
    await sequenceOfVersion(mesh, plan, start.version),
  ];
  if (after === null || decided === null)
    throw new Waiting(`view ${plan.stream} is not as far as its policy`);
  return Math.max(after, decided);
}
