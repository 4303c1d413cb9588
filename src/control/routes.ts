/** From policies to routes: which stream each peer sources from, with which filter, and why nothing may flow yet. */
import type { DesiredState, DesiredTenant } from "../model/desired.ts";
import {
  inStream,
  outStream,
  storedSubject,
  tenantSubjects,
  viewStream,
  viewSubject,
} from "../model/names.ts";
import type { ExportPolicy, ImportPolicy } from "../model/schema/policy.ts";
import { intersectSets, overlappingPair, reduce } from "../model/subject.ts";
import { compileRoute, crossing, type Route, widen } from "../policy/route.ts";
import type { Accepted, Offer, Peers } from "./agreement.ts";

/** One export policy of a tenant as it is run. */
export interface ExportPlan {
  readonly tenant: DesiredTenant;
  readonly policy: ExportPolicy;
  readonly origin: string;
  /** The stream that the policy reads. */
  readonly source: string;
  /** The stream that peers source from: the source itself, or the view. */
  readonly stream: string;
  readonly route: Route;
}

/** The flow of one export policy to one peer. */
export interface OutRoute {
  readonly export: ExportPlan;
  readonly peer: string;
  /** Patterns that cross, in the tenant's subjects, as the peer gets them. */
  readonly subjects: readonly string[];
  /** The same in the subjects of `stream`: the filters of the peer's consumer. */
  readonly filters: readonly string[];
  /** Why the consumer must be paused; `null` when it may deliver. */
  readonly hold: string | null;
}

/** An offer of a route itself. */
export type RouteOffer = Offer & { readonly kind: "native" | "view" };

/** The flow of one import: what the peer offers and we accept. */
export interface InRoute {
  readonly tenant: DesiredTenant;
  readonly policy: ImportPolicy;
  readonly peer: string;
  readonly origin: string;
  /** The stream of ours that receives the events; the mirror's name for mirrors. */
  readonly offer: RouteOffer | null;
  /** The replays that the peer offers and the import takes. */
  readonly replays?: readonly Offer[];
  readonly why: string | null;
}

/** Where a policy with this origin reads: our own events, or those of another site that we pass on. */
export function sourceStream(tenant: DesiredTenant, site: string, origin: string): string {
  if (origin === site) return outStream(tenant.name);
  const through = tenant.imports.find((policy) => (policy.origin ?? policy.from) === origin);
  return inStream(tenant.name, through?.live ?? true);
}

/** All export policies of the state with the way they run. */
export function planExports(state: DesiredState): ExportPlan[] {
  const plans = state.tenants.flatMap((tenant) =>
    tenant.exports.map((policy) => {
      const origin = policy.origin ?? state.site;
      const source = sourceStream(tenant, state.site, origin);
      const route = compileRoute(policy);
      const stream = route.type === "native" ? source : viewStream(tenant.name, policy.name);
      return { tenant, policy, origin, source, stream, route };
    }),
  );
  return plans.map((plan) => (plan.route.type === "native" ? apart(plan, plans) : plan));
}

/**
 * A stream has one consumer for a peer, which has one origin: where a peer gets the events of several origins that are in
 * the same stream, each policy has a view.
 */
function apart(plan: ExportPlan, plans: readonly ExportPlan[]): ExportPlan {
  const { policy, route, stream, tenant } = plan;
  const why = plans.flatMap((other) =>
    other === plan || other.stream !== stream
      ? []
      : policy.to
          .filter((peer) => other.policy.to.includes(peer))
          .map((peer) => `${peer} gets events of ${other.origin} from ${stream} too (${other.policy.name})`),
  );
  if (why.length === 0) return plan;
  const view = { type: "view", subjects: route.subjects, outputs: route.subjects, why } as const;
  return { ...plan, route: view, stream: viewStream(tenant.name, policy.name) };
}

/** Names besides those of now that events of a route's stream may have. */
export type HeldSubjects = (plan: ExportPlan) => readonly string[];

/** All routes to peers. */
export function planOutRoutes(
  state: DesiredState,
  exports: readonly ExportPlan[],
  peers: Peers,
  held: HeldSubjects = () => [],
): OutRoute[] {
  return exports.flatMap((plan) =>
    plan.policy.to.map((peer) => planOutRoute(state.site, plan, { peer, peers, held: held(plan) })),
  );
}

