/** Steps for the streams of a tenant: out, in, dead letters, mirrors, and the log in the tenant's own account. */
import type { StreamSource } from "@nats-io/jetstream";
import type { DesiredTenant } from "../model/desired.ts";
import {
  inStream,
  LOG_CONSUMER,
  logStream,
  outStream,
  parseStreamName,
  replayedStream,
  siteApiPrefix,
  storedSubject,
  tenantSubjects,
} from "../model/names.ts";
import {
  acceptedFilters,
  dlqSpec,
  importSource,
  inSpec,
  logConsumerSpec,
  logSpec,
  MESH,
  mirrorSpec,
  outSpec,
  replayedSpec,
  type StreamSpec,
} from "./assets.ts";
import { consumerDifferences, sourceKey, streamDifferences } from "./differences.ts";
import { noSmaller } from "./paced.ts";
import type { PlanInput } from "./plan.ts";
import { rewoundOf } from "./rollback/rewound.ts";
import type { ExportPlan, InRoute } from "./routes.ts";
import { attachedMetadata, detachedSources } from "./source_repair.ts";
import type { Step } from "./step.ts";

/** The streams of MESH that hold a tenant's events. */
export function planTenantStreams(
  input: PlanInput,
  tenant: DesiredTenant,
  { exports, incoming }: { readonly exports: readonly ExportPlan[]; readonly incoming: readonly InRoute[] },
  notes: string[],
): Step[] {
  const { site } = input.desired;
  const mine = incoming.filter((route) => route.tenant === tenant);
  const published = outSpec(site, tenant);
  const wanted = [noSmaller(published, tenant, input.observed.mesh.get(published.name)?.info.config)];
  if (exports.some((plan) => plan.tenant === tenant && plan.route.type === "view"))
    wanted.push(dlqSpec(tenant));
  const attached: Step[] = [];
  for (const { stream, other, live, replayed } of remoteKinds(input, tenant, mine)) {
    const routes = mine.filter((route) => !route.policy.mirror && (route.policy.live ?? true) === live);
    const sourcesFor = replayed ? replaySourcesOf : sourcesOf;
    const sources = routes.flatMap((route) =>
      sourcesFor(input, route, stream, notes).map((source) => ({ route, source })),
    );
    const config = input.observed.mesh.get(stream)?.info.config;
    const detached = config === undefined ? [] : detachedSources(config).map(sourceKey);
    const later = sources.filter(
      ({ route, source }) =>
        (input.observed.mesh.has(other) ||
          detached.includes(sourceKey(source)) ||
          // One that came after the copy was made: its consumer knows of what the copy lacks.
          input.isOlderCopy?.(stream, route.origin) === true) &&
        !has(input, stream, source),
    );
    const specOf = (some: typeof sources) =>
      (replayed ? replayedSpec : inSpec)(
        tenant,
        live,
        some.map((one) => one.source),
      );
    const there = specOf(sources.filter((one) => !later.includes(one)));
    const whole = config !== undefined && (replayed || sources.length >= routes.length) && later.length === 0;
    wanted.push(whole ? { ...there, ...attachedMetadata(config) } : there);
    const spec = specOf(sources);
    // While the other stream has it, it is only taken out there.
    for (const { route, source } of later) {
      if (!has(input, other, source)) attached.push({ type: "attach-source", route, spec, source });
    }
  }
  const steps = [...wanted.flatMap((spec) => planStream(input, spec)), ...attached];
  for (const route of mine.filter((one) => one.policy.mirror)) steps.push(...planMirror(input, route, notes));
  return steps;
}

