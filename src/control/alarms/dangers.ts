/** The alarms that follow from what is observed of a site. Pure but for how long a thing has held. */

import type { AlarmName, AlarmReport } from "../../model/alarms.ts";
import type { DesiredState } from "../../model/desired.ts";
import { dlqStream, LOG_CONSUMER, parseStreamName } from "../../model/names.ts";
import { bytesText } from "../../model/units.ts";
import type { LinkReport, RouteReport } from "../link_api.ts";
import type { ObservedStreams } from "../observe.ts";
import type { CertificateReport, MemoryReport, StoreReport } from "../site_api.ts";
import { type ClusterFacts, clusterDangers } from "./cluster.ts";
import type { Lasting } from "./lasting.ts";
import { type ReplayStand, replayDangers } from "./replays.ts";
import type { StreamReader } from "./retention.ts";

/** A danger that was observed. */
export type Danger = AlarmReport & { readonly name: AlarmName };

/** The names whose alarms follow from the streams, which cannot be seen while the server does not answer. */
export const OF_STREAMS: readonly AlarmName[] = [
  "retention-ahead",
  "retention-lost",
  "budget-nearly-full",
  "link-down",
  "peer-not-proved",
  "route-not-moving",
  "log-not-moving",
  "view-standing-still",
  "replay-not-moving",
  "replay-failed",
  "dead-letters-growing",
  "dead-letters-full",
];

/** The other names whose alarms are all found here. */
export const OF_SITE: readonly AlarmName[] = [
  "certificate-expiring",
  "certificate-expired",
  "store-low",
  "store-stopped",
  "budgets-exceed-disk",
  "memory-high",
  "server-down",
  "server-of-cluster-down",
  "server-of-cluster-unlinked",
  "state-not-applied",
];

/** A tenant's dead letters. */
export interface DeadLetterFill {
  readonly tenant: string;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Sequence of the newest. */
  readonly last: number;
}

