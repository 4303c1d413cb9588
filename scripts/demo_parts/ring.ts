/** Three sites in a ring, each a sidecar process with its server, in a folder of their own. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../src/nats/addresses.ts";
import { keysFolder, loadSigningKey, loadSiteKeys, type SigningKey } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { DIALS, peersOf, renderSiteFile, type SiteAddresses } from "./policies.ts";
import { SITES, type Site, TENANTS, type Tenant } from "./scenario.ts";
import { SidecarProcess } from "./sidecar_process.ts";
import { SiteApi } from "./site_api.ts";
import { waitUntil } from "./wait.ts";

export interface RingOptions {
  /** Leave the folder when the demo ends. */
  readonly keep: boolean;
  /** Progress, a line each. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** The running sites. Disposing of it stops what it started, and removes the folder. */
export class Ring implements AsyncDisposable {
  readonly folder: string;
  readonly addresses: Readonly<Record<Site, SiteAddresses>>;
  readonly apis: Readonly<Record<Site, SiteApi>>;
  /** The keys of the apps' users. */
  readonly users: Readonly<Record<Tenant, SigningKey>>;
  readonly #options: RingOptions;
  readonly #sidecars = new Map<Site, SidecarProcess>();

  private constructor(
    folder: string,
    addresses: Readonly<Record<Site, SiteAddresses>>,
    users: Readonly<Record<Tenant, SigningKey>>,
    options: RingOptions,
  ) {
    this.folder = folder;
    this.addresses = addresses;
    this.users = users;
    this.#options = options;
    this.apis = bySite(
      (site) =>
        new SiteApi(`http://${addresses[site].api}`, join(keysFolder(join(folder, site)), "api.token")),
    );
  }

  /** Writes the site files, starts the sites, and waits until every route of every link is active. */
  static async start(options: RingOptions): Promise<Ring> {
    const folder = await mkdtemp(join(tmpdir(), "leafmesh-demo-"));
    const ports = await freePorts("127.0.0.1", SITES.length * 3);
    const address = (site: Site, n: number) => `127.0.0.1:${ports[SITES.indexOf(site) * 3 + n]}`;
    const addresses = bySite((site) => ({
      listen: address(site, 0),
      leaf: address(site, 1),
      api: address(site, 2),
    }));
    await mkdir(join(folder, "apps"), { mode: 0o700 });
    const users = {
      acme: await loadSigningKey(join(folder, "apps", "acme.nk")),
      globex: await loadSigningKey(join(folder, "apps", "globex.nk")),
    };
    const ring = new Ring(folder, addresses, users, options);
    try {
      await ring.#writeSiteFiles();
      options.say("starting berlin, austin and tokyo, each a sidecar process with its own nats-server");
      for (const site of SITES) ring.startSidecar(site);
      await Promise.all(SITES.map((site) => ring.#routesActive(site)));
      return ring;
    } catch (error) {
      await ring[Symbol.asyncDispose]();
      throw error;
    }
  }

  sidecar(site: Site): SidecarProcess {
    const sidecar = this.#sidecars.get(site);
    if (sidecar === undefined) throw new Error(`The sidecar of ${site} was not started`);
    return sidecar;
  }

  siteFile(site: Site): string {
    return join(this.folder, `${site}.yaml`);
  }

  logFile(site: Site): string {
    return join(this.folder, `${site}.log`);
  }

  /** Starts the sidecar of a site, or starts it again after it ended. */
  startSidecar(site: Site): void {
    const data = join(this.folder, site);
    this.#sidecars.set(
      site,
      new SidecarProcess({ siteFile: this.siteFile(site), data, log: this.logFile(site) }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sidecars.values()].map((sidecar) => sidecar[Symbol.asyncDispose]()));
    if (this.#options.keep) this.#options.say(`kept: ${this.folder}`);
    else await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #writeSiteFiles(): Promise<void> {
    const keys: Record<string, string> = {};
    const cas: Record<string, string> = {};
    for (const site of SITES) {
      const data = join(this.folder, site);
      await mkdir(data, { mode: 0o700 });
      keys[site] = (await loadSiteKeys(data)).site.publicKey;
      cas[site] = (await SitePki.load(data, { site })).caPem;
    }
    for (const site of SITES) {
      const text = renderSiteFile({
        site,
        data: `./${site}`,
        addresses: this.addresses,
        keys: bySite((one) => keys[one] ?? ""),
        cas: bySite((one) => cas[one] ?? ""),
        users: { acme: this.users.acme.publicKey, globex: this.users.globex.publicKey },
      });
      await writeFile(this.siteFile(site), text);
    }
  }

  async #routesActive(site: Site): Promise<void> {
    const { signal } = this.#options;
    const routes = peersOf(site).length * TENANTS.length * 2;
    const active = async () => {
      const { ended } = this.sidecar(site);
      if (ended !== null) return true;
      const links = await this.apis[site].links(signal);
      const all = links.flatMap((link) => link.routes);
      const waiting = all.find((route) => !route.active);
      if (waiting !== undefined) {
        throw new Error(`${waiting.tenant} ${waiting.direction}: ${waiting.why ?? "not active"}`);
      }
      return all.length === routes && links.every((link) => link.connected);
    };
    await waitUntil(`the links of ${site} (it dials ${DIALS[site]})`, active, signal);
    const { ended } = this.sidecar(site);
    if (ended === null) return;
    const said = await readFile(this.logFile(site), "utf8").catch(() => "");
    throw new Error(`The sidecar of ${site} ended (${ended}):\n${said.split("\n").slice(-20).join("\n")}`);
  }
}

function bySite<T>(make: (site: Site) => T): Record<Site, T> {
  return { berlin: make("berlin"), austin: make("austin"), tokyo: make("tokyo") };
}
