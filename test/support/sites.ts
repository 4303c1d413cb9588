/** Sites for tests: real servers with the project's own configuration, keys made on the fly, links between them. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { Attachments } from "../../src/control/attachments.ts";
import { ghostsOf } from "../../src/control/ghost_interest.ts";
import { LogGate } from "../../src/control/log_gate.ts";
import { RouteGate } from "../../src/control/route_gate.ts";
import { clusteredState, type DesiredState, desiredTenant } from "../../src/model/desired.ts";
import { type LinkMode, linkCompression, linkedState } from "../../src/model/links.ts";
import { linkAccount, tenantApiPrefix } from "../../src/model/names.ts";
import type { TenantDocument } from "../../src/model/schema/tenant.ts";
import type { ServerAddresses } from "../../src/nats/addresses.ts";
import { renderConfig, renderLeafCredential } from "../../src/nats/config.ts";
import {
  type ClusterInput,
  clusterPassword,
  renderClusterCredential,
} from "../../src/nats/config_cluster.ts";
import { type LinkTls, trustFiles } from "../../src/nats/config_links.ts";
import { ControlConnection, connectionOptions } from "../../src/nats/control_connection.ts";
import { createSigningKey, publicKeys, type SigningKey, type SiteKeys } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { freePorts } from "./free_ports.ts";
import { TestServer } from "./server.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";
import { waitFor } from "./wait_for.ts";

export interface SitesOptions {
  /** Names of the sites and their tenants. */
  readonly sites: Readonly<
    Record<string, { readonly tenants?: readonly (string | TenantDocument)[]; readonly servers?: number }>
  >;
  /** Links: the first dials the second. Default none. */
  readonly links?: readonly (readonly [string, string])[];
  /** When the stores are flushed: at every event (default), or milliseconds between. */
  readonly sync?: "always" | number;
  /** How links are spoken; default TLS. */
  readonly mode?: LinkMode;
}

/** The place of a server among those of a clustered site. */
export interface TestMember {
  readonly name: string;
  /** `host:port` for the other servers. */
  readonly listen: string;
  readonly routes: readonly string[];
}

