/** Steps for the consumers that peers source from: make, narrow, hold, release, and move when a policy changes. */
import type { ConsumerInfo } from "@nats-io/jetstream";
import { parseStreamName, peerConsumer } from "../model/names.ts";
import { intersectSets } from "../model/subject.ts";
import { UNKNOWN_PEER } from "./agreement.ts";
import { peerConsumerSpec } from "./assets.ts";
import { consumerDifferences, filtersOfConsumer } from "./differences.ts";
import { type ObservedStream, type ObservedStreams, VIEW_SOURCE } from "./observe.ts";
import type { PlanInput } from "./plan.ts";
import type { OutRoute } from "./routes.ts";
import type { OldRoute, Start, Step } from "./step.ts";

/** The steps of one route, by phase. */
export interface Outgoing {
  readonly route: OutRoute;
  /** What the peer sources from until it is switched. */
  readonly old: OldRoute | null;
  readonly pauses: readonly Step[];
  readonly steps: readonly Step[];
  readonly switches: readonly Step[];
  readonly resumes: readonly Step[];
}

/** While a peer has not said what it accepts, its consumer keeps the filter that it has, where that is narrower. */
export function keepNarrow(input: PlanInput, route: OutRoute): OutRoute {
  if ((input.peers.get(route.peer) ?? UNKNOWN_PEER).accepted !== null) return route;
  const consumer = input.observed.mesh.get(route.export.stream)?.consumers.get(peerConsumer(route.peer));
  if (consumer === undefined) return route;
  const narrowed = intersectSets(route.filters, filtersOfConsumer(consumer.config));
  if (narrowed.length > 0) return { ...route, filters: narrowed };
  return {
    ...route,
    filters: filtersOfConsumer(consumer.config),
    hold: `the policy allows nothing of what ${route.peer} accepted when it was last asked`,
  };
}

/** Plans one route to one peer. `wanted`: `<stream>/<consumer>` of every route of the plan. */
export function planOutgoing(input: PlanInput, route: OutRoute, wanted: ReadonlySet<string>): Outgoing {
  const { stream } = route.export;
  const observed = input.observed.mesh.get(stream);
  const consumer = observed?.consumers.get(peerConsumer(route.peer));
  const agreed = hasAgreed(input, route);
  const spec = peerConsumerSpec(input.desired.site, route);
  const none: Outgoing = { route, old: null, pauses: [], steps: [], switches: [], resumes: [] };
  if (consumer !== undefined) {
    const changed = consumerDifferences(spec, consumer.config);
    return {
      ...none,
      pauses: route.hold === null ? [] : pause(consumer, stream, route.hold),
      steps: changed.length === 0 ? [] : [{ type: "update-consumer", stream, spec, changed }],
      resumes:
        agreed && consumer.paused ? [{ type: "resume-consumer", stream, consumer: consumer.name }] : [],
    };
  }
  const old = findOld(input.observed.mesh, route, wanted);
  if (old !== null) {
    const { info, ...from } = old;
    return {
      ...none,
      old: from,
      pauses: pause(info, from.stream, `the route moves to ${stream}`),
      switches: [
        { type: "switch-route", route, from, spec, paused: !agreed, version: input.versionOf(route.export) },
      ],
    };
  }
  const start = startOf(input, route, observed === undefined);
  return { ...none, steps: [{ type: "create-consumer", stream, spec, start, paused: !agreed }] };
}

/** Where a peer begins that has nothing of a route yet. A view may hold what was decided by other rules than today's. */
function startOf(input: PlanInput, route: OutRoute, fresh: boolean): Start {
  const { policy, route: compiled } = route.export;
  const all = policy.start === "all";
  if (compiled.type === "native" ? fresh || all : fresh && all) return { type: "first" };
  const since = all ? new Date(0).toISOString() : input.changedAt(route.export);
  return { type: "new", route, since, version: input.versionOf(route.export), fresh };
}

/** Whether a consumer may begin to deliver: the peer has proved its key and has said that it accepts the route. */
function hasAgreed(input: PlanInput, route: OutRoute): boolean {
  const { verified, accepted } = input.peers.get(route.peer) ?? UNKNOWN_PEER;
  return route.hold === null && verified === "yes" && accepted !== null;
}

function pause(consumer: ConsumerInfo, stream: string, why: string): Step[] {
  return consumer.paused ? [] : [{ type: "pause-consumer", stream, consumer: consumer.name, why }];
}

/** The stream of the same events that the peer sources from and that no route wants any more. */
function findOld(
  streams: ObservedStreams,
  route: OutRoute,
  wanted: ReadonlySet<string>,
): (OldRoute & { readonly info: ConsumerInfo }) | null {
  const name = peerConsumer(route.peer);
  for (const [stream, observed] of streams) {
    const info = observed.consumers.get(name);
    if (info === undefined || stream === route.export.stream || wanted.has(`${stream}/${name}`)) continue;
    if (parseStreamName(stream)?.tenant !== route.export.tenant.name) continue;
    const source = sourceOf(stream, observed);
    if (source === route.export.source) return { stream, consumer: name, source, info };
  }
  return null;
}

/** The stream whose sequences are the positions of a stream: itself, or what a view is filled from. */
export function sourceOf(stream: string, observed: ObservedStream): string {
  return observed.info.config.metadata?.[VIEW_SOURCE] ?? stream;
}
