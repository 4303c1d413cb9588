/** For each link and each route: connected, active, lag, last event, and why it does not flow. Pure. */
import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";
import type { RevokedPeer } from "../model/desired.ts";
import { type LinkMode, linkProblem } from "../model/links.ts";
import { inStream, mirrorStream, siteApiPrefix } from "../model/names.ts";
import { dialUrls, type Peer } from "../model/schema/site.ts";
import type { LeafStatus } from "../nats/system_answers.ts";
import { type PeerKnowledge, UNKNOWN_PEER } from "./agreement.ts";
import type { LinkReport, RouteReport, ViewReport } from "./link_api.ts";
import { apiTime, mirrorReport, type ObservedStreams, sourceReports } from "./observe.ts";
import type { Plan } from "./plan.ts";
import { heldAt } from "./rollback/held.ts";
import type { InRoute, OutRoute } from "./routes.ts";
import { viewKey } from "./step.ts";

/** A source that has not heard of its origin for this long is not active; heartbeats come every second. */
const SILENT_AFTER_MS = 5000;

export interface LinkInput {
  readonly plan: Plan;
  readonly streams: ObservedStreams;
  readonly peers: readonly Peer[];
  readonly knowledge: ReadonlyMap<string, PeerKnowledge>;
  readonly leafs: readonly LeafStatus[];
  /** Why a peer was refused or does not answer. */
  readonly why: (peer: string) => string | null;
  readonly views: ReadonlyMap<string, ViewReport>;
  readonly mode?: LinkMode;
  /** Why the link of a peer failed last, in the words of the server; `null`: not known. */
  readonly failure?: (peer: Peer) => string | null;
}

/** Reports all links. */
export function reportLinks(input: LinkInput): LinkReport[] {
  return input.peers.map((peer) => {
    const leaf = input.leafs.find((one) => one.peer === peer.name) ?? {
      type: "down" as const,
      peer: peer.name,
    };
    const connected = leaf.type === "up";
    const knowledge = input.knowledge.get(peer.name) ?? UNKNOWN_PEER;
    return {
      peer: peer.name,
      direction: peer.dial === undefined ? "accept" : "dial",
      address: dialText(peer) ?? (leaf.type === "up" ? `${leaf.ip}:${leaf.port}` : null),
      connected,
      verified: knowledge.verified,
      rttMs: leaf.type === "up" ? leaf.rttMs : null,
      compression: leaf.type === "up" ? leaf.compression : null,
      revoked: null,
      why: whyLink(input, peer, connected, knowledge),
      routes: [
        ...input.plan.out
          .filter((route) => route.peer === peer.name)
          .map((route) => reportOut(input, route, connected)),
        ...input.plan.in
          .filter((route) => route.peer === peer.name)
          .map((route) => reportIn(input, route, connected)),
      ],
    };
  });
}

/** A link that was cut because its peer's key was revoked, or its invitation has ended before its join was finished. */
export function revokedLink({ name, key, at, why }: RevokedPeer, connected: boolean): LinkReport {
  const revoked = why === "revoked";
  return {
    peer: name,
    direction: "accept",
    address: null,
    connected,
    verified: revoked ? "no" : "unknown",
    rttMs: null,
    compression: null,
    revoked: revoked ? at : null,
    why: revoked
      ? `revoked at ${at}, with key ${key}`
      : `its join was not finished when its invitation ended at ${at}: invite it again, or 'leafmesh peer add ${name} --force' with key ${key}`,
    routes: [],
  };
}

function whyLink(input: LinkInput, peer: Peer, connected: boolean, knowledge: PeerKnowledge): string | null {
  const said = input.why(peer.name);
  const problem = linkProblem(peer, input.mode ?? "plain");
  if (problem !== null) return problem;
  if (knowledge.verified === "no") return said;
  if (connected) return said;
  const failure = input.failure?.(peer) ?? null;
  if (failure !== null) return failure;
  return peer.dial === undefined
    ? `${peer.name} has not dialled us, or with another key than ${peer.key}`
    : `no leaf connection to ${dialText(peer)}: the site is down, the address is wrong, or it does not know our key`;
}

