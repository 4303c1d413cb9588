/** A view that the one that leads has placed at a member. */
import type { ViewPolicy, ViewTarget } from "../../flow/thread/messages.ts";
import { startingStats, sumTotals, type Totals } from "../../flow/thread/supervisor.ts";
import type { ViewStats } from "../../flow/view_worker.ts";
import type { Follower } from "./follower.ts";
import type { Placing } from "./messages.ts";
import type { Places } from "./placement.ts";

export interface Placed {
  readonly target: ViewTarget;
  policy: ViewPolicy;
  /** `null`: here. */
  readonly at: Follower | null;
  readonly placing: Placing;
  /** Where it is has said so. */
  started: boolean;
  /** What the workers before this one have counted. */
  readonly before: Totals;
}

/** The tenant of a view, by its key. */
export function tenantOf(key: string): string {
  return key.split("/")[0] ?? "";
}

/** What is counted before anything is. */
export function nothing(): Totals {
  return startingStats("", null, 0);
}

/** What a view has counted, with what its worker counted last. */
export function counted({ before }: Placed, stats: ViewStats | null): Totals {
  return stats === null ? before : sumTotals(before, stats);
}

/** All of them, by their keys. */
export class PlacedViews extends Map<string, Placed> {
  /** Version of the policy that each decides by. */
  running(): ReadonlyMap<string, string> {
    return new Map([...this].map(([key, { policy }]) => [key, policy.version]));
  }

  /** What each has done, through all its workers. @param here what those of this process have done */
  stats(here: ReadonlyMap<string, ViewStats>): ReadonlyMap<string, ViewStats> {
    const all = new Map<string, ViewStats>();
    for (const [key, { at, before, policy }] of this) {
      const stats = (at === null ? here : at.stats).get(key) ?? startingStats(policy.version, null, 0);
      all.set(key, { ...stats, ...sumTotals(before, stats) });
    }
    return all;
  }

  /** How many views of each tenant each member has. */
  places(self: string): Places {
    const places = new Map<string, Map<string, number>>();
    for (const [key, { at }] of this) {
      const tenant = places.get(tenantOf(key)) ?? new Map<string, number>();
      places.set(tenantOf(key), tenant);
      const name = at?.name ?? self;
      tenant.set(name, (tenant.get(name) ?? 0) + 1);
    }
    return places;
  }
}
