/** The links of a site and the routes over them, as they are now. */
import type { DesiredState } from "../model/desired.ts";
import type { LinkReport } from "./link_api.ts";
import { reportLinks, revokedLink } from "./link_report.ts";
import type { ObservedStreams } from "./observe.ts";
import type { Peering } from "./peering.ts";
import type { Plan } from "./plan.ts";
import type { SiteControlOptions } from "./site_options.ts";

export interface SiteLinksOptions extends Pick<SiteControlOptions, "system" | "links" | "viewReports"> {
  readonly desired: () => DesiredState;
  readonly peering: Peering;
}

/** Reads leaf connections, and says of each link what a plan and the streams say. */
export class SiteLinks {
  readonly #options: SiteLinksOptions;

  constructor(options: SiteLinksOptions) {
    this.#options = options;
  }

  /** The links with all peers, those that are revoked too. */
  async report(plan: Plan, streams: ObservedStreams): Promise<readonly LinkReport[]> {
    const { desired, system, peering, links, viewReports } = this.#options;
    const { peers, revoked = [] } = desired();
    const leafs = await system.leafs([...peers, ...revoked].map((peer) => peer.name));
    const { mode = "plain", failure = () => null, up } = links ?? {};
    for (const leaf of leafs) if (leaf.type === "up") up?.(leaf.peer);
    const linked = reportLinks({
      mode,
      failure,
      plan,
      streams,
      peers,
      knowledge: peering.knowledge(),
      leafs,
      why: (peer) => peering.why(peer),
      views: viewReports(),
    });
    const isUp = (peer: string) => leafs.some((leaf) => leaf.peer === peer && leaf.type === "up");
    return [...linked, ...revoked.map((peer) => revokedLink(peer, isUp(peer.name)))];
  }

  /** Peers whose link stands, and that have not proved their keys. */
  async unproved(): Promise<readonly string[]> {
    const { desired, system } = this.#options;
    const leafs = await system.leafs(desired().peers.map(({ name }) => name));
    return leafs.flatMap((leaf) => (leaf.type === "up" && !this.isVerified(leaf.peer) ? [leaf.peer] : []));
  }

  /** Whether a peer has proved its key. */
  isVerified(peer: string): boolean {
    return this.#options.peering.knowledge().get(peer)?.verified === "yes";
  }
}
