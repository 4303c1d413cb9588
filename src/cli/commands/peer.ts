/** `peer list|add|remove`. */
import type { DocumentList, SiteReport } from "../../../routes/answers.ts";
import { Peer } from "../../model/schema/site.ts";
import { appliedText, checked } from "../check.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

export const PEER_LIST: Command = {
  name: "peer list",
  args: [],
  about: "all peers of this site",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<DocumentList<Peer>>(paths.peers);
    const rows = items.map(({ value }) => [value.name, value.dial ?? "(dials us)", value.key]);
    const none = "No peers yet: 'leafmesh peer invite <site>' makes one.";
    const text = rows.length === 0 ? none : table(["PEER", "DIAL", "KEY"], rows);
    return { json: items, text };
  },
};

export const PEER_ADD: Command = {
  name: "peer add",
  args: ["<name>"],
  about: "links this site with another one; the other has to add this one, too",
  flags: {
    key: { value: "U…", about: "site key of the peer: 'leafmesh status' shows it there" },
    dial: {
      value: "URL",
      about: "leaf address of the peer, for example nats-leaf://host:7422 (default: it dials us)",
    },
    force: { about: "even if its key was revoked: it is forgiven" },
  },
  run: async (call) => {
    const dial = call.flag("dial");
    const given = { name: argument(call, 0), key: call.flag("key"), ...(dial === undefined ? {} : { dial }) };
    const peer = checked(Peer, given, "The peer");
    const client = await call.api();
    const path = paths.peer(peer.name);
    const force = call.has("force");
    // What was revoked is still there.
    const stored = force ? await client.find<Peer>(path) : null;
    const before = stored === null ? "create" : { ifMatch: stored.etag };
    const applied = await client.putAndWait(force ? `${path}?force=true` : path, peer, before);
    const site = await client.get<SiteReport>(paths.site);
    const back = dial === undefined ? ` --dial nats-leaf://<this host>:${portOf(site.server.leaf)}` : "";
    const there = `leafmesh peer add ${site.site} --key ${site.key}${back}`;
    return {
      json: { peer, applied },
      text: `Peer ${peer.name} is added ${appliedText(applied)}. At ${peer.name} run:\n  ${there}`,
    };
  },
};

export const PEER_REMOVE: Command = {
  name: "peer remove",
  args: ["<name>"],
  about: "cuts the link with a peer that no policy names any more, and forgets it",
  flags: {},
  run: async (call) => {
    const peer = argument(call, 0);
    const client = await call.api();
    const { etag } = await client.read(paths.peer(peer));
    const applied = await client.removeAndWait(paths.peer(peer), etag);
    return {
      json: { peer, removed: true, applied },
      text: `Peer ${peer} is removed ${appliedText(applied)}.`,
    };
  },
};

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
