/** Alarms of a site of several servers: one that is gone, and one that has no link where others have. */
import type { DesiredState } from "../../model/desired.ts";
import { linkAccount } from "../../model/names.ts";
import type { ServerLinks } from "../linked_leaders.ts";
import type { Danger, Patience } from "./dangers.ts";
import type { Lasting } from "./lasting.ts";

/** A server that restarts, or is rolled, is no danger yet. */
const GONE_SHARE = 1 / 4;

/** The servers of a cluster at one moment. */
export interface ClusterFacts {
  /** How many there should be. */
  readonly wanted: number;
  readonly there: readonly string[];
  /** Names of those that were there since this sidecar leads, and are not. */
  readonly gone: readonly string[];
  /** Servers that have no link with a peer that they are to dial, while another one has. */
  readonly unlinked: readonly { readonly server: string; readonly peer: string }[];
}

/** Remembers which servers there were. */
export class ClusterSight {
  readonly #known = new Set<string>();

  look({ replicas = 1, peers }: DesiredState, servers: ServerLinks): ClusterFacts {
    for (const name of servers.keys()) this.#known.add(name);
    const unlinked = peers
      .filter(({ dial }) => dial !== undefined)
      .flatMap(({ name: peer }) => {
        const lacking = [...servers].filter(([, links]) => links !== null && !links.has(linkAccount(peer)));
        return lacking.length === servers.size ? [] : lacking.map(([server]) => ({ server, peer }));
      });
    return {
      wanted: replicas,
      there: [...servers.keys()].sort(),
      gone: [...this.#known].filter((name) => !servers.has(name)).sort(),
      unlinked,
    };
  }
}

/** What of that is a danger. */
export function clusterDangers(
  { wanted, there, gone, unlinked }: ClusterFacts,
  lasting: Lasting,
  patience: Patience,
): Danger[] {
  const dangers: Danger[] = [];
  const missing = wanted - there.length;
  const are = `${there.join(", ")} ${there.length === 1 ? "is" : "are"} there`;
  // One that was never seen has no name here.
  const names = missing > gone.length ? ["cluster"] : gone;
  for (const target of missing > 0 ? names : []) {
    if (lasting.held(`server ${target}`) < patience.standsStillMs * GONE_SHARE) continue;
    const detail = `${there.length} of ${wanted} servers: ${are}`;
    dangers.push({ name: "server-of-cluster-down", target, detail });
  }
  for (const { server, peer } of unlinked) {
    if (lasting.held(`link of ${server} ${peer}`) < patience.linkDownMs) continue;
    const detail = `${server} has no link with ${peer}, others of ${are.replace(/ (is|are) there$/, "")} have`;
    dangers.push({ name: "server-of-cluster-unlinked", target: `${server}/${peer}`, peer, detail });
  }
  return dangers;
}
