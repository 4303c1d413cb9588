/** Steps for views: the stream, its worker's consumer, and the worker itself. */
import { viewConsumer } from "../model/names.ts";
import { MESH, viewConsumerSpec, viewSpec } from "./assets.ts";
import { consumerDifferences, streamDifferences } from "./differences.ts";
import type { PlanInput } from "./plan.ts";
import type { Outgoing } from "./plan_outgoing.ts";
import type { ExportPlan } from "./routes.ts";
import { type Step, viewKey } from "./step.ts";

/** Plans one view. */
export function planView(input: PlanInput, plan: ExportPlan, outgoing: readonly Outgoing[]): Step[] {
  const steps: Step[] = [];
  const stream = viewSpec(input.desired.site, plan);
  const view = input.observed.mesh.get(plan.stream);
  if (view === undefined) {
    const from = outgoing.flatMap((one) => (one.route.export === plan && one.old !== null ? [one.old] : []));
    const source = input.observed.mesh.get(plan.source);
    const fresh = source === undefined || plan.policy.start === "all";
    steps.push({
      type: "create-view",
      plan,
      spec: stream,
      from,
      since: fresh ? null : input.changedAt(plan),
    });
  } else {
    const changed = streamDifferences(stream, view.info.config);
    if (changed.length > 0) steps.push({ type: "update-stream", account: MESH, spec: stream, changed });
  }

  const spec = viewConsumerSpec(plan);
  const consumer = input.observed.mesh.get(plan.source)?.consumers.get(viewConsumer(plan.policy.name));
  if (consumer === undefined) {
    steps.push({ type: "create-view-consumer", plan, spec });
  } else {
    const changed = consumerDifferences(spec, consumer.config);
    if (changed.length > 0) steps.push({ type: "update-consumer", stream: plan.source, spec, changed });
  }

  const running = input.views.get(viewKey(plan));
  const version = input.versionOf(plan);
  if (running === undefined) steps.push({ type: "start-view", plan, version });
  else if (running !== version) steps.push({ type: "change-view", plan, version });
  return steps;
}
