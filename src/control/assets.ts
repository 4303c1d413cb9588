/** The streams and consumers that the desired state needs, in the shapes of JetStream's API. Pure. */
import type { ConsumerConfig, StreamConfig, StreamSource } from "@nats-io/jetstream";
import { LOG_STORAGE_FACTOR } from "../model/budget.ts";
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import {
  deliverSubject,
  dlqStream,
  dlqSubjects,
  inStream,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  localReplaySubject,
  logDeliverSubject,
  logStream,
  mirrorStream,
  outStream,
  peerConsumer,
  replayedStream,
  replayStream,
  replaySubject,
  siteApiPrefix,
  storedSubject,
  tenantSubjects,
  userConsumer,
  viewConsumer,
  viewStream,
  viewSubject,
} from "../model/names.ts";
import type { TenantUser } from "../model/schema/user.ts";
import { nanos, parseByteRate } from "../model/units.ts";
import { VIEW_ORIGIN, VIEW_SOURCE } from "./observe.ts";
import { isPaced } from "./paced.ts";
import { type Rewound, rewoundTransforms } from "./rollback/rewound.ts";
import type { ExportPlan, InRoute, OutRoute } from "./routes.ts";

/** Account that holds a stream: the sidecar's own, or a tenant's. */
export type StreamAccount = { readonly type: "mesh" } | { readonly type: "tenant"; readonly tenant: string };
export const MESH: StreamAccount = { type: "mesh" };

/** The fields of a stream that we own; others keep what the server has. */
export type StreamSpec = Partial<StreamConfig> & { readonly name: string };
/** The fields of a consumer that we own; where it starts is set apart, when it is made. */
export type ConsumerSpec = Partial<ConsumerConfig> & { readonly durable_name: string };

/** Headers that a view, the transport and the store add to an event, at most. */
const HEADER_ROOM_BYTES = 8 * 1024;
/** Unacknowledged events a sourcing consumer may have: throughput is at most this over the round trip. */
const MAX_ACK_PENDING = 65_536;

function retention(tenant: DesiredTenant): Partial<StreamConfig> {
  return {
    storage: "file",
    retention: "limits",
    num_replicas: tenant.replicas ?? 1,
    max_bytes: tenant.limits.storageBytes,
    max_age: nanos(tenant.limits.maxAgeMs),
    discard: "old",
    allow_rollup_hdrs: false,
    allow_direct: true,
  } as Partial<StreamConfig>;
}

/** A stream that is full refuses, so that nothing is lost, or drops its oldest event, so that publishing goes on. */
function discardOf(tenant: DesiredTenant): StreamConfig["discard"] {
  return (tenant.limits.whenFull === "refuse" ? "new" : "old") as StreamConfig["discard"];
}

/** `out_<tenant>`: what apps at this site publish. */
export function outSpec(site: string, tenant: DesiredTenant): StreamSpec {
  return {
    ...retention(tenant),
    name: outStream(tenant.name),
    subjects: [storedSubject(site, tenantSubjects(tenant.name))],
    max_msg_size: tenant.limits.maxMsgBytes + (isPaced(tenant) ? HEADER_ROOM_BYTES : 0),
    duplicate_window: nanos(Math.min(tenant.dedupe.windowMs, tenant.limits.maxAgeMs)),
    discard: discardOf(tenant),
    allow_batched: true,
  } as StreamSpec;
}

/** `in_<tenant>` (live) or `quiet_<tenant>`: what peers send. */
export function inSpec(tenant: DesiredTenant, live: boolean, sources: readonly StreamSource[]): StreamSpec {
  const window =
    tenant.dedupe.ids === "mesh" ? nanos(Math.min(tenant.dedupe.windowMs, tenant.limits.maxAgeMs)) : 0;
  return {
    ...retention(tenant),
    name: inStream(tenant.name, live),
    sources: [...sources],
    // Without sources nothing arrives, and the server replaces both by what it thinks of.
    ...(sources.length === 0 ? {} : { subjects: [], duplicate_window: window }),
    ...(live
      ? { republish: { src: `*.${tenantSubjects(tenant.name)}`, dest: tenantSubjects(tenant.name) } }
      : {}),
  } as StreamSpec;
}