/** Where a peer is dialled; `null` where it dials us. */
function dialText(peer: Peer): string | null {
  return dialUrls(peer).join(", ") || null;
}

function reportOut(input: LinkInput, route: OutRoute, connected: boolean): RouteReport {
  const { stream, tenant, policy, origin, route: compiled } = route.export;
  const observed = input.streams.get(stream);
  const consumer = observed?.consumers.get(route.peer);
  const view = input.views.get(viewKey(route.export)) ?? null;
  const lost = consumer === undefined || observed === undefined ? 0 : lostBefore(consumer, observed.info);
  const why = whyOut(input, route, consumer, connected);
  return {
    direction: "out",
    tenant: tenant.name,
    origin,
    policy: policy.name,
    kind: compiled.type,
    stream,
    subjects: route.subjects,
    active: why === null,
    lag: consumer?.num_pending ?? 0,
    position: consumer?.ack_floor.stream_seq ?? 0,
    lastEvent: apiTime(consumer?.delivered.last_active),
    lost: lost + (view?.missed ?? 0),
    why: why ?? (view?.deferral ? `it waits for a limit: ${view.deferral}` : null),
    view,
  };
}

/**
 * Events that retention dropped between what the peer was given and what is left; those that no filter matches count too.
 * The acknowledgement floor alone would count what was delivered: while events flow slowly it is far behind.
 */
function lostBefore(consumer: ConsumerInfo, stream: StreamInfo): number {
  const given = Math.max(consumer.ack_floor.stream_seq, consumer.delivered.stream_seq);
  const from = Math.max(given + 1, consumer.config.opt_start_seq ?? 1);
  return Math.max(0, stream.state.first_seq - from);
}

function whyOut(
  input: LinkInput,
  route: OutRoute,
  consumer: ConsumerInfo | undefined,
  connected: boolean,
): string | null {
  if (route.hold !== null) return route.hold;
  if (consumer === undefined) return "the route is being set up";
  if (!connected) return "the link is down";
  if (consumer.paused) {
    const { verified, accepted } = input.knowledge.get(route.peer) ?? UNKNOWN_PEER;
    if (verified !== "yes") return `held until ${route.peer} has proved its key`;
    if (accepted === null) return `held until ${route.peer} has said what it accepts`;
    return heldAt(consumer.config) === null
      ? "held while the route changes"
      : `held until ${route.peer} has said how far it has stored it`;
  }
  if (!consumer.push_bound)
    return `${route.peer} does not take it: no import there, or it is still attaching`;
  const view = input.views.get(viewKey(route.export));
  if (view !== undefined && view.state !== "running")
    return `the view's worker is ${view.state}: ${view.lastError ?? ""}`;
  return null;
}

function reportIn(input: LinkInput, route: InRoute, connected: boolean): RouteReport {
  const { policy, tenant, offer } = route;
  const stream = policy.mirror
    ? mirrorStream(tenant.name, route.peer)
    : inStream(tenant.name, policy.live ?? true);
  const info = input.streams.get(stream)?.info;
  const now =
    info === undefined
      ? undefined
      : policy.mirror
        ? mirrorReport(info)
        : sourceReports(info).find(
            (one) => one.external?.api === siteApiPrefix(route.peer) && one.name === offer?.stream,
          );
  const silent = now === undefined || now.active < 0 || now.active > SILENT_AFTER_MS * 1e6;
  const why =
    route.why ??
    (!connected
      ? "the link is down"
      : now?.error
        ? (now.error.description ?? "the source reports an error")
        : silent
          ? `nothing is heard from ${route.peer}: attaching, or held there`
          : null);
  return {
    direction: "in",
    tenant: tenant.name,
    origin: route.origin,
    policy: offer?.policy ?? null,
    kind: policy.mirror ? "mirror" : (offer?.kind ?? "native"),
    stream,
    subjects: policy.subjects,
    active: why === null,
    lag: now?.lag ?? 0,
    position: now?.seq ?? (policy.mirror ? (info?.state.last_seq ?? 0) : 0),
    lastEvent: apiTime(info?.state.last_ts),
    lost: 0,
    why,
    view: null,
  };
}
