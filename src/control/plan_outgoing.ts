/** Steps for the consumers that peers source from: make, narrow, hold, release, and move when a policy changes. */
import type { ConsumerInfo } from "@nats-io/jetstream";
import { parseStreamName, peerConsumer, viewSubject } from "../model/names.ts";
import { intersectSets } from "../model/subject.ts";
import { UNKNOWN_PEER } from "./agreement.ts";
import { type ConsumerSpec, outSpec, peerConsumerSpec, viewSpec } from "./assets.ts";
import { consumerDifferences, filtersOfConsumer } from "./differences.ts";
import { filledFrom, type ObservedStreams, VIEW_ORIGIN } from "./observe.ts";
import { grows } from "./paced.ts";
import type { PlanInput } from "./plan.ts";
import { planWidening, widens } from "./plan_widening.ts";
import { heldAt } from "./rollback/held.ts";
import type { OutRoute } from "./routes.ts";
import type { OldRoute, Start, Step } from "./step.ts";
import { keepsNames } from "./view_renames.ts";

const HELD_WHY = "the peer must say first how far it has stored it";

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
  const spec = peerConsumerSpec(input.desired.site, route);
  if (spec.rate_limit_bps === 0 || !streamGrows(input, route)) return planRoute(input, route, wanted, spec);
  // Its rate is set, or set again, when the stream has grown: in this plan where there is a consumer, in the next one where it is only made.
  const outgoing = planRoute(input, route, wanted, { ...spec, rate_limit_bps: 0 });
  const there = input.observed.mesh.get(stream)?.consumers.has(peerConsumer(route.peer)) === true;
  // The rate alone: what else is to change may still wait for the peer, such as a filter that gets wider.
  const rate = { durable_name: spec.durable_name, rate_limit_bps: spec.rate_limit_bps } as ConsumerSpec;
  const paced: Step = { type: "update-consumer", stream, spec: rate, changed: ["rate_limit_bps"] };
  return there ? { ...outgoing, resumes: [paced, ...outgoing.resumes] } : outgoing;
}

/** Whether the stream of a route is to take larger events than it does now. */
function streamGrows({ desired, observed }: PlanInput, { export: plan }: OutRoute): boolean {
  const config = observed.mesh.get(plan.stream)?.info.config;
  if (plan.route.type === "view") return grows(viewSpec(desired.site, plan), config);
  return plan.origin === desired.site && grows(outSpec(desired.site, plan.tenant), config);
}

function planRoute(
  input: PlanInput,
  route: OutRoute,
  wanted: ReadonlySet<string>,
  spec: ConsumerSpec,
): Outgoing {
  const { stream } = route.export;
  const observed = input.observed.mesh.get(stream);
  const consumer = observed?.consumers.get(peerConsumer(route.peer));
  const agreed = hasAgreed(input, route);
  const none: Outgoing = { route, old: null, pauses: [], steps: [], switches: [], resumes: [] };
  if (consumer !== undefined && widens(input, route, consumer)) {
    const { rest, ...widened } = planWidening(route, consumer, {
      spec,
      start: sinceChange(input, route),
      agreed,
    });
    if (heldAt(consumer.config) === null) return { ...none, ...widened };
    const pauses = [...pause(consumer, stream, HELD_WHY), ...widened.pauses];
    // Of a consumer that lets nothing pass but what is forbidden now the filter stays as it is.
    const place: Step = { type: "place-route", route, paused: !rest };
    return { ...none, pauses, steps: widened.steps, resumes: agreed ? [place] : [] };
  }
  if (consumer !== undefined) {
    const changed = consumerDifferences(spec, consumer.config);
    const held = heldAt(consumer.config) !== null;
    const why = held ? HELD_WHY : route.hold;
    return {
      ...none,
      pauses: why === null ? [] : pause(consumer, stream, why),
      steps: changed.length === 0 ? [] : [{ type: "update-consumer", stream, spec, changed }],
      resumes: agreed && (consumer.paused || held) ? [resume(route, consumer, held)] : [],
    };
  }
  const old = findOld(input.observed.mesh, route, wanted);
  if (old !== null) return { ...none, ...planMove(input, route, { ...old, spec, agreed }) };
  const start = startOf(input, route, observed === undefined);
  return { ...none, steps: [{ type: "create-consumer", stream, spec, start, paused: !agreed }] };
}