/** `replayed_<tenant>` (live) or `replayed-quiet_<tenant>`: what peers replay. */
export function replayedSpec(
  tenant: DesiredTenant,
  live: boolean,
  sources: readonly StreamSource[],
): StreamSpec {
  return {
    ...inSpec(tenant, live, sources),
    name: replayedStream(tenant.name, live),
    // Ids are those of the replay: the same event is to come again.
    ...(sources.length === 0 ? {} : { duplicate_window: 0 }),
  } as StreamSpec;
}

/** `replay_<tenant>_<id>`: what one replay has decided. To the site's own subscribers, when it has a name, the server republishes it. */
export function replaySpec(
  site: string,
  tenant: DesiredTenant,
  id: string,
  local: string | null,
): StreamSpec {
  const all = replaySubject(site, id, tenantSubjects(tenant.name));
  return {
    ...retention(tenant),
    name: replayStream(tenant.name, id),
    subjects: [all],
    max_msg_size: tenant.limits.maxMsgBytes + HEADER_ROOM_BYTES,
    // What a peer has not taken is not dropped for what comes behind it.
    max_age: 0,
    discard: "new",
    duplicate_window: nanos(100),
    ...(local === null ? {} : { republish: { src: all, dest: localReplaySubject(tenant.name, local, ">") } }),
  } as StreamSpec;
}

/** `dlq_<tenant>`: events that a policy could not decide. */
export function dlqSpec(tenant: DesiredTenant): StreamSpec {
  return {
    ...retention(tenant),
    name: dlqStream(tenant.name),
    subjects: [dlqSubjects(tenant.name)],
    // A full dead-letter stream refuses: the view stalls, says so, and nothing is lost.
    discard: "new",
    duplicate_window: nanos(Math.min(120_000, tenant.limits.maxAgeMs)),
  } as StreamSpec;
}

/** `view_<tenant>_<policy>`: events as one policy lets them be seen; filled by the view's worker. */
export function viewSpec(site: string, plan: ExportPlan): StreamSpec {
  return {
    ...retention(plan.tenant),
    name: viewStream(plan.tenant.name, plan.policy.name),
    subjects: [viewSubject(site, plan.policy.name, tenantSubjects(plan.tenant.name))],
    max_msg_size: plan.tenant.limits.maxMsgBytes + HEADER_ROOM_BYTES,
    discard: discardOf(plan.tenant),
    // Position and fence make a view exactly-once; ids must not swallow events that differ. 100 ms is the least.
    duplicate_window: nanos(100),
    allow_batched: true,
    metadata: { [VIEW_SOURCE]: plan.source, [VIEW_ORIGIN]: plan.origin },
  } as StreamSpec;
}

/** The pull consumer of a view's worker. */
export function viewConsumerSpec(plan: ExportPlan): ConsumerSpec {
  return {
    durable_name: viewConsumer(plan.policy.name),
    ack_policy: "all",
    ack_wait: nanos(60_000),
    max_ack_pending: 16_384,
    max_waiting: 64,
    max_deliver: -1,
    filter_subjects: plan.route.subjects.map((pattern) => storedSubject(plan.origin, pattern)),
  } as ConsumerSpec;
}

/** A durable consumer that a stream elsewhere sources from (ADR-60). */
function sourcingSpec(name: string, deliver: string, filters: readonly string[]): ConsumerSpec {
  return {
    durable_name: name,
    deliver_subject: deliver,
    ack_policy: "flow_control",
    flow_control: true,
    idle_heartbeat: nanos(1000),
    max_ack_pending: MAX_ACK_PENDING,
    max_deliver: -1,
    ...(filters.length === 0 ? {} : { filter_subjects: [...filters] }),
  } as ConsumerSpec;
}