function planOutRoute(
  site: string,
  plan: ExportPlan,
  { peer, peers, held }: { readonly peer: string; readonly peers: Peers; readonly held: readonly string[] },
): OutRoute {
  const allowed = crossing(plan.route);
  const known = peers.get(peer);
  const accepted = known?.accepted ? acceptedSubjects(known.accepted, plan) : null;
  const agreed = accepted === null ? allowed : narrow(allowed, accepted);
  const nothing = agreed.length === 0;
  const subjects = nothing ? allowed : agreed;
  const carried =
    held.length === 0 || accepted === null ? subjects : narrow(widen([...allowed, ...held]), accepted);
  return {
    export: plan,
    peer,
    subjects: nothing ? [] : subjects,
    filters: filtersOf(site, plan, accepted === null || nothing ? null : carried),
    hold: nothing
      ? `${peer} accepts none of ${allowed.join(", ")}`
      : holdReason(peer, known?.verified ?? "unknown"),
  };
}

function holdReason(peer: string, verified: "yes" | "no" | "unknown"): string | null {
  return verified === "no" ? `${peer} did not prove its key` : null;
}

/** A peer may say anything: what would take long to compare only says that it accepts something. */
const MAX_ACCEPTED = 128;
const MAX_PAIRS = 1024;

function acceptedSubjects(accepted: readonly Accepted[], plan: ExportPlan): string[] {
  const subjects = accepted
    .filter((one) => one.tenant === plan.tenant.name && one.origin === plan.origin)
    .flatMap((one) => one.subjects);
  return subjects.length > MAX_ACCEPTED ? [tenantSubjects(plan.tenant.name)] : reduce(subjects);
}

/** What the policy allows of what the peer accepts; where that would be too many patterns, what the policy allows. */
function narrow(allowed: readonly string[], accepted: readonly string[]): readonly string[] {
  if (accepted.length * allowed.length > MAX_PAIRS) return allowed;
  const agreed = intersectSets(allowed, accepted);
  return overlappingPair(agreed) === null ? agreed : allowed;
}

/** Filters in the stream's own subjects; `null` subjects: all that the route may carry. */
function filtersOf(site: string, plan: ExportPlan, subjects: readonly string[] | null): string[] {
  if (plan.route.type === "native") {
    return (subjects ?? plan.route.subjects).map((pattern) => storedSubject(plan.origin, pattern));
  }
  const patterns = subjects ?? [tenantSubjects(plan.tenant.name)];
  return patterns.map((pattern) => viewSubject(site, plan.policy.name, pattern));
}

/** What this site accepts of a peer: what the peer is told. */
export function acceptedOf(state: DesiredState, peer: string): Accepted[] {
  return state.tenants.flatMap((tenant) =>
    tenant.imports
      .filter((policy) => policy.from === peer)
      .map((policy) => ({
        tenant: tenant.name,
        origin: policy.origin ?? peer,
        subjects: policy.subjects,
        mirror: policy.mirror ?? false,
        ...(policy.replay === true && policy.mirror !== true ? { replay: true as const } : {}),
      })),
  );
}

/** All imports of the state, each with what the peer offers for it. */
export function planInRoutes(state: DesiredState, peers: Peers): InRoute[] {
  return state.tenants.flatMap((tenant) =>
    tenant.imports.map((policy) => {
      const origin = policy.origin ?? policy.from;
      const offered = peers.get(policy.from)?.offered ?? null;
      const mine = offered?.filter((one) => one.tenant === tenant.name && one.origin === origin) ?? [];
      const offer = mine.find((one): one is RouteOffer => one.kind !== "replay") ?? null;
      const takes = policy.replay === true && policy.mirror !== true;
      const replays = takes ? mine.filter((one) => one.kind === "replay") : [];
      const why =
        offered === null
          ? `${policy.from} has not said yet what it offers`
          : offer === null
            ? `${policy.from} exports nothing of ${tenant.name} to us`
            : null;
      return { tenant, policy, peer: policy.from, origin, offer, replays, why };
    }),
  );
}
