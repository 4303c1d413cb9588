/** How a consumer of a peer is made, where it begins, and how it is set going. */
import type { ConsumerConfig, JetStreamManager } from "@nats-io/jetstream";
import { LOG_CONSUMER } from "../model/names.ts";
import type { ApplyContext } from "./apply.ts";
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
  { paused, metadata }: { readonly paused: boolean; readonly metadata?: Readonly<Record<string, string>> },
): Promise<void> {
  await mesh.consumers.add(stream, {
    ...spec,
    deliver_policy: "by_start_sequence",
    opt_start_seq: after + 1,
    ...(metadata === undefined ? {} : { metadata }),
    ...(paused ? { pause_until: FOREVER.toISOString() } : {}),
  } as ConsumerConfig);
}

/** Metadata of a consumer whose peer may still listen to the one before. */
const ANEW = "leafmesh-anew";

/**
 * Makes a consumer where one of that name may have gone under its peer. It is paused, and {@link resumeConsumer} has the peer attach
 * again before it delivers, also after whoever made it was killed.
 */
export async function addAnew(
  mesh: JetStreamManager,
  stream: string,
  spec: ConsumerSpec,
  after: number,
): Promise<void> {
  await addConsumer(mesh, stream, spec, after, { paused: true, metadata: { [ANEW]: "true" } });
}

/** Lets a consumer deliver. */
export async function resumeConsumer(
  { mesh, letGo }: Pick<ApplyContext, "mesh" | "letGo">,
  stream: string,
  name: string,
): Promise<void> {
  const { config } = await mesh.consumers.info(stream, name);
  const { [ANEW]: anew, ...metadata } = config.metadata ?? {};
  if (anew !== undefined) {
    if (!(await letGo(stream, name, { since: "made" }))) {
      throw new Waiting(`${name === LOG_CONSUMER ? "the log" : name} must attach to ${stream} again first`);
    }
    await mesh.consumers.update(stream, name, { metadata } as Partial<ConsumerConfig> as ConsumerConfig);
  }
  await mesh.consumers.resume(stream, name);
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
