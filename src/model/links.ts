/** How the links of a site are spoken, and which peers can be linked with so. Pure. */
import type { DesiredState } from "./desired.ts";
import { dialUrls, type LINK_COMPRESSIONS, type Peer, type ServerSettings } from "./schema/site.ts";

export type LinkMode = "tls" | "plain";

/** How hard what a site sends on its links is compressed, as nats-server's `leafnodes.compression`. */
export type LinkCompression = (typeof LINK_COMPRESSIONS)[number];

/**
 * Not `s2_auto`, nats-server's own default: it takes the round trip of its pings for the length of the line. A link that
 * catches up has a queue, so the pings are slow, and nats-server 2.15.1 turns to `s2_best`, which then takes more of the
 * processor than all else that the link does.
 */
const DEFAULT_COMPRESSION: LinkCompression = "s2_fast";

/** How hard a site compresses what it sends on its links. */
export const linkCompression = (settings: ServerSettings | undefined): LinkCompression =>
  settings?.compression ?? DEFAULT_COMPRESSION;

/** How a site speaks its links. */
export const linkMode = (settings: ServerSettings | undefined): LinkMode => settings?.links ?? "tls";

/** Why there is no link with a peer, as its document stands; `null` when there can be one. */
export function linkProblem(peer: Peer, mode: LinkMode): string | null {
  if (mode === "plain") return null;
  if (peer.ca === undefined) {
    return `links of this site speak TLS, and the CA of ${peer.name} is not known: 'leafmesh ca show' prints it there, 'leafmesh peer trust ${peer.name} --peer-ca FILE' tells it here`;
  }
  const clear = dialUrls(peer).find((url) => url.startsWith("ws://"));
  if (clear !== undefined) {
    return `links of this site speak TLS, and ${clear} does not: dial tls:// or wss://`;
  }
  return null;
}

/** The state without the peers that there can be no link with. */
export function linkedState(state: DesiredState, mode: LinkMode): DesiredState {
  const peers = state.peers.filter((peer) => linkProblem(peer, mode) === null);
  return peers.length === state.peers.length ? state : { ...state, peers };
}