/** A stream that refuses when it is full. */
export interface RefusingStream {
  readonly tenant: string;
  readonly stream: string;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** What is known of a site at one moment. */
export interface SiteFacts {
  /** With the dead letters `null` while the streams cannot be seen. */
  readonly links: readonly LinkReport[] | null;
  readonly certificates: readonly CertificateReport[];
  /** `null`: the disk is not ours to watch, or was not looked at yet. */
  readonly store: StoreReport | null;
  readonly memory: MemoryReport;
  readonly deadLetters: readonly DeadLetterFill[] | null;
  /** Who takes events from its streams; none while they cannot be seen. */
  readonly readers: readonly StreamReader[];
  readonly refusing: readonly RefusingStream[];
  /** None while the streams cannot be seen. */
  readonly logs: readonly LogLag[];
  /** Of each tenant the newest first; none while the streams cannot be seen. */
  readonly replays?: readonly ReplayStand[];
  /** Why the server is not healthy; `null`: it is. */
  readonly server: string | null;
  /** The servers of a cluster; `null`: the site is one server. */
  readonly cluster?: ClusterFacts | null;
  /** Steps that fail. */
  readonly failures: readonly string[];
  readonly now: Date;
}

/** What waits for a tenant's log in one of its streams. */
export interface LogLag {
  readonly tenant: string;
  readonly stream: string;
  readonly events: number;
  /** Sequence up to which the log has it. */
  readonly position: number;
}

/** How long things may last, milliseconds. */
export interface Patience {
  readonly linkDownMs: number;
  readonly standsStillMs: number;
}

/** The streams of tenants that refuse when they are full, but those of dead letters. */
export function refusingStreams(mesh: ObservedStreams): RefusingStream[] {
  return [...mesh].flatMap(([stream, { info }]) => {
    const name = parseStreamName(stream);
    const { max_bytes: maxBytes, discard } = info.config;
    if (name === null || name.type === "dlq" || discard !== "new" || maxBytes <= 0) return [];
    return [{ tenant: name.tenant, stream, bytes: info.state.bytes, maxBytes }];
  });
}

/** What waits for the tenants' logs. */
export function logLags(mesh: ObservedStreams): LogLag[] {
  return [...mesh].flatMap(([stream, { consumers }]) => {
    const tenant = parseStreamName(stream)?.tenant;
    const consumer = consumers.get(LOG_CONSUMER);
    if (tenant === undefined || consumer === undefined) return [];
    const { num_pending, num_ack_pending, ack_floor } = consumer;
    return [{ tenant, stream, events: num_pending + num_ack_pending, position: ack_floor.stream_seq }];
  });
}

/** How much of their room the tenants' dead letters take. */
export function deadLetterFills({ tenants }: DesiredState, mesh: ObservedStreams): DeadLetterFill[] {
  return tenants.flatMap(({ name }) => {
    const info = mesh.get(dlqStream(name))?.info;
    if (info === undefined) return [];
    const { bytes, last_seq: last } = info.state;
    return [{ tenant: name, bytes, maxBytes: info.config.max_bytes, last }];
  });
}

/** Of its room, what a tenant's dead letters may take before it is told. */
const DEAD_LETTERS_SHARE = 0.8;
/** Of its room, what a stream that refuses may take before it is told. */
const REFUSING_SHARE = 0.9;
const MEMORY_HELD_MS = 30_000;

/** All dangers but those that need a history of numbers. */
export function findDangers(facts: SiteFacts, lasting: Lasting, patience: Patience): Danger[] {
  return [
    ...serverDangers(facts, lasting, patience),
    ...(facts.cluster ? clusterDangers(facts.cluster, lasting, patience) : []),
    ...(facts.links ?? []).flatMap((link) => linkDangers(link, lasting, patience)),
    ...facts.certificates.flatMap((one) => certificateDanger(one, facts.now)),
    ...storeDangers(facts.store),
    ...memoryDanger(facts.memory, lasting),
    ...(facts.deadLetters ?? []).flatMap(deadLetterDanger),
    ...facts.refusing.flatMap(fullDanger),
    ...facts.logs.flatMap((log) => logDanger(log, lasting, patience)),
    ...replayDangers(facts.replays ?? [], lasting, patience, facts.now),
  ];
}

function serverDangers({ server, failures }: SiteFacts, lasting: Lasting, patience: Patience): Danger[] {
  const dangers: Danger[] = [];
  if (server !== null && lasting.held("server") >= patience.standsStillMs / 4) {
    dangers.push({ name: "server-down", target: "nats-server", detail: server });
  }
  if (failures.length > 0 && lasting.held("state") >= patience.standsStillMs) {
    const [first = ""] = failures;
    const more = failures.length === 1 ? "" : `, and ${failures.length - 1} more`;
    dangers.push({ name: "state-not-applied", target: "site", detail: `${first}${more}` });
  }
  return dangers;
}

function linkDangers(link: LinkReport, lasting: Lasting, patience: Patience): Danger[] {
  const { peer, why } = link;
  // A peer whose key is revoked is meant to be away.
  if (link.revoked !== null) return [];
  const dangers = link.routes.flatMap((route) => lossDanger(peer, route));
  if (link.verified === "no") {
    const detail = why ?? `${peer} did not prove its key`;
    return [...dangers, { name: "peer-not-proved", target: peer, peer, detail }];
  }
  if (!link.connected) {
    const heldMs = lasting.held(`link ${peer}`);
    if (heldMs < patience.linkDownMs) return dangers;
    const detail = why ?? `there is no link with ${peer}`;
    return [...dangers, { name: "link-down", target: peer, peer, detail }];
  }
  return [...dangers, ...link.routes.flatMap((route) => routeDanger(peer, route, lasting, patience))];
}

/** What names a route in an alarm: `acme/orders/tokyo` out, `tokyo/acme/tokyo` in (peer, tenant, origin). */
export function routeTarget(
  peer: string,
  route: Pick<RouteReport, "direction" | "tenant" | "policy" | "origin">,
): string {
  const { direction, tenant, policy, origin } = route;
  return direction === "out" ? `${tenant}/${policy ?? ""}/${peer}` : `${peer}/${tenant}/${origin}`;
}

function lossDanger(peer: string, route: RouteReport): Danger[] {
  if (route.lost === 0) return [];
  const { tenant, policy, stream, lost, position } = route;
  const detail = `at most ${lost} events that ${peer} has not received were dropped from ${stream}, those that no subject of ${policy ?? "the route"} names among them; it has ${position}`;
  return [{ name: "retention-lost", target: routeTarget(peer, route), tenant, peer, detail }];
}

function routeDanger(peer: string, route: RouteReport, lasting: Lasting, patience: Patience): Danger[] {
  const { tenant, view, policy } = route;
  const target = routeTarget(peer, route);
  if (view !== null && view.state !== "running") {
    const heldMs = lasting.held(`view ${tenant}/${policy}`);
    if (heldMs < patience.standsStillMs / 2) return [];
    const detail = `it is ${view.state}${view.lastError === null ? "" : `: ${view.lastError}`}`;
    return [{ name: "view-standing-still", target: `${tenant}/${policy}`, tenant, detail }];
  }
  // Standing still with events that wait, or not able to flow at all.
  const stuck = !route.active
    ? `route ${target}`
    : route.lag > 0 && view?.deferral == null
      ? `route ${target} at ${route.position} ${route.lastEvent}`
      : null;
  if (stuck === null || lasting.held(stuck) < patience.standsStillMs) return [];
  const detail = route.why ?? `${route.lag} events wait, and it stands at ${route.position}`;
  return [{ name: "route-not-moving", target, tenant, peer, detail }];
}

function logDanger(
  { tenant, stream, events, position }: LogLag,
  lasting: Lasting,
  patience: Patience,
): Danger[] {
  if (events === 0 || lasting.held(`log ${stream} at ${position}`) < patience.standsStillMs) return [];
  const detail = `${events} events of ${stream} wait for the log of ${tenant}, which stands at ${position}`;
  return [{ name: "log-not-moving", target: `${tenant}/${stream}`, tenant, detail }];
}

function certificateDanger(certificate: CertificateReport, now: Date): Danger[] {
  const { problem, kind, peer, fingerprint, notAfter } = certificate;
  if (problem === null) return [];
  const name = Date.parse(notAfter) <= now.getTime() ? "certificate-expired" : "certificate-expiring";
  const target = `${kind === "peer_ca" ? `ca of ${peer}` : kind} ${fingerprint.slice(0, 12)}`;
  return [{ name, target, ...(peer === null ? {} : { peer }), detail: problem }];
}

function storeDangers(store: StoreReport | null): Danger[] {
  if (store === null) return [];
  const { state, freeBytes, totalBytes, usedBytes, budgetBytes } = store;
  const free = `${bytesText(freeBytes)} of ${bytesText(totalBytes)} are free`;
  const dangers: Danger[] = [];
  if (state !== "ok") {
    dangers.push({ name: state === "low" ? "store-low" : "store-stopped", target: "store", detail: free });
  }
  if (budgetBytes > freeBytes + usedBytes) {
    const detail = `tenants may take ${bytesText(budgetBytes)}; ${free}, and streams take ${bytesText(usedBytes)}`;
    dangers.push({ name: "budgets-exceed-disk", target: "store", detail });
  }
  return dangers;
}

function memoryDanger({ usedBytes, limitBytes }: MemoryReport, lasting: Lasting): Danger[] {
  // What is only there until it is collected is no danger.
  if (usedBytes <= limitBytes || lasting.held("memory") < MEMORY_HELD_MS) return [];
  const detail = `the sidecar takes ${bytesText(usedBytes)}, its limit is ${bytesText(limitBytes)}`;
  return [{ name: "memory-high", target: "sidecar", detail }];
}

function deadLetterDanger({ tenant, bytes, maxBytes }: DeadLetterFill): Danger[] {
  if (maxBytes <= 0 || bytes < maxBytes * DEAD_LETTERS_SHARE) return [];
  const detail = `dead letters take ${bytesText(bytes)} of ${bytesText(maxBytes)}`;
  return [{ name: "dead-letters-full", target: tenant, tenant, detail }];
}

function fullDanger({ tenant, stream, bytes, maxBytes }: RefusingStream): Danger[] {
  if (bytes < maxBytes * REFUSING_SHARE) return [];
  const detail = `${stream} takes ${bytesText(bytes)} of ${bytesText(maxBytes)}, and refuses what does not fit`;
  return [{ name: "budget-nearly-full", target: `${tenant}/${stream}`, tenant, detail }];
}