/** Moves a peer from the stream that it sources from now to another one of the same events. */
function planMove(
  input: PlanInput,
  route: OutRoute,
  move: Old & { readonly spec: ConsumerSpec; readonly agreed: boolean },
): Pick<Outgoing, "old" | "pauses" | "steps" | "switches"> {
  const { info, spec, agreed, ...from } = move;
  const rest = restFor(input, route, move);
  const version = input.versionOf(route.export);
  const paused = !agreed;
  const switches: Step[] = [
    { type: "switch-route", route, from, drain: rest !== null, spec, paused, version },
  ];
  if (rest === null) {
    return {
      old: from,
      pauses: pause(info, from.stream, `the route moves to ${route.export.stream}`),
      steps: [],
      switches,
    };
  }
  const narrowed = { durable_name: info.name, filter_subjects: rest };
  const changed = consumerDifferences(narrowed, info.config);
  return {
    old: from,
    pauses: [
      ...(route.hold === null ? [] : pause(info, from.stream, route.hold)),
      ...(changed.length === 0
        ? []
        : [{ type: "update-consumer", stream: from.stream, spec: narrowed, changed } as const]),
    ],
    steps:
      agreed && info.paused && info.num_pending > 0 && heldAt(info.config) === null
        ? [{ type: "resume-consumer", stream: from.stream, consumer: info.name }]
        : [],
    switches,
  };
}

/**
 * What a peer is still to have of its old stream before it moves, as filters of the old consumer; `null`: nothing.
 *
 * A view may hold what its source holds no more at that place: a dead letter that was decided again. By position it would be
 * skipped. A native route lets its subjects pass whole, so nothing of them that is in a view is too much for the peer; of other
 * subjects nothing crosses any more. A policy that needs a view may be stricter than the one that filled the old one: there
 * the old one must not run on.
 */
function restFor(input: PlanInput, route: OutRoute, { info, stream, source }: Old): string[] | null {
  const name = parseStreamName(stream);
  const view = input.observed.mesh.get(stream);
  if (route.export.route.type !== "native" || stream === source || name?.type !== "view") return null;
  // Which event has which name is not known of them.
  if (view === undefined || !keepsNames(view)) return null;
  const { site } = input.desired;
  const allowed = route.subjects.map((pattern) => viewSubject(site, name.policy, pattern));
  const rest = intersectSets(allowed, filtersOfConsumer(info.config));
  return rest.length === 0 ? null : rest;
}

/** Where a peer begins that has nothing of a route yet. A view may hold what was decided by other rules than today's. */
function startOf(input: PlanInput, route: OutRoute, fresh: boolean): Start {
  const { policy, route: compiled } = route.export;
  const all = policy.start === "all";
  if (compiled.type === "native" ? fresh || all : fresh && all) {
    return fresh ? { type: "first" } : { type: "first", route };
  }
  return { ...sinceChange(input, route), fresh };
}

/** With what was published since the policy was written, or after what the peer has. */
function sinceChange(input: PlanInput, route: OutRoute): Extract<Start, { type: "new" }> {
  const all = route.export.policy.start === "all";
  const since = all ? new Date(0).toISOString() : input.changedAt(route.export);
  return { type: "new", route, since, version: input.versionOf(route.export), fresh: false };
}

/** Whether a consumer may begin to deliver: the peer has proved its key and has said that it accepts the route. */
function hasAgreed(input: PlanInput, route: OutRoute): boolean {
  const { verified, accepted } = input.peers.get(route.peer) ?? UNKNOWN_PEER;
  return route.hold === null && verified === "yes" && accepted !== null;
}

function resume(route: OutRoute, { name }: ConsumerInfo, held: boolean): Step {
  return held
    ? { type: "place-route", route, paused: false }
    : { type: "resume-consumer", stream: route.export.stream, consumer: name };
}

function pause(consumer: ConsumerInfo, stream: string, why: string): Step[] {
  return consumer.paused ? [] : [{ type: "pause-consumer", stream, consumer: consumer.name, why }];
}

/** What a peer moves away from. */
type Old = OldRoute & { readonly info: ConsumerInfo };

/** The stream of the same events that the peer sources from and that no route wants any more. */
function findOld(streams: ObservedStreams, route: OutRoute, wanted: ReadonlySet<string>): Old | null {
  const name = peerConsumer(route.peer);
  for (const [stream, observed] of streams) {
    const info = observed.consumers.get(name);
    if (info === undefined || stream === route.export.stream || wanted.has(`${stream}/${name}`)) continue;
    if (parseStreamName(stream)?.tenant !== route.export.tenant.name) continue;
    const source = filledFrom(observed.info.config);
    // A view of another origin's events is none of the same, though both come into one stream.
    if ((observed.info.config.metadata?.[VIEW_ORIGIN] ?? route.export.origin) !== route.export.origin)
      continue;
    if (source === route.export.source) return { stream, consumer: name, source, info };
  }
  return null;
}