/** One site: its server, or one of its servers, and the keys to it. Each tenant has a user `app` of which the test holds the key. */
export class TestSite implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly keys: SiteKeys;
  readonly addresses: ServerAddresses;
  /** Its certificates; `null`: its links are plain. */
  readonly pki: SitePki | null;
  readonly member: TestMember | null;
  readonly #sync: "always" | number;
  #desired: DesiredState;
  #server: TestServer | null = null;
  #logGate: LogGate | null = null;
  #routeGate: RouteGate | null = null;
  #control: ControlConnection | null = null;
  readonly #apps: ReadonlyMap<string, SigningKey>;
  readonly #connections: NatsConnection[] = [];

  constructor(
    desired: DesiredState,
    folder: string,
    keys: SiteKeys,
    addresses: ServerAddresses,
    apps: ReadonlyMap<string, SigningKey>,
    sync: "always" | number,
    pki: SitePki | null,
    member: TestMember | null = null,
  ) {
    this.pki = pki;
    this.member = member;
    this.#sync = sync;
    this.name = desired.site;
    this.folder = folder;
    this.keys = keys;
    this.addresses = addresses;
    this.#desired = desired;
    this.#apps = apps;
  }

  get desired(): DesiredState {
    return this.#desired;
  }

  get server(): TestServer {
    if (this.#server === null) throw new Error(`Site ${this.name} was not started`);
    return this.#server;
  }

  /** The sidecar's connections. */
  get control(): ControlConnection {
    if (this.#control === null) throw new Error(`Site ${this.name} was not started`);
    return this.#control;
  }

  get mesh(): NatsConnection {
    return this.control.mesh;
  }

  async start(): Promise<void> {
    await mkdir(join(this.folder, "keys"), { recursive: true, mode: 0o700 });
    await writeFile(join(this.folder, "keys", "leaf.conf"), renderLeafCredential(this.keys.site), {
      mode: 0o600,
    });
    if (this.member !== null) {
      const credential = renderClusterCredential(this.member.routes, clusterPassword(this.keys.mesh));
      await writeFile(join(this.folder, "keys", "cluster.conf"), credential, { mode: 0o600 });
    }
    await this.#writeTrust();
    const options = {
      site: this.name,
      server: this.addresses.listen,
      keys: this.keys,
      clustered: this.member !== null,
    };
    this.#server = await TestServer.start({
      folder: this.folder,
      config: this.#config([]),
      ready: async () => {
        const control = await ControlConnection.open(options);
        const { ok } = await control.system.health();
        await control[Symbol.asyncDispose]();
        return ok;
      },
    });
    const control = await ControlConnection.open(options);
    this.#control = control;
    // What the sidecar does for peers and for the tenants' logs.
    const mesh = await jetstreamManager(control.mesh, { checkAPI: false });
    const attachments = new Attachments();
    const log = () => {};
    const ghosts = ghostsOf({ system: control.system, mesh, clustered: false, log });
    this.#routeGate = new RouteGate({ site: this.name, nc: control.mesh, mesh, attachments, ghosts, log });
    this.#logGate = new LogGate({
      nc: control.mesh,
      mesh,
      attachments,
      tenant: (tenant) =>
        jetstreamManager(control.mesh, { apiPrefix: tenantApiPrefix(tenant), checkAPI: false }),
      refused: () => {},
    });
  }

  /** Connects as the tenant's user `app`, or with any key. */
  async app(tenant: string, key?: SigningKey, more: ConnectionOptions = {}): Promise<NatsConnection> {
    const own = key ?? this.#apps.get(tenant);
    if (own === undefined) throw new Error(`Site ${this.name} has no tenant ${tenant}`);
    return await this.connect(own, { name: `app of ${tenant}`, ...more });
  }

  /** Connects to the site's server with any key; the connection ends with the site. */
  async connect(key: SigningKey, more: ConnectionOptions = {}): Promise<NatsConnection> {
    const connection = await connect(
      connectionOptions(this.name, this.addresses.listen, key, { ignoreAuthErrorAbort: false, ...more }),
    );
    this.#connections.push(connection);
    return connection;
  }

  /** Renders another desired state and has the server reload it. */
  async reload(desired: DesiredState, retiredTenants: readonly string[] = []): Promise<void> {
    this.#desired = desired;
    await this.#writeTrust();
    await writeFile(this.server.configFile, this.#config(retiredTenants), { mode: 0o600 });
    await this.control.system.reload();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
    this.#routeGate?.[Symbol.dispose]();
    this.#logGate?.[Symbol.dispose]();
    await this.#control?.[Symbol.asyncDispose]();
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #writeTrust(): Promise<void> {
    if (this.#tls === undefined) return;
    for (const { path, content } of trustFiles(linkedState(this.#desired, "tls"), this.#tls)) {
      await writeFile(path, content, { mode: 0o600 });
    }
  }

  get #tls(): LinkTls | undefined {
    const { pki } = this;
    return pki === null
      ? undefined
      : {
          linkFile: pki.linkFile,
          linkFingerprint: pki.link.fingerprint,
          trustFolder: join(this.folder, "keys"),
          ownCa: pki.trustedPem,
        };
  }

  get #cluster(): ClusterInput | undefined {
    const { pki, member } = this;
    if (pki === null || member === null) return undefined;
    const tls = {
      certFile: pki.linkFile,
      fingerprint: pki.link.fingerprint,
      caFile: join(this.folder, "keys", "ca.pem"),
    };
    const { name, listen } = member;
    return { name: this.name, member: name, listen, credential: "keys/cluster.conf", tls };
  }

  #config(retiredTenants: readonly string[]): string {
    return renderConfig({
      desired: this.#desired,
      keys: publicKeys(this.keys),
      ...this.addresses,
      sync: this.#sync,
      paths: {
        store: join(this.folder, "store"),
        log: join(this.folder, "nats.log"),
        leafCredential: "keys/leaf.conf",
      },
      retiredTenants,
      compression: linkCompression(undefined),
      tls: this.#tls,
      cluster: this.#cluster,
    });
  }
}

/** Several sites, stopped and removed together. */
export class TestSites implements AsyncDisposable {
  /** All servers. */
  readonly all: readonly TestSite[];
  readonly #root: TempFolder;

  constructor(servers: readonly TestSite[], root: TempFolder) {
    this.all = servers;
    this.#root = root;
  }

  /** The site's server; of several the first. */
  site(name: string): TestSite {
    const [site] = this.members(name);
    if (site === undefined) throw new Error(`No test site ${name}`);
    return site;
  }

  /** All servers of a site. */
  members(name: string): TestSite[] {
    return this.all.filter((server) => server.name === name);
  }

