/** Desired against observed: the ordered steps that make the server do what the state says. Pure. */
import type { DesiredState } from "../model/desired.ts";
import { rewriteNotes } from "../policy/rewrite_check.ts";
import type { Peers } from "./agreement.ts";
import type { MovedLeader } from "./linked_leaders.ts";
import type { Observed } from "./observe.ts";
import { keepNarrow, planOutgoing } from "./plan_outgoing.ts";
import { planReaders } from "./plan_readers.ts";
import { planReplays, type ReplayRoute, type WantedReplay } from "./plan_replays.ts";
import { planStale } from "./plan_stale.ts";
import { planLog, planLogConsumers, planTenantStreams } from "./plan_streams.ts";
import { planView, removeTurnedViews } from "./plan_views.ts";
import {
  type ExportPlan,
  type InRoute,
  type OutRoute,
  planExports,
  planInRoutes,
  planOutRoutes,
} from "./routes.ts";
import type { SilentSource } from "./silent_sources.ts";
import { type Step, viewKey } from "./step.ts";
import type { StuckConsumer } from "./stuck_consumers.ts";
import { heldSubjects } from "./view_renames.ts";

export interface PlanInput {
  readonly desired: DesiredState;
  readonly peers: Peers;
  readonly observed: Observed;
  /** What differs between the configuration that is wanted and the one in force; empty: nothing. */
  readonly configChanges: readonly string[];
  /** Leaf connections that the state does not know, and why each must go. */
  readonly strangers: readonly { readonly peer: string; readonly why: string }[];
  /** Peers that the server has stopped to dial. */
  readonly undialled: readonly string[];
  /** Sources that should flow, are silent, and are to be attached again. */
  readonly silent: readonly SilentSource[];
  /** Consumers that should deliver and do not move. */
  readonly stuck: readonly StuckConsumer[];
  /** Streams and consumers of a cluster whose leader has no link for them. */
  readonly misplaced?: readonly MovedLeader[];
  /** Views whose worker runs, with the version of the policy that it decides by. */
  readonly views: ReadonlyMap<string, string>;
  /** Whether a stream of remote events is an older copy that has not been brought to where its source is, of an origin. */
  readonly isOlderCopy?: ((stream: string, origin: string) => boolean) | undefined;
  /** Replays that have not ended; `undefined`: not known yet. */
  readonly replays?: readonly WantedReplay[] | undefined;
  /** When an export policy was written, RFC 3339. */
  readonly changedAt: (plan: ExportPlan) => string;
  /** Version of a policy as it stands now. */
  readonly versionOf: (plan: ExportPlan) => string;
}

export interface Plan {
  readonly steps: readonly Step[];
  readonly exports: readonly ExportPlan[];
  readonly out: readonly OutRoute[];
  readonly in: readonly InRoute[];
  readonly replays: readonly ReplayRoute[];
  /** What a person must decide, or what waits for a peer. */
  readonly notes: readonly string[];
}

/** Makes the plan. Phases come in the order in which nothing can leak and nothing can be missed. */
export function planSteps(given: PlanInput): Plan {
  const { desired, peers } = given;
  const exports = planExports(desired);
  const views = exports.filter((plan) => plan.route.type === "view");
  const { input, steps: turned } = removeTurnedViews(given, views);
  const held = (plan: ExportPlan) => heldSubjects(plan, input.observed.mesh.get(plan.stream));
  const out = planOutRoutes(desired, exports, peers, held).map((route) => keepNarrow(input, route));
  const incoming = planInRoutes(desired, peers);
  const notes: string[] = [];
  for (const { tenant, policy } of exports) {
    for (const note of rewriteNotes(policy)) {
      notes.push(`export ${tenant.name}/${policy.name}, ${note.message}`);
    }
  }
  const wantedViews = new Set(views.map(viewKey));

  const stops: Step[] = [...input.views.keys()]
    .filter((key) => !wantedViews.has(key))
    .map((key) => ({ type: "stop-view", key }));

  const routes = { exports, incoming };
  const streams = desired.tenants.flatMap((tenant) => planTenantStreams(input, tenant, routes, notes));
  const logConsumers = desired.tenants.flatMap((tenant) => planLogConsumers(input, tenant));
  const wanted = new Set(out.map((route) => `${route.export.stream}/${route.peer}`));
  const outgoing = out.map((route) => planOutgoing(input, route, wanted));
  const viewSteps = views.flatMap((plan) => planView(input, plan, outgoing));
  const replays = planReplays(input, out);
  const stale = planStale(input, outgoing, views, replays);
  const logs = desired.tenants.flatMap((tenant) => planLog(input, tenant));
  const readers = desired.tenants.map((tenant) => planReaders(input, tenant));

  return {
    exports,
    out,
    in: incoming,
    replays: replays.routes,
    notes,
    steps: [
      // What must not flow any more comes first: a step that fails later does not keep it flowing.
      ...stops,
      ...turned,
      ...outgoing.flatMap((one) => one.pauses),
      ...replays.pauses,
      ...stale.revoked,
      ...readers.flatMap((one) => one.deletes),
      ...streams.filter((step) => step.type === "create-stream"),
      ...replays.creates,
      ...viewSteps.filter((step) => step.type === "create-view" || step.type === "create-view-consumer"),
      ...logConsumers,
      ...outgoing.flatMap((one) => one.steps).filter((step) => step.type !== "create-consumer"),
      ...viewSteps.filter((step) => step.type !== "create-view" && step.type !== "create-view-consumer"),
      // A peer joins a view when the policy of now decides it.
      ...outgoing.flatMap((one) => one.steps).filter((step) => step.type === "create-consumer"),
      ...planConfig(input),
      ...logs,
      ...readers.flatMap((one) => one.steps),
      ...streams.filter((step) => step.type !== "create-stream"),
      ...outgoing.flatMap((one) => one.switches),
      ...outgoing.flatMap((one) => one.resumes),
      ...replays.resumes,
      ...(input.misplaced ?? []).map((moved): Step => ({ type: "move-leader", ...moved })),
      ...input.silent.map((source): Step => ({ type: "reattach-source", ...source })),
      ...input.stuck.map((consumer): Step => ({ type: "unstick-consumer", ...consumer })),
      ...stale.leftovers,
    ],
  };
}

function planConfig(input: PlanInput): Step[] {
  const steps: Step[] = [];
  if (input.configChanges.length > 0) steps.push({ type: "configure-server", changed: input.configChanges });
  for (const stranger of input.strangers) steps.push({ type: "kick-leaf", ...stranger });
  for (const peer of input.undialled) steps.push({ type: "redial-peer", peer });
  return steps;
}
