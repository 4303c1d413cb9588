/** The step that brings a consumer up to date: where that fails, nothing is delivered that is not allowed any more. */
import type { ConsumerConfig } from "@nats-io/jetstream";
import { errorText } from "../model/errors.ts";
import { outsideOf } from "../model/subject_cover.ts";
import type { ApplyContext } from "./apply.ts";
import type { ConsumerSpec } from "./assets.ts";
import { filtersOfConsumer } from "./differences.ts";
import { pauseConsumer } from "./hold_consumer.ts";
import { isPeerConsumer } from "./observe.ts";
import type { Step } from "./step.ts";

/**
 * Updates a consumer. That of a peer which the server does not narrow is paused, until a later pass has narrowed and resumes it.
 * @throws what the server says to the update
 */
export async function updateConsumer(
  context: ApplyContext,
  { stream, spec }: Extract<Step, { type: "update-consumer" }>,
): Promise<void> {
  const name = spec.durable_name;
  try {
    await context.mesh.consumers.update(stream, name, spec as ConsumerConfig);
  } catch (error) {
    if (isPeerConsumer(name)) await pauseWhereWide(context, stream, spec);
    throw error;
  }
}

/** Pauses a consumer that lets more pass than it is to. */
async function pauseWhereWide(
  { mesh, log }: ApplyContext,
  stream: string,
  spec: ConsumerSpec,
): Promise<void> {
  const { durable_name: name, filter_subjects } = spec;
  if (filter_subjects === undefined) return;
  try {
    const { config, paused } = await mesh.consumers.info(stream, name);
    const filters = filtersOfConsumer(config);
    const isWide = filters.length === 0 || filters.some((one) => outsideOf(one, filter_subjects) !== null);
    if (!isWide || paused === true) return;
    await pauseConsumer(mesh, stream, name);
    log("warn", `${stream} to ${name} is paused: its filter could not be narrowed`);
  } catch (error) {
    log("warn", `${stream} to ${name} could be neither narrowed nor paused: ${errorText(error)}`);
  }
}