/** The streams of events from peers that a tenant has or needs now. */
function remoteKinds(input: PlanInput, tenant: DesiredTenant, mine: readonly InRoute[]) {
  const kinds = [true, false].flatMap((live) => [
    { live, replayed: false, stream: inStream(tenant.name, live), other: inStream(tenant.name, !live) },
    {
      live,
      replayed: true,
      stream: replayedStream(tenant.name, live),
      other: replayedStream(tenant.name, !live),
    },
  ]);
  return kinds.filter(({ live, replayed, stream }) => {
    if (!replayed) return live || hasQuiet(input, tenant);
    if (input.observed.mesh.has(stream)) return true;
    return mine.some(({ policy, replays = [] }) => (policy.live ?? true) === live && replays.length > 0);
  });
}

function has(input: PlanInput, stream: string, source: StreamSource): boolean {
  const there = input.observed.mesh.get(stream)?.info.config.sources ?? [];
  return there.some((one) => sourceKey(one) === sourceKey(source));
}

/** Whether the tenant has a stream for remote events that are not republished. Once made, it stays. */
function hasQuiet(input: PlanInput, tenant: DesiredTenant): boolean {
  return (
    tenant.imports.some((policy) => policy.live === false && !policy.mirror) ||
    input.observed.mesh.has(inStream(tenant.name, false))
  );
}

function planStream(input: PlanInput, spec: StreamSpec): Step[] {
  const observed = input.observed.mesh.get(spec.name);
  if (observed === undefined) return [{ type: "create-stream", account: MESH, spec }];
  const changed = streamDifferences(spec, observed.info.config);
  return changed.length === 0 ? [] : [{ type: "update-stream", account: MESH, spec, changed }];
}

/** The source of one import: what the peer offers; while it has said nothing, what is there. */
function sourcesOf(input: PlanInput, route: InRoute, stream: string, notes: string[]): StreamSource[] {
  if (!input.desired.peers.some((peer) => peer.name === route.peer)) return [];
  const knowledge = input.peers.get(route.peer);
  if (knowledge?.verified === "no") return [];
  if (knowledge === undefined || knowledge.offered === null) {
    return keptSources(input, route, stream);
  }
  if (route.offer === null) return [];
  if (!isStreamOf(route.offer.stream, route.tenant.name)) {
    notes.push(
      `${route.peer} offers ${route.offer.stream}, which is no stream of ${route.tenant.name}: refused`,
    );
    return [];
  }
  const config = input.observed.mesh.get(stream)?.info.config;
  const source = { origin: route.origin, stream: route.offer.stream };
  const rewound = config === undefined ? null : rewoundOf(config, source);
  return [importSource(input.desired.site, route, route.offer.stream, rewound)];
}

/** The sources of the replays of one import. */
function replaySourcesOf(input: PlanInput, route: InRoute, stream: string, notes: string[]): StreamSource[] {
  const { replays = [], peer, tenant } = route;
  const knowledge = input.peers.get(peer);
  if (route.policy.replay !== true || !input.desired.peers.some(({ name }) => name === peer)) return [];
  if (knowledge?.verified === "no") return [];
  if (knowledge === undefined || knowledge.offered === null) return keptSources(input, route, stream);
  return replays.flatMap((offer) => {
    const name = parseStreamName(offer.stream);
    if (name?.type === "replay" && name.tenant === tenant.name) {
      return [importSource(input.desired.site, route, offer.stream)];
    }
    notes.push(`${peer} offers ${offer.stream}, which is no replay of ${tenant.name}: refused`);
    return [];
  });
}

/** While a peer has said nothing, what is there of it. */
function keptSources(input: PlanInput, route: InRoute, stream: string): StreamSource[] {
  const config = input.observed.mesh.get(stream)?.info.config;
  const there = config === undefined ? [] : [...(config.sources ?? []), ...detachedSources(config)];
  const prefix = storedSubject(route.origin, route.tenant.name);
  return there.filter(
    (source) =>
      source.external?.api === siteApiPrefix(route.peer) &&
      source.subject_transforms?.some((transform) => transform.dest === `${prefix}.>`),
  );
}

