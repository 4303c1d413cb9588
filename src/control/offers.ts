/** What this site offers to a peer now: the routes that stand. */
import type { Offer } from "./agreement.ts";
import type { Planned } from "./reconcile.ts";

/** The routes to a peer whose consumer is there. A route that is being moved is withdrawn, so that the peer detaches. */
export function offersTo(peer: string, { plan, observed }: Planned): Offer[] {
  return plan.out.flatMap((route) => {
    const { tenant, origin, policy, stream, route: compiled } = route.export;
    if (route.peer !== peer || route.hold !== null) return [];
    if (!observed.mesh.get(stream)?.consumers.has(peer)) return [];
    return [
      {
        tenant: tenant.name,
        origin,
        policy: policy.name,
        kind: compiled.type,
        stream,
        subjects: [...route.subjects],
      },
    ];
  });
}