  /** Waits until every link of every site is up. */
  async linked(): Promise<void> {
    const isUp = async (server: TestSite, peer: string) => {
      const { leafs } = (await server.control.system.request("LEAFZ")) as { leafs?: { account: string }[] };
      return leafs?.some(({ account }) => account === linkAccount(peer)) === true;
    };
    for (const { name, desired } of this.all) {
      for (const peer of desired.peers) {
        const up = async () => {
          const found = await Promise.all(this.members(name).map((server) => isUp(server, peer.name)));
          // Of the servers that are dialled, any one has the link.
          return peer.dial === undefined ? found.includes(true) : !found.includes(false);
        };
        await waitFor(up, { what: `the link of ${name} with ${peer.name}`, deadlineMs: 20_000 });
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((site) => site[Symbol.asyncDispose]()));
    await this.#root[Symbol.asyncDispose]();
  }
}

/** Starts the sites' servers and waits until their links are up. */
export async function startSites(options: SitesOptions): Promise<TestSites> {
  const root = await tempFolder();
  const { mode = "tls" } = options;
  const made = await Promise.all(
    Object.entries(options.sites).map(async ([name, { servers = 1 }]) => ({
      name,
      keys: makeSiteKeys(),
      servers: await makeServers(root.path, name, servers),
    })),
  );
  const of = (name: string) => {
    const found = made.find((site) => site.name === name);
    if (found === undefined) throw new Error(`A link names ${name}, which is no site`);
    return found;
  };
  const sites = made.flatMap(({ name, keys, servers }) => {
    const apps = new Map<string, SigningKey>();
    const tenants = (options.sites[name]?.tenants ?? []).map((given) => {
      const document = typeof given === "string" ? { tenant: given } : given;
      const key = createSigningKey();
      apps.set(document.tenant, key);
      const users = [...(document.users ?? []), { name: "app", key: key.publicKey }];
      return desiredTenant({ ...document, users });
    });
    const peers = (options.links ?? []).flatMap(([dialer, dialed]) => {
      if (dialer !== name && dialed !== name) return [];
      const peer = of(dialer === name ? dialed : dialer);
      const urls = peer.servers.map(({ addresses }) => dialUrl(addresses.leaf, mode));
      const dial = dialer === name ? { dial: urls.length === 1 ? (urls[0] ?? "") : urls } : {};
      const count = peer.servers.length === 1 ? {} : { servers: peer.servers.length };
      const [{ pki }] = peer.servers as [MadeServer];
      const ca = mode === "plain" ? {} : { ca: pki.caPem };
      return [{ name: peer.name, key: peer.keys.site.publicKey, ...ca, ...count, ...dial }];
    });
    const desired = clusteredState({ site: name, peers, tenants }, servers.length);
    return servers.map(({ folder, addresses, pki, member }) => {
      const shown = mode === "plain" && member === null ? null : pki;
      return new TestSite(desired, folder, keys, addresses, apps, options.sync ?? "always", shown, member);
    });
  });
  const all = new TestSites(sites, root);
  try {
    await Promise.all(sites.map((site) => site.start()));
    await all.linked();
  } catch (thrown) {
    await all[Symbol.asyncDispose]();
    throw thrown;
  }
  return all;
}

interface MadeServer {
  readonly folder: string;
  readonly addresses: ServerAddresses;
  readonly pki: SitePki;
  readonly member: TestMember | null;
}

/** Folders, addresses and certificates of a site's servers: all of one CA. */
async function makeServers(root: string, site: string, count: number): Promise<MadeServer[]> {
  const ports = await freePorts("127.0.0.1", 3 * count);
  const address = (index: number) => `127.0.0.1:${ports[index]}`;
  const routes = Array.from({ length: count }, (_, i) => address(3 * i + 2));
  const servers: MadeServer[] = [];
  for (let i = 0; i < count; i++) {
    const name = "abcde"[i] ?? "";
    const folder = join(root, count === 1 ? site : `${site}-${name}`);
    const [first] = servers;
    if (first !== undefined) {
      await mkdir(join(folder, "keys"), { recursive: true, mode: 0o700 });
      for (const file of ["ca.key", "ca.pem"]) {
        await copyFile(join(first.folder, "keys", file), join(folder, "keys", file));
      }
    }
    servers.push({
      folder,
      addresses: { listen: address(3 * i), leaf: address(3 * i + 1) },
      pki: await SitePki.load(folder, { site }),
      member: count === 1 ? null : { name, listen: address(3 * i + 2), routes },
    });
  }
  return servers;
}

/** Starts one site without peers. */
export async function startSite(
  name: string,
  tenants: readonly (string | TenantDocument)[] = [],
  mode: LinkMode = "tls",
): Promise<{ readonly site: TestSite } & AsyncDisposable> {
  const sites = await startSites({ sites: { [name]: { tenants } }, mode });
  return { site: sites.site(name), [Symbol.asyncDispose]: () => sites[Symbol.asyncDispose]() };
}

/** What a site is dialled by. */
export function dialUrl(leaf: string, mode: LinkMode): string {
  return `${mode === "tls" ? "tls" : "nats-leaf"}://${leaf}`;
}

function makeSiteKeys(): SiteKeys {
  return { site: createSigningKey(), mesh: createSigningKey(), sys: createSigningKey() };
}
