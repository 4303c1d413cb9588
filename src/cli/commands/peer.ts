/** `peer list|add|trust|remove`. */
import type { DocumentList, SiteReport } from "../../../routes/answers.ts";
import { describeCertificate, splitPem } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { dialUrls, Peer, type PeerDocument } from "../../model/schema/site.ts";
import { appliedText, checked, fileOfFlag } from "../check.ts";
import { argument, type Call, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

const CA_FLAG = { value: "FILE", about: "the peer's CA, PEM: 'leafmesh ca show' prints it there" } as const;

export const PEER_LIST: Command = {
  name: "peer list",
  args: [],
  about: "all peers of this site",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<DocumentList<PeerDocument>>(paths.peers);
    const rows = items.map(({ value }) => [
      value.name + (value.invited === undefined ? "" : " (joining)"),
      dialUrls(value).join(", ") || "(dials us)",
      value.key,
      splitPem(value.ca ?? "")
        .map((pem) => describeCertificate(pem).fingerprint)
        .join(" ") || "-",
    ]);
    const none = "No peers yet: 'leafmesh peer invite <site>' makes one.";
    const text = rows.length === 0 ? none : table(["PEER", "DIAL", "KEY", "CA (SHA-256)"], rows);
    return { json: items, text };
  },
};

export const PEER_ADD: Command = {
  name: "peer add",
  args: ["<name>"],
  about: "links this site with another one; the other has to add this one, too",
  flags: {
    key: { value: "U…", about: "site key of the peer: 'leafmesh status' shows it there" },
    "peer-ca": CA_FLAG,
    dial: {
      value: "URL",
      about:
        "leaf address of the peer, for example tls://host:7422, one for each of its servers with commas between (default: it dials us)",
    },
    servers: { value: "N", about: "how many servers the peer is (default 1)" },
    force: { about: "even if its key was revoked: it is forgiven" },
  },
  run: async (call) => {
    const dial = call.flag("dial")?.split(",");
    const servers = call.flag("servers");
    const ca = await caOf(call);
    const given = {
      name: argument(call, 0),
      key: call.flag("key"),
      ...(ca === undefined ? {} : { ca }),
      ...(dial === undefined ? {} : { dial: dial.length === 1 ? dial[0] : dial }),
      ...(servers === undefined ? {} : { servers: Number(servers) }),
    };
    const peer = checked(Peer, given, "The peer");
    const client = await call.api();
    const site = await client.get<SiteReport>(paths.site);
    if (site.links.mode === "tls" && ca === undefined) {
      throw new LeafmeshError(
        "request_invalid",
        `--peer-ca FILE is missing: links of ${site.site} speak TLS. 'leafmesh ca show' prints the CA of ${peer.name} there`,
      );
    }
    const path = paths.peer(peer.name);
    const force = call.has("force");
    // What was revoked is still there.
    const stored = force ? await client.find<Peer>(path) : null;
    const before = stored === null ? "create" : { ifMatch: stored.etag };
    const applied = await client.putAndWait(force ? `${path}?force=true` : path, peer, before);
    const scheme = site.links.mode === "tls" ? "tls" : "nats-leaf";
    const back = dial === undefined ? ` --dial ${scheme}://<this host>:${portOf(site.links.advertise)}` : "";
    const tls = site.links.mode === "tls";
    const trust = tls ? ` --peer-ca ${site.site}.pem` : "";
    const handOver = tls ? `, with the file that 'leafmesh ca show --out ${site.site}.pem' writes here` : "";
    const there = `leafmesh peer add ${site.site} --key ${site.key}${trust}${back}`;
    return {
      json: { peer, applied },
      text: `Peer ${peer.name} is added ${appliedText(applied)}. At ${peer.name} run${handOver}:\n  ${there}`,
    };
  },
};

export const PEER_TRUST: Command = {
  name: "peer trust",
  args: ["<name>"],
  about: "trusts another CA or key of a peer, and the one before no more",
  flags: { "peer-ca": CA_FLAG, key: { value: "U…", about: "site key of the peer" } },
  run: async (call) => {
    const [name, ca, key] = [argument(call, 0), await caOf(call), call.flag("key")];
    if (ca === undefined && key === undefined) {
      throw new LeafmeshError(
        "request_invalid",
        "Nothing to trust is given: --peer-ca FILE, --key U…, or both",
      );
    }
    const client = await call.api();
    const { value, etag } = await client.read<PeerDocument>(paths.peer(name));
    const { nextKey: _nextKey, invited: _invited, ...kept } = value;
    const given = { ...kept, ...(ca === undefined ? {} : { ca }), ...(key === undefined ? {} : { key }) };
    const peer = checked(Peer, given, "The peer");
    const applied = await client.putAndWait(paths.peer(name), peer, { ifMatch: etag });
    return {
      json: { peer, applied },
      text: `Peer ${name} is trusted by what was given ${appliedText(applied)}.`,
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

/** Text of the file that --peer-ca names. */
async function caOf(call: Call): Promise<string | undefined> {
  return call.flag("peer-ca") === undefined ? undefined : (await fileOfFlag(call, "peer-ca")).text;
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}
