/** A site of three servers, each with its sidecar as a process of its own, and two peers of one server each. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { Peer, SiteFile } from "../../src/model/schema/site.ts";
import type { TenantDocument } from "../../src/model/schema/tenant.ts";
import { createSigningKey, loadSiteKeys, type SigningKey } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { freePorts } from "./free_ports.ts";
import { MeshSite } from "./mesh.ts";
import { tempFolder } from "./temp_folder.ts";

const MEMBERS = ["a", "b", "c"];
/** What all members of a site must have. */
const SHARED = ["site.nk", "mesh.nk", "sys.nk", "ca.key", "ca.pem", "api.token"];

export interface ClusteredMesh extends AsyncDisposable {
  /** The sidecars of berlin: not started. */
  readonly members: readonly MeshSite[];
  /** Not started. */
  readonly tokyo: MeshSite;
  /** Not started, and without peers. */
  readonly austin: MeshSite;
  /** Where apps reach any server of berlin. */
  readonly servers: readonly string[];
}

/** Writes the files of berlin, which dials tokyo from each of its three servers. */
export async function clusteredMesh(
  tenants: (site: string) => readonly TenantDocument[],
): Promise<ClusteredMesh> {
  const root = await tempFolder();
  const ports = await freePorts("127.0.0.1", 18);
  const address = (index: number) => `127.0.0.1:${ports[index]}`;
  const routes = MEMBERS.map((_, i) => address(4 * i + 3));
  const apps = new Map<string, SigningKey>();
  const withApps = (site: string) =>
    tenants(site).map((tenant) => {
      const key = apps.get(tenant.tenant) ?? createSigningKey();
      apps.set(tenant.tenant, key);
      return { users: [{ name: "app", key: key.publicKey }], ...tenant };
    });
  const identity = async (folder: string, site: string) => {
    const data = join(root.path, folder, "data");
    await mkdir(join(data, "keys"), { recursive: true, mode: 0o700 });
    const { site: key } = await loadSiteKeys(data);
    return { key: key.publicKey, ca: (await SitePki.load(data, { site })).caPem };
  };
  const berlin = await identity("berlin-a", "berlin");
  const tokyo = await identity("tokyo", "tokyo");
  await mkdir(join(root.path, "austin", "data"), { recursive: true, mode: 0o700 });
  const keysOf = (folder: string) => join(root.path, folder, "data", "keys");
  const token = createSigningKey().publicKey;
  await writeFile(join(keysOf("berlin-a"), "api.token"), `${token}\n`, { mode: 0o600 });
  const make = async (folder: string, file: SiteFile) => {
    await writeFile(join(root.path, folder, "site.yaml"), stringify(file));
    return new MeshSite(join(root.path, folder), file, apps);
  };
  const members: MeshSite[] = [];
  for (const [i, member] of MEMBERS.entries()) {
    const folder = `berlin-${member}`;
    await mkdir(keysOf(folder), { recursive: true, mode: 0o700 });
    for (const name of i === 0 ? [] : SHARED) {
      await copyFile(join(keysOf("berlin-a"), name), join(keysOf(folder), name));
    }
    const peer: Peer = { name: "tokyo", ...tokyo, dial: `tls://${address(13)}` };
    members.push(
      await make(folder, {
        site: "berlin",
        data: "data",
        server: {
          listen: address(4 * i),
          leaf: address(4 * i + 1),
          sync: "1s",
          linger: "5s",
          cluster: { member, listen: routes[i] ?? "", routes },
        },
        api: { listen: address(4 * i + 2) },
        peers: [peer],
        tenants: withApps("berlin"),
      }),
    );
  }
  for (const member of members) member.token = token;
  const site = await make("tokyo", {
    site: "tokyo",
    data: "data",
    server: { listen: address(12), leaf: address(13), sync: "1s" },
    api: { listen: address(14) },
    peers: [{ name: "berlin", ...berlin, servers: 3 }],
    tenants: withApps("tokyo"),
  });
  const third = await make("austin", {
    site: "austin",
    data: "data",
    server: { listen: address(15), leaf: address(16), sync: "1s" },
    api: { listen: address(17) },
    tenants: withApps("austin"),
  });
  return {
    members,
    tokyo: site,
    austin: third,
    servers: MEMBERS.map((_, i) => address(4 * i)),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...members, site, third].map((one) => one.close()));
      await root[Symbol.asyncDispose]();
    },
  };
}
