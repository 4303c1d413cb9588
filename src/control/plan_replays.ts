/** Steps for replays: the stream of each, and the consumer that its peer sources from, beside the route that it is of. */
import { peerConsumer, replayStream, replaySubject, tenantSubjects } from "../model/names.ts";
import type { ReplayTarget } from "../model/replay.ts";
import { UNKNOWN_PEER } from "./agreement.ts";
import { MESH, peerConsumerSpec, replaySpec, type StreamSpec } from "./assets.ts";
import { consumerDifferences, streamDifferences } from "./differences.ts";
import type { PlanInput } from "./plan.ts";
import type { OutRoute } from "./routes.ts";
import type { Step } from "./step.ts";

/** A replay that has not ended. */
export interface WantedReplay {
  readonly id: string;
  readonly tenant: string;
  readonly target: ReplayTarget;
}

/** A replay to a peer. */
export interface ReplayRoute {
  readonly route: OutRoute;
  readonly stream: string;
  /** The peer has proved its key and takes replays of this route. */
  readonly agreed: boolean;
}

export interface ReplayPlan {
  readonly routes: readonly ReplayRoute[];
  /** Names of the streams that are needed; `null`: it is not known yet, all stay as they are. */
  readonly wanted: ReadonlySet<string> | null;
  readonly pauses: readonly Step[];
  readonly creates: readonly Step[];
  readonly resumes: readonly Step[];
}

/** Plans all replays. One whose tenant, export or peer is gone is not wanted: what it has left goes with it. */
export function planReplays(input: PlanInput, out: readonly OutRoute[]): ReplayPlan {
  const plan = {
    routes: [] as ReplayRoute[],
    wanted: new Set<string>(),
    pauses: [] as Step[],
    creates: [] as Step[],
    resumes: [] as Step[],
  };
  if (input.replays === undefined) return { ...plan, wanted: null };
  for (const { id, tenant: name, target } of input.replays) {
    const tenant = input.desired.tenants.find((one) => one.name === name);
    if (tenant === undefined) continue;
    const stream = replayStream(name, id);
    if (target.type === "local") {
      plan.wanted.add(stream);
      plan.creates.push(...planStream(input, replaySpec(input.desired.site, tenant, id, target.name)));
      continue;
    }
    const { peer, policy } = target;
    const route = out.find(
      (one) => one.peer === peer && one.export.tenant === tenant && one.export.policy.name === policy,
    );
    if (route === undefined) continue;
    plan.wanted.add(stream);
    plan.creates.push(...planStream(input, replaySpec(input.desired.site, tenant, id, null)));
    planConsumer(input, plan, { route, stream, agreed: takesReplays(input, route) }, id);
  }
  return plan;
}

function planStream(input: PlanInput, spec: StreamSpec): Step[] {
  const observed = input.observed.mesh.get(spec.name);
  if (observed === undefined) return [{ type: "create-stream", account: MESH, spec }];
  const changed = streamDifferences(spec, observed.info.config);
  return changed.length === 0 ? [] : [{ type: "update-stream", account: MESH, spec, changed }];
}

function planConsumer(
  input: PlanInput,
  plan: { routes: ReplayRoute[]; pauses: Step[]; creates: Step[]; resumes: Step[] },
  replay: ReplayRoute,
  id: string,
): void {
  const { route, stream, agreed } = replay;
  const { site } = input.desired;
  plan.routes.push(replay);
  const subjects = route.subjects.length > 0 ? route.subjects : [tenantSubjects(route.export.tenant.name)];
  const spec = peerConsumerSpec(site, {
    ...route,
    export: { ...route.export, stream },
    filters: subjects.map((pattern) => replaySubject(site, id, pattern)),
  });
  const observed = input.observed.mesh.get(stream)?.consumers.get(peerConsumer(route.peer));
  if (observed === undefined) {
    const start = { type: "first" } as const;
    plan.creates.push({ type: "create-consumer", stream, spec, start, paused: !agreed });
    return;
  }
  const consumer = observed.name;
  const why = route.hold ?? `${route.peer} takes no replays of this route`;
  if (!agreed && !observed.paused) plan.pauses.push({ type: "pause-consumer", stream, consumer, why });
  const changed = consumerDifferences(spec, observed.config);
  // Narrowed before anything is let through.
  if (changed.length > 0) plan.pauses.push({ type: "update-consumer", stream, spec, changed });
  if (agreed && observed.paused) plan.resumes.push({ type: "resume-consumer", stream, consumer });
}

/** Whether a peer has proved its key and said that it takes replays of a route. */
function takesReplays(input: PlanInput, route: OutRoute): boolean {
  const { verified, accepted } = input.peers.get(route.peer) ?? UNKNOWN_PEER;
  const { tenant, origin } = route.export;
  if (route.hold !== null || verified !== "yes") return false;
  return (accepted ?? []).some(
    (one) => one.replay === true && one.tenant === tenant.name && one.origin === origin,
  );
}