/** The consumer that a peer sources from. */
export function peerConsumerSpec(site: string, route: OutRoute): ConsumerSpec {
  const { stream, policy } = route.export;
  const bytes = parseByteRate(policy.limit?.perPeer ?? "") ?? 0;
  return {
    ...sourcingSpec(peerConsumer(route.peer), deliverSubject(site, route.peer, stream), route.filters),
    // Bits; 0 is no limit.
    rate_limit_bps: Math.ceil(bytes * 8),
  };
}

/** The consumer that the tenant's log sources from. */
export function logConsumerSpec(tenant: string, stream: string, filters: readonly string[]): ConsumerSpec {
  return sourcingSpec(LOG_CONSUMER, logDeliverSubject(tenant, stream), filters);
}

/** The pull consumer on the tenant's log of a user that has one. Events of any origin, as far as the user hears their subjects. */
export function readerSpec(tenant: string, user: TenantUser): ConsumerSpec {
  return {
    durable_name: userConsumer(user.name),
    ack_policy: "explicit",
    ack_wait: nanos(30_000),
    max_ack_pending: 1000,
    max_deliver: -1,
    filter_subjects: (user.subjects ?? [tenantSubjects(tenant)]).map((pattern) =>
      storedSubject("*", pattern),
    ),
  } as ConsumerSpec;
}

/** The log in the tenant's own account: all its events, local and remote. */
export function logSpec(
  tenant: DesiredTenant,
  streams: readonly string[],
  rewound: (stream: string) => Rewound | null = () => null,
): StreamSpec {
  return {
    ...retention(tenant),
    name: logStream(tenant.name),
    // Both halves, and what sourcing adds to the headers of each event.
    max_bytes: LOG_STORAGE_FACTOR * tenant.limits.storageBytes,
    // Ids are those of each origin. While its sources are out, nats-server gives it a window of two minutes, and a subject.
    duplicate_window: 0,
    ...(streams.length === 0 ? {} : { subjects: [] }),
    sources: streams.map((stream) => {
      const transforms = rewoundTransforms(rewound(stream));
      return {
        name: stream,
        external: { api: LOG_API_PREFIX, deliver: "" },
        consumer: { name: LOG_CONSUMER, deliver_subject: logDeliverSubject(tenant.name, stream) },
        ...(transforms.length === 0 ? {} : { subject_transforms: transforms }),
      };
    }),
  } as StreamSpec;
}

/**
 * The source of an import. Whatever the peer sends is stored under the origin and tenant that we agreed on: a peer
 * cannot speak for another site or tenant. A subject of one or two tokens is kept as it was sent, and nothing reads it: what
 * is republished, logged or passed on has at least three, `<origin>.<tenant>.<rest>`.
 */
export function importSource(
  site: string,
  route: InRoute,
  stream: string,
  rewound: Rewound | null = null,
): StreamSource {
  const prefix = storedSubject(route.origin, route.tenant.name);
  return {
    ...peerSource(site, route.peer, stream),
    subject_transforms: [{ src: "*.*.>", dest: `${prefix}.>` }, ...rewoundTransforms(rewound)],
  } as StreamSource;
}

/** `mirror_<tenant>_<peer>`: an exact read-only copy of what a peer exports. */
export function mirrorSpec(site: string, route: InRoute, stream: string): StreamSpec {
  return {
    ...retention(route.tenant),
    name: mirrorStream(route.tenant.name, route.peer),
    mirror: peerSource(site, route.peer, stream),
  } as StreamSpec;
}

function peerSource(site: string, peer: string, stream: string): StreamSource {
  return {
    name: stream,
    external: { api: siteApiPrefix(peer), deliver: "" },
    consumer: { name: peerConsumer(site), deliver_subject: deliverSubject(peer, site, stream) },
  } as StreamSource;
}

/**
 * The patterns that a tenant's log takes of remote events: what its imports accept, under the origin they accept. The same
 * for live events and others: an import that turns from one to the other leaves events behind that the log is to have.
 */
export function acceptedFilters(state: DesiredState, tenant: DesiredTenant): string[] {
  return tenant.imports
    .filter((policy) => !policy.mirror && policy.from !== state.site)
    .flatMap((policy) =>
      policy.subjects.map((pattern) => storedSubject(policy.origin ?? policy.from, pattern)),
    );
}
