/** The alarms that follow from what is observed of a site. Pure but for how long a thing has held. */
import type { AlarmName, AlarmReport } from "../../model/alarms.ts";
import type { DesiredState } from "../../model/desired.ts";
import { dlqStream } from "../../model/names.ts";
import type { CertificateReport, LinkReport, RouteReport } from "../api.ts";
import type { ObservedStreams } from "../observe.ts";
import type { Lasting } from "./lasting.ts";

/** A danger that was observed. */
export type Danger = AlarmReport & { readonly name: AlarmName };

/** The names whose alarms follow from the streams, which cannot be seen while the server does not answer. */
export const OF_STREAMS: readonly AlarmName[] = [
  "retention-lost",
  "link-down",
  "peer-not-proved",
  "route-not-moving",
  "view-standing-still",
  "dead-letters-growing",
  "dead-letters-full",
];

/** The other names whose alarms are all found here. */
export const OF_SITE: readonly AlarmName[] = [
  "certificate-expiring",
  "certificate-expired",
  "store-low",
  "store-stopped",
  "server-down",
  "state-not-applied",
];

/** The disk under the store, as it was looked at last. */
export interface StoreSpace {
  readonly state: "ok" | "low" | "stopped";
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** A tenant's dead letters. */
export interface DeadLetterFill {
  readonly tenant: string;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Sequence of the newest. */
  readonly last: number;
}

/** What is known of a site at one moment. */
export interface SiteFacts {
  /** With the dead letters `null` while the streams cannot be seen. */
  readonly links: readonly LinkReport[] | null;
  readonly certificates: readonly CertificateReport[];
  /** `null`: the disk is not ours to watch, or was not looked at yet. */
  readonly store: StoreSpace | null;
  readonly deadLetters: readonly DeadLetterFill[] | null;
  /** Why the server is not healthy; `null`: it is. */
  readonly server: string | null;
  /** Steps that fail. */
  readonly failures: readonly string[];
  readonly now: Date;
}

/** How long things may last, milliseconds. */
export interface Patience {
  readonly linkDownMs: number;
  readonly standsStillMs: number;
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

/** All dangers but those that need a history of numbers. */
export function findDangers(facts: SiteFacts, lasting: Lasting, patience: Patience): Danger[] {
  return [
    ...serverDangers(facts, lasting, patience),
    ...(facts.links ?? []).flatMap((link) => linkDangers(link, lasting, patience)),
    ...facts.certificates.flatMap((one) => certificateDanger(one, facts.now)),
    ...storeDangers(facts.store),
    ...(facts.deadLetters ?? []).flatMap(deadLetterDanger),
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

function certificateDanger(certificate: CertificateReport, now: Date): Danger[] {
  const { problem, kind, peer, fingerprint, notAfter } = certificate;
  if (problem === null) return [];
  const name = Date.parse(notAfter) <= now.getTime() ? "certificate-expired" : "certificate-expiring";
  const target = `${kind === "peer_ca" ? `ca of ${peer}` : kind} ${fingerprint.slice(0, 12)}`;
  return [{ name, target, ...(peer === null ? {} : { peer }), detail: problem }];
}

function storeDangers(store: StoreSpace | null): Danger[] {
  if (store === null || store.state === "ok") return [];
  const free = `${mebibytes(store.freeBytes)} of ${mebibytes(store.totalBytes)} are free`;
  return [{ name: store.state === "low" ? "store-low" : "store-stopped", target: "store", detail: free }];
}

function deadLetterDanger({ tenant, bytes, maxBytes }: DeadLetterFill): Danger[] {
  if (maxBytes <= 0 || bytes < maxBytes * DEAD_LETTERS_SHARE) return [];
  const detail = `dead letters take ${mebibytes(bytes)} of ${mebibytes(maxBytes)}`;
  return [{ name: "dead-letters-full", target: tenant, tenant, detail }];
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MiB`;
}
