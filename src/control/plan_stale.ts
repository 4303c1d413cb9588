/** Steps that remove what no policy wants any more. Events of tenants are never removed here, only copies and cursors. */
import { mirrorStream, parseStreamName, viewConsumer } from "../model/names.ts";
import { MESH } from "./assets.ts";
import { isPeerConsumer, VIEW_SOURCE } from "./observe.ts";
import type { PlanInput } from "./plan.ts";
import type { Outgoing } from "./plan_outgoing.ts";
import type { ReplayPlan } from "./plan_replays.ts";
import type { ExportPlan } from "./routes.ts";
import type { Step } from "./step.ts";

/** What nobody wants any more. */
export interface Stale {
  /** Consumers of peers that no route goes to: deleted before anything else, whatever fails later. */
  readonly revoked: readonly Step[];
  /** Workers' consumers, views and mirrors: deleted last. */
  readonly leftovers: readonly Step[];
}

/** Finds what is stale. What a peer still moves away from stays. */
export function planStale(
  input: PlanInput,
  outgoing: readonly Outgoing[],
  views: readonly ExportPlan[],
  replays: ReplayPlan,
): Stale {
  const wanted = new Set([
    ...outgoing.map((one) => `${one.route.export.stream}/${one.route.peer}`),
    ...replays.routes.map(({ stream, route }) => `${stream}/${route.peer}`),
  ]);
  const moving = outgoing.flatMap((one) => (one.old === null ? [] : [one.old]));
  const kept = new Set(moving.map((old) => `${old.stream}/${old.consumer}`));
  const wantedViews = new Set(views.map((plan) => plan.stream));
  const mirrors = wantedMirrors(input);
  const revoked: Step[] = [];
  const leftovers: Step[] = [];

  for (const [stream, observed] of input.observed.mesh) {
    const name = parseStreamName(stream);
    if (name === null || (name.type === "replay" && replays.wanted === null)) continue;
    for (const consumer of observed.consumers.keys()) {
      const id = `${stream}/${consumer}`;
      if (!isPeerConsumer(consumer) || wanted.has(id) || kept.has(id)) continue;
      const why = whyUnwanted(input, name.tenant, consumer);
      revoked.push({ type: "delete-consumer", stream, consumer, why });
    }
    if (name.type === "view" && !wantedViews.has(stream) && !moving.some((old) => old.stream === stream)) {
      const source = observed.info.config.metadata?.[VIEW_SOURCE];
      const worker = viewConsumer(name.policy);
      if (source !== undefined && input.observed.mesh.get(source)?.consumers.has(worker)) {
        const why = `view ${stream} goes`;
        leftovers.push({ type: "delete-consumer", stream: source, consumer: worker, why });
      }
      const why = "no export needs this view";
      leftovers.push({ type: "delete-stream", account: MESH, stream, why });
    }
    if (name.type === "replay" && replays.wanted?.has(stream) === false) {
      leftovers.push({ type: "delete-stream", account: MESH, stream, why: "its replay has ended" });
    }
    if (name.type === "mirror" && !mirrors.has(stream)) {
      const why = "no import asks for this mirror";
      leftovers.push({ type: "delete-stream", account: MESH, stream, why });
    }
  }
  return { revoked, leftovers };
}

function wantedMirrors(input: PlanInput): Set<string> {
  return new Set(
    input.desired.tenants.flatMap((tenant) =>
      tenant.imports
        .filter((policy) => policy.mirror)
        .map((policy) => mirrorStream(tenant.name, policy.from)),
    ),
  );
}

function whyUnwanted(input: PlanInput, tenant: string, peer: string): string {
  if (!input.desired.peers.some((one) => one.name === peer)) return `${peer} is not a peer`;
  if (!input.desired.tenants.some((one) => one.name === tenant)) return `tenant ${tenant} was removed`;
  return `no export of ${tenant} goes to ${peer}`;
}
