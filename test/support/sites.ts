/** Sites for tests: real servers with the project's own configuration, keys made on the fly, links between them. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { type DesiredState, desiredTenant } from "../../src/model/desired.ts";
import { type LinkMode, linkedState } from "../../src/model/links.ts";
import type { TenantDocument } from "../../src/model/schema/tenant.ts";
import { freePorts, type ServerAddresses } from "../../src/nats/addresses.ts";
import { renderConfig, renderLeafCredential } from "../../src/nats/config.ts";
import { type LinkTls, trustFiles } from "../../src/nats/config_links.ts";
import { ControlConnection, connectionOptions } from "../../src/nats/control_connection.ts";
import { createSigningKey, publicKeys, type SigningKey, type SiteKeys } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { TestServer } from "./server.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";
import { waitFor } from "./wait_for.ts";

export interface SitesOptions {
  /** Names of the sites and their tenants. */
  readonly sites: Readonly<Record<string, { readonly tenants?: readonly (string | TenantDocument)[] }>>;
  /** Links: the first dials the second. Default none. */
  readonly links?: readonly (readonly [string, string])[];
  /** When the stores are flushed: at every event (default), or milliseconds between. */
  readonly sync?: "always" | number;
  /** How links are spoken; default TLS. */
  readonly mode?: LinkMode;
}

/** One site: its server and the keys to it. Each tenant has a user `app` of which the test holds the key. */
export class TestSite implements AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  readonly keys: SiteKeys;
  readonly addresses: ServerAddresses;
  /** Its certificates; `null`: its links are plain. */
  readonly pki: SitePki | null;
  readonly #sync: "always" | number;
  #desired: DesiredState;
  #server: TestServer | null = null;
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
  ) {
    this.pki = pki;
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
    await this.#writeTrust();
    const options = { site: this.name, server: this.addresses.listen, keys: this.keys };
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
    this.#control = await ControlConnection.open(options);
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
      tls: this.#tls,
    });
  }
}

/** Several sites, stopped and removed together. */
export class TestSites implements AsyncDisposable {
  readonly #sites: ReadonlyMap<string, TestSite>;
  readonly #root: TempFolder;

  constructor(sites: ReadonlyMap<string, TestSite>, root: TempFolder) {
    this.#sites = sites;
    this.#root = root;
  }

  get all(): TestSite[] {
    return [...this.#sites.values()];
  }

  site(name: string): TestSite {
    const site = this.#sites.get(name);
    if (site === undefined) throw new Error(`No test site ${name}`);
    return site;
  }

  /** Waits until every link of every site is up. */
  async linked(): Promise<void> {
    for (const site of this.all) {
      const peers = site.desired.peers.map((peer) => peer.name);
      const up = async () => (await site.control.system.leafs(peers)).every((leaf) => leaf.type === "up");
      await waitFor(up, { what: `the links of ${site.name}`, deadlineMs: 20_000 });
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
  const names = Object.keys(options.sites);
  const ports = await freePorts("127.0.0.1", names.length * 2);
  const { mode = "tls" } = options;
  const made = await Promise.all(
    names.map(async (name, i) => ({
      name,
      keys: makeSiteKeys(),
      addresses: { listen: `127.0.0.1:${ports[2 * i]}`, leaf: `127.0.0.1:${ports[2 * i + 1]}` },
      pki: mode === "plain" ? null : await SitePki.load(join(root.path, name), { site: name }),
    })),
  );
  const of = (name: string) => {
    const found = made.find((site) => site.name === name);
    if (found === undefined) throw new Error(`A link names ${name}, which is no site`);
    return found;
  };
  const sites = made.map(({ name, keys, addresses, pki }) => {
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
      const dial = dialer === name ? { dial: dialUrl(peer.addresses.leaf, mode) } : {};
      const ca = peer.pki === null ? {} : { ca: peer.pki.caPem };
      return [{ name: peer.name, key: peer.keys.site.publicKey, ...ca, ...dial }];
    });
    return new TestSite(
      { site: name, peers, tenants },
      join(root.path, name),
      keys,
      addresses,
      apps,
      options.sync ?? "always",
      pki,
    );
  });
  const all = new TestSites(new Map(sites.map((site) => [site.name, site])), root);
  try {
    await Promise.all(sites.map((site) => site.start()));
    await all.linked();
  } catch (thrown) {
    await all[Symbol.asyncDispose]();
    throw thrown;
  }
  return all;
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
