/** What this site offers to a peer now: the routes that stand. */
import { parseStreamName } from "../model/names.ts";
import type { Offer } from "./agreement.ts";
import type { Planned } from "./reconcile.ts";

/**
 * The routes to a peer whose consumer is there. A route that is being moved stays as it was while the peer takes the rest of
 * its old stream; then it is withdrawn, so that the peer detaches: also where its consumer is about to be made anew.
 */
export function offersTo(peer: string, planned: Planned): Offer[] {
  return [...routesTo(peer, planned), ...replaysTo(peer, planned)];
}

/** The replays to a peer that stand beside their routes. */
function replaysTo(peer: string, { plan, observed }: Planned): Offer[] {
  return plan.replays.flatMap(({ route, stream, agreed }) => {
    if (route.peer !== peer || !agreed || !observed.mesh.get(stream)?.consumers.has(peer)) return [];
    const { tenant, origin, policy } = route.export;
    const subjects = [...route.subjects];
    return [{ tenant: tenant.name, origin, policy: policy.name, kind: "replay", stream, subjects }];
  });
}

function routesTo(peer: string, { plan, observed }: Planned): Offer[] {
  return plan.out.flatMap((route) => {
    const { tenant, origin, policy, stream, route: compiled } = route.export;
    if (route.peer !== peer || route.hold !== null) return [];
    const common = { tenant: tenant.name, origin, subjects: [...route.subjects] };
    const consumer = observed.mesh.get(stream)?.consumers.get(peer);
    const widened = plan.steps.some((step) => step.type === "widen-route" && step.route === route);
    if (widened && consumer?.paused === true) return [];
    if (consumer !== undefined) {
      return [{ ...common, policy: policy.name, kind: compiled.type, stream }];
    }
    const drained = plan.steps.find(
      (step) => step.type === "switch-route" && step.route === route && step.drain,
    );
    if (drained?.type !== "switch-route") return [];
    const { from } = drained;
    const old = observed.mesh.get(from.stream)?.consumers.get(from.consumer);
    const name = parseStreamName(from.stream);
    if (old === undefined || old.paused || name?.type !== "view") return [];
    return [{ ...common, policy: name.policy, kind: "view", stream: from.stream }];
  });
}
