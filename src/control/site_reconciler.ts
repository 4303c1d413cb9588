/** The reconciler of a site with all that its passes look at and act through. */
import type { DesiredState } from "../model/desired.ts";
import { errorText } from "../model/errors.ts";
import { LOG_CONSUMER, MESH_ACCOUNT, siteApiPrefix, siteApiReset } from "../model/names.ts";
import { resetConsumer } from "../nats/consumer_reset.ts";
import { hasRoom } from "../nats/disk_space.ts";
import { listenersOf } from "../nats/listeners.ts";
import type { PeerKnowledge, Peers } from "./agreement.ts";
import type { StepReport } from "./api.ts";
import type { Attachments } from "./attachments.ts";
import { idleHeartbeat, letGo } from "./let_go.ts";
import { LinkedLeaders } from "./linked_leaders.ts";
import { moveLeader } from "./move_leader.ts";
import { OfferNews } from "./offer_news.ts";
import type { Peering } from "./peering.ts";
import { Reconciler } from "./reconcile.ts";
import type { Replays } from "./replay_api.ts";
import { SilentSources } from "./silent_sources.ts";
import type { SiteObserver } from "./site_observer.ts";
import type { SiteControlOptions } from "./site_options.ts";
import { resetHere } from "./site_recovery.ts";
import type { SourceWaits } from "./source_waits.ts";
import { StuckConsumers } from "./stuck_consumers.ts";
import type { NamedTurns } from "./turns.ts";

/** How long a peer's server may take to have a consumer go on elsewhere, and what it is when it does not. */
const RESET_AT_PEER = { timeoutMs: 2000, code: "peer_unreachable" } as const;
/** A peer begins a rewind between two of its passes, and then waits for its server. */
const REWIND_AT_PEER_MS = 4000;

export interface SiteReconcilerParts {
  readonly options: SiteControlOptions;
  readonly desired: () => DesiredState;
  readonly peering: Peering;
  readonly observer: SiteObserver;
  readonly replays: Replays;
  /** Writes, checks and reloads the server's configuration. */
  readonly configure: () => Promise<void>;
  readonly waits: SourceWaits;
  readonly streamTurns: NamedTurns;
  readonly attachments: Attachments;
}

/** Joins the parts into a reconciler; it makes no pass before it is asked to. */
export function siteReconciler(parts: SiteReconcilerParts): Reconciler {
  const { options, desired, peering, observer, replays, attachments } = parts;
  const { site, nc, mesh, server, system, rollbacks, log } = options;
  const linked = async (consumer: string) => consumer === LOG_CONSUMER || (await system.isLinked(consumer));
  const clock = () => performance.now();
  const silent = new SilentSources(clock, () => {
    const disk = options.watched?.().store ?? null;
    return disk !== null && !hasRoom(disk);
  });
  const stuck = new StuckConsumers(clock);
  const leaders = new LinkedLeaders(clock);
  const news = new OfferNews((peer) => peering.poke(peer));
  return new Reconciler({
    state: options.state,
    observe: (state) => observer.observe(state),
    peers: () => knowledgeOf(desired(), peering),
    configChanges: () => server.changes(desired()),
    silent: (observed) => silent.find(observed, (api) => reachable(api, desired(), peering)),
    stuck: (observed) => stuck.find(observed.mesh),
    misplaced: ({ mesh: streams }) =>
      observer.servers === null ? [] : leaders.find(streams, desired().peers, observer.servers),
    strangers: () => server.strangers(desired()),
    undialled: () =>
      desired()
        .peers.filter((peer) => options.links?.stoppedDialling(peer) === true)
        .map(({ name }) => name),
    isOlderCopy: (stream, origin) => rollbacks.setbacks.lastOf(stream, `from ${origin}`) !== null,
    versionOf: options.versionOf,
    replays: () => replays.wanted(),
    log,
    applied: (step) => tellStep(step, options),
    context: {
      site,
      mesh,
      tenant: options.tenant,
      configure: parts.configure,
      redial: async (peer) => {
        await server.redial(peer);
        options.links?.dialledAnew(peer);
      },
      kickLeaf: async (peer) => {
        await system.kickLeaf(peer);
      },
      views: options.views,
      peerPosition: (peer, tenant, stream) => peering.position(peer, tenant, stream),
      resetSource: (peer, stream, sequence) =>
        resetConsumer(nc, siteApiReset(peer, stream, site), sequence, RESET_AT_PEER),
      resetHere: (stream, consumer, sequence) => resetHere(nc, stream, consumer, sequence),
      letGo: (stream, consumer, how) => letGo({ nc, mesh, attachments, linked }, stream, consumer, how),
      standsStill: (one, stored) => stuck.stands(one, stored),
      log,
      rewindPeer: (peer, ask) => peering.ask(peer, "rewind", ask, REWIND_AT_PEER_MS),
      takeUpAgain: (peer, ask) => peering.ask(peer, "again", ask, REWIND_AT_PEER_MS),
      peerAhead: (found) => rollbacks.peerAhead(found),
      missed: (found) => rollbacks.missed(found),
      peerLacks: (found) => rollbacks.peerLacks(found),
      firstSequence: (stream) => rollbacks.firstSequence(stream),
      setbacks: rollbacks.setbacks,
      holds: rollbacks.holds,
      moveLeader: (moved) => moveLeader(nc, moved),
      poke: (peer) => peering.poke(peer),
      waits: parts.waits,
      streamTurns: parts.streamTurns,
      listens: async (subject) => (await listenersOf(system, MESH_ACCOUNT, subject)).length > 0,
      wakeSource: (deliverSubject) => nc.publish(deliverSubject, "", { headers: idleHeartbeat() }),
      putIn: (source, refused) => silent.putIn(source, refused),
    },
    onPlan: (planned) => news.tell(desired().peers, planned),
  });
}

/** What is known of the peers. Of one that is revoked: that it may have nothing. */
function knowledgeOf({ revoked = [] }: DesiredState, peering: Peering): Peers {
  const nothing = { verified: "no", accepted: null, offered: null } as const;
  return new Map([
    ...peering.knowledge(),
    ...revoked.map(({ name }): [string, PeerKnowledge] => [name, nothing]),
  ]);
}

/** Whether the site behind an API prefix answers and has proved its key. */
function reachable(api: string, { peers }: DesiredState, peering: Peering): boolean {
  const peer = peers.find(({ name }) => siteApiPrefix(name) === api)?.name;
  if (peer === undefined) return false;
  return peering.knowledge().get(peer)?.verified === "yes" && peering.why(peer) === null;
}

/** Tells the trail of steps that close, remove or open; not of those that only adjust. They are made whether or not it hears. */
function tellStep(
  { type, target, text }: StepReport,
  { audit, log }: Pick<SiteControlOptions, "audit" | "log">,
): void {
  if (!/^(?:delete|remove|kick|configure)/.test(type)) return;
  audit
    .event(`reconcile.${type}`, target, { result: text })
    .catch((error: unknown) => log("error", errorText(error)));
}
