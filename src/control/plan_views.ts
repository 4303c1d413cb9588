/** Steps for views: the stream, its worker's consumer, and the worker itself. */
import { viewConsumer } from "../model/names.ts";
import { MESH, type StreamSpec, viewConsumerSpec, viewSpec } from "./assets.ts";
import { consumerDifferences, streamDifferences } from "./differences.ts";
import { type ObservedStream, VIEW_ORIGIN, VIEW_RENAMES, VIEW_SOURCE, VIEW_VERSION } from "./observe.ts";
import { noSmaller } from "./paced.ts";
import type { PlanInput } from "./plan.ts";
import type { Outgoing } from "./plan_outgoing.ts";
import type { ExportPlan } from "./routes.ts";
import { type Step, viewKey } from "./step.ts";
import { renamesToNote } from "./view_renames.ts";
import { isNoted } from "./view_version.ts";

/** Plans one view. */
export function planView(input: PlanInput, plan: ExportPlan, outgoing: readonly Outgoing[]): Step[] {
  const steps: Step[] = [];
  const view = input.observed.mesh.get(plan.stream);
  const sized = noSmaller(viewSpec(input.desired.site, plan), plan.tenant, view?.info.config);
  const stream = withRenames(sized, input, plan);
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
  else if (
    running !== version ||
    (view !== undefined && view.info.config.metadata?.[VIEW_VERSION] !== version)
  ) {
    // Also where the worker was told, and what the view notes of it is older: see view_version.ts.
    const noted = view !== undefined && isNoted(view.info, version);
    steps.push({ type: "change-view", plan, version, noted });
  }
  return steps;
}

/** The view keeps how its events are called, before the first of them is called so. */
function withRenames(spec: StreamSpec, input: PlanInput, plan: ExportPlan): StreamSpec {
  const renames = renamesToNote(plan, input.observed.mesh.get(plan.stream), input.versionOf(plan));
  if (renames === null) return spec;
  return { ...spec, metadata: { ...spec.metadata, [VIEW_RENAMES]: renames } };
}

/**
 * Removes the views whose policy is of another origin or reads another stream than before: what they hold is not what
 * peers now get by that policy, and their positions are those of the other stream. The rest of the plan makes them anew.
 */
export function removeTurnedViews(
  input: PlanInput,
  views: readonly ExportPlan[],
): { readonly input: PlanInput; readonly steps: readonly Step[] } {
  const mesh = new Map(input.observed.mesh);
  const running = new Map(input.views);
  const steps: Step[] = [];
  for (const plan of views) {
    const there = mesh.get(plan.stream)?.info.config.metadata;
    if (there === undefined) continue;
    const source = there[VIEW_SOURCE] ?? plan.source;
    const origin = there[VIEW_ORIGIN] ?? plan.origin;
    if (source === plan.source && origin === plan.origin) continue;
    const key = viewKey(plan);
    if (running.delete(key)) steps.push({ type: "stop-view", key });
    const why = `export ${key} is of ${plan.origin} by ${plan.source} now, not of ${origin} by ${source}`;
    steps.push({ type: "delete-stream", account: MESH, stream: plan.stream, why });
    mesh.delete(plan.stream);
    const read = mesh.get(source);
    const worker = viewConsumer(plan.policy.name);
    if (read?.consumers.has(worker)) {
      steps.push({ type: "delete-consumer", stream: source, consumer: worker, why });
      mesh.set(source, without(read, worker));
    }
  }
  if (steps.length === 0) return { input, steps };
  return { input: { ...input, observed: { ...input.observed, mesh }, views: running }, steps };
}

function without(stream: ObservedStream, consumer: string): ObservedStream {
  return { ...stream, consumers: new Map([...stream.consumers].filter(([name]) => name !== consumer)) };
}