function isStreamOf(stream: string, tenant: string): boolean {
  const name = parseStreamName(stream);
  return name !== null && name.tenant === tenant && ["out", "in", "quiet", "view"].includes(name.type);
}

function planMirror(input: PlanInput, route: InRoute, notes: string[]): Step[] {
  if (route.offer === null || !isStreamOf(route.offer.stream, route.tenant.name)) return [];
  if (input.peers.get(route.peer)?.verified === "no") return [];
  const spec = mirrorSpec(input.desired.site, route, route.offer.stream);
  const observed = input.observed.mesh.get(spec.name);
  if (observed !== undefined && streamDifferences(spec, observed.info.config).includes("mirror")) {
    notes.push(
      `${spec.name} mirrors another stream than ${route.peer} offers now (${route.offer.stream}): its sequences differ, so ` +
        "it is left as it is; remove the import and add it again to begin a new mirror",
    );
    return [];
  }
  return planStream(input, spec);
}

/** The streams that the tenant's log takes its events from. */
function logSources(input: PlanInput, tenant: DesiredTenant): string[] {
  return [
    outStream(tenant.name),
    inStream(tenant.name, true),
    ...(hasQuiet(input, tenant) ? [inStream(tenant.name, false)] : []),
    // Once made, they stay.
    ...[true, false]
      .map((live) => replayedStream(tenant.name, live))
      .filter((stream) => input.observed.mesh.has(stream)),
  ];
}

/** The consumers that the log sources from. Of remote events it takes what the tenant's imports accept, no more. */
export function planLogConsumers(input: PlanInput, tenant: DesiredTenant): Step[] {
  return logSources(input, tenant).flatMap((stream): Step[] => {
    const observed = input.observed.mesh.get(stream)?.consumers.get(LOG_CONSUMER);
    if (!tenant.log) {
      return observed === undefined
        ? []
        : [{ type: "delete-consumer", stream, consumer: LOG_CONSUMER, why: `${tenant.name} keeps no log` }];
    }
    const spec = logConsumerSpec(tenant.name, stream, logFilters(input, tenant, stream));
    if (observed === undefined) {
      return [{ type: "create-consumer", stream, spec, start: { type: "first" }, paused: false }];
    }
    const changed = consumerDifferences(spec, observed.config);
    return [
      ...(changed.length === 0 ? [] : [{ type: "update-consumer", stream, spec, changed } as const]),
      // Whoever made it was stopped before it was set going.
      ...(observed.paused ? [{ type: "resume-consumer", stream, consumer: LOG_CONSUMER } as const] : []),
    ];
  });
}

function logFilters(input: PlanInput, tenant: DesiredTenant, stream: string): string[] {
  if (stream === outStream(tenant.name)) return [];
  const filters = acceptedFilters(input.desired, tenant);
  // Nothing of our own is ever in a stream of remote events: a filter that lets nothing pass.
  return filters.length > 0 ? filters : [storedSubject(input.desired.site, tenantSubjects(tenant.name))];
}

/** The log stream. Switched off, it keeps what it has and takes nothing new. */
export function planLog(input: PlanInput, tenant: DesiredTenant): Step[] {
  const account = { type: "tenant", tenant: tenant.name } as const;
  const observed = input.observed.logs.get(tenant.name);
  if (!tenant.log) {
    if (!observed || (observed.config.sources ?? []).length === 0) return [];
    const spec: StreamSpec = { name: logStream(tenant.name), sources: [] };
    return [{ type: "update-stream", account, spec, changed: ["sources"] }];
  }
  const spec = logSpec(tenant, logSources(input, tenant), (stream) =>
    observed ? rewoundOf(observed.config, { origin: input.desired.site, stream }) : null,
  );
  if (!observed) return [{ type: "create-stream", account, spec }];
  const changed = streamDifferences(spec, observed.config);
  return changed.length === 0 ? [] : [{ type: "update-stream", account, spec, changed }];
}
