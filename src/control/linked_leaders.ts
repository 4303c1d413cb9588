/**
 * Finds streams and consumers of a cluster that are led by a server without a link to the peer that they are for, while another server
 * has one. A server that dials passes nothing on between its link and the other servers of its cluster: what it has no link of its
 * own for stands still. Source: nats-server `server/client.go`, processMsgResults (isSpokeLeafNode).
 */
import { linkAccount, siteApiPrefix } from "../model/names.ts";
import type { Peer } from "../model/schema/site.ts";
import { isPeerConsumer, type ObservedStreams } from "./observe.ts";
import { Retries } from "./retries.ts";

/** A link that has just gone may be back in a moment, and a server that has just started makes its own. */
const HELD_MS = 2500;

/** The servers of a site that are there, each with the accounts of peers that it has a link with; `null`: it does not answer. */
export type ServerLinks = ReadonlyMap<string, ReadonlySet<string> | null>;

/** A stream, or a consumer of it, that another server is to lead. */
export interface MovedLeader {
  readonly stream: string;
  readonly consumer: string | null;
  readonly from: string;
  readonly to: string;
  /** The peers whose links the one that leads now does not have. */
  readonly peers: readonly string[];
}

export class LinkedLeaders {
  readonly #retries: Retries;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(now: () => number) {
    this.#retries = new Retries(now);
  }

  /** The leaders to move now. */
  find(streams: ObservedStreams, peers: readonly Peer[], servers: ServerLinks): MovedLeader[] {
    const misplaced = misplacedLeaders(streams, peers, servers).map((moved) => ({
      key: `${moved.stream} ${moved.consumer ?? ""}`,
      holdMs: HELD_MS,
      moved,
    }));
    return this.#retries.due(misplaced).map(({ moved }) => moved);
  }
}

/** All that are led by a server that lacks a link which another one has. */
function misplacedLeaders(
  streams: ObservedStreams,
  peers: readonly Peer[],
  servers: ServerLinks,
): MovedLeader[] {
  // Where the peer dials, any link serves all servers.
  const dialled = new Set(peers.filter(({ dial }) => dial !== undefined).map(({ name }) => name));
  const apis = new Map([...dialled].map((peer) => [siteApiPrefix(peer), peer]));
  const found: MovedLeader[] = [];
  const look = (
    stream: string,
    consumer: string | null,
    leader: string | undefined,
    needed: readonly string[],
  ) => {
    if (needed.length === 0 || leader === undefined) return;
    const here = servers.get(leader);
    if (here === null || here === undefined) return;
    const lacks = (links: ReadonlySet<string>) => needed.filter((peer) => !links.has(linkAccount(peer)));
    const missing = lacks(here);
    let best: { readonly to: string; readonly lacks: number } | null = null;
    for (const [server, links] of servers) {
      if (links === null || server === leader) continue;
      const count = lacks(links).length;
      if (count < (best?.lacks ?? missing.length)) best = { to: server, lacks: count };
    }
    if (best !== null) found.push({ stream, consumer, from: leader, to: best.to, peers: missing });
  };
  for (const [stream, { info, consumers }] of streams) {
    const { sources = [], mirror } = info.config;
    const from = [...sources, ...(mirror === undefined || mirror === null ? [] : [mirror])].flatMap(
      ({ external }) => apis.get(external?.api ?? "") ?? [],
    );
    look(stream, null, info.cluster?.leader, [...new Set(from)]);
    for (const [name, consumer] of consumers) {
      if (isPeerConsumer(name) && dialled.has(name)) look(stream, name, consumer.cluster?.leader, [name]);
    }
  }
  return found;
}
