/** The mesh under the fault machine: three sites with proxies between them, publishers and readers for every tenant. */
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { dialUrls } from "../../../src/model/schema/site.ts";
import { readRunningProcess } from "../../../src/nats/processes.ts";
import { type Mesh, type MeshSite, type SidecarEntry, startMesh } from "../mesh.ts";
import type { Random } from "../random.ts";
import { SecondMember } from "../second_member.ts";
import { mountDisk } from "../small_disk.ts";
import { waitFor } from "../wait_for.ts";
import { Arrivals } from "./arrivals.ts";
import type { History } from "./history.ts";
import { LinkProxy } from "./link_proxy.ts";
import { LogReader } from "./log_reader.ts";
import { Publisher } from "./publisher.ts";
import { policyOf, SITES, type SiteName, TENANTS, type TenantName } from "./scenario.ts";

/** Who dials whom: each site has a link with each other one. */
const DIALS: Readonly<Record<SiteName, readonly SiteName[]>> = {
  berlin: ["austin"],
  austin: ["tokyo"],
  tokyo: ["berlin"],
};

export interface WorldOptions {
  /** Events a second, over all sites and tenants. */
  readonly rate: number;
  readonly history: History;
  /** Bytes of a memory disk for each site's store; `null`: the store is on the machine's disk. */
  readonly diskBytes: number | null;
  /** When servers flush their store; the machine's faults end processes and do not cut the power. */
  readonly sync: string;
  /** Entry of the sidecar's process, for builds that are broken on purpose. */
  readonly entry?: SidecarEntry;
  /** Two: each site has one more, that stands by. Default one. */
  readonly sidecars?: 1 | 2;
}

/** One sidecar of a site, as what goes wrong with it. */
export type SidecarProcess = Pick<MeshSite, "name" | "pid" | "start" | "end">;

export class World implements AsyncDisposable {
  readonly history: History;
  readonly proxies: ReadonlyMap<string, LinkProxy>;
  readonly publishers: Publisher[] = [];
  readonly arrivals: Arrivals[] = [];
  readonly diskBytes: number | null;
  /** The newest version of each site's policies that may be in force, and the one that is surely in force. */
  readonly #versions = new Map<string, { asked: number; applied: number }>();
  readonly #mesh: Mesh;
  readonly #readers = new Map<string, LogReader>();
  /** The apps that read, by site and tenant. */
  readonly #clients = new Map<string, NatsConnection>();
  /** The second sidecar of each site, where each has two. */
  readonly seconds = new Map<SiteName, SecondMember>();
  readonly #unmount: () => void;

  private constructor(
    mesh: Mesh,
    proxies: ReadonlyMap<string, LinkProxy>,
    unmount: () => void,
    options: WorldOptions,
  ) {
    this.#mesh = mesh;
    this.proxies = proxies;
    this.#unmount = unmount;
    this.history = options.history;
    this.diskBytes = options.diskBytes;
  }

  /** Starts the sites and waits until all routes flow. */
  static async start(options: WorldOptions): Promise<World> {
    const proxies = new Map<string, LinkProxy>();
    for (const site of SITES) {
      for (const peer of DIALS[site]) proxies.set(`${site}-${peer}`, await LinkProxy.listen());
    }
    const mounts: (() => void)[] = [];
    const unmount = () => {
      for (const mounted of mounts.splice(0)) mounted();
    };
    const mesh = await startMesh({
      sites: DIALS,
      ...(options.entry === undefined ? {} : { entry: options.entry }),
      tenants: (site) =>
        TENANTS.map((tenant) => ({
          tenant,
          limits: { storage: "8GiB" },
          dedupe: { window: "15m" },
          exports: [policyOf(tenant, 0, site as SiteName)],
          imports: SITES.filter((one) => one !== site).map((from) => ({ from, subjects: [`${tenant}.>`] })),
        })),
      edit: (file) => ({
        ...file,
        server: { ...file.server, sync: options.sync },
        peers: (file.peers ?? []).map((peer) => {
          const proxy = proxies.get(`${file.site}-${peer.name}`);
          if (proxy === undefined || peer.dial === undefined) return peer;
          const [dialled = ""] = dialUrls(peer);
          const url = new URL(dialled);
          proxy.target = url.host;
          return { ...peer, dial: `${url.protocol}//${proxy.address}` };
        }),
      }),
      prepare: (dataFolder) => {
        if (options.diskBytes !== null) mounts.push(mountDisk(join(dataFolder, "store"), options.diskBytes));
      },
      release: unmount,
    });
    const world = new World(mesh, proxies, unmount, options);
    try {
      await mesh.flowing();
      if (options.sidecars === 2) {
        const { entry } = options;
        for (const name of SITES) {
          const second = await SecondMember.start(mesh.site(name), entry === undefined ? {} : { entry });
          world.seconds.set(name, second);
        }
      }
      await world.#begin(options);
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  site(name: SiteName): MeshSite {
    return this.#mesh.site(name);
  }

  /** One of the site's sidecars, by chance where it has two. */
  sidecar(name: SiteName, random: Random): SidecarProcess {
    const second = this.seconds.get(name);
    return second !== undefined && random.below(2) === 1 ? second : this.site(name);
  }

  /** The sidecar that leads a site; `null` while none says so. */
  async leader(name: SiteName): Promise<SidecarProcess | null> {
    const signal = AbortSignal.timeout(5_000);
    const response = await this.site(name).api("GET", "/v1/members", undefined, {}, signal);
    const { items } = (await response.json()) as { items: { name: string; leads: boolean }[] };
    const found = items.find(({ leads }) => leads)?.name;
    const second = this.seconds.get(name);
    return found === undefined ? null : found === second?.name ? second : this.site(name);
  }

  /** Process id of a site's nats-server; `null` while none runs. */
  async serverPid(name: SiteName): Promise<number | null> {
    return (await readRunningProcess(join(this.site(name).dataFolder, "nats.pid")))?.pid ?? null;
  }

  version(site: SiteName, tenant: TenantName): { asked: number; applied: number } {
    const key = `${site}.${tenant}`;
    const there = this.#versions.get(key);
    if (there !== undefined) return there;
    const made = { asked: 0, applied: 0 };
    this.#versions.set(key, made);
    return made;
  }

  /** Puts the next version of a tenant's policy in force at a site: again and again until the sidecar has taken it. */
  async nextPolicy(site: SiteName, tenant: TenantName, deadlineMs: number): Promise<void> {
    const version = this.version(site, tenant);
    const next = version.applied + 1;
    version.asked = next;
    const path = `/v1/tenants/${tenant}/exports/out`;
    const end = performance.now() + deadlineMs;
    for (;;) {
      try {
        const response = await this.site(site).api(
          "PUT",
          path,
          policyOf(tenant, next, site),
          { "if-match": "*" },
          AbortSignal.timeout(5000),
        );
        if (response.ok) break;
        throw new Error(`${response.status} ${(await response.text()).slice(0, 200)}`);
      } catch (thrown) {
        if (performance.now() > end)
          throw new Error(`${site} does not take v${next} of ${tenant}: ${thrown}`);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
    version.applied = next;
  }

  /** Ends publishing, and waits until everything that was begun is stored. */
  async stopPublishing(): Promise<void> {
    await Promise.all(this.publishers.map((publisher) => publisher.stop()));
  }

  /** Has the publishers of a site begin nothing more. @returns what lets them go on */
  async holdPublishers(site: SiteName): Promise<() => void> {
    const held = await Promise.all(this.#publishersOf(site).map((publisher) => publisher.hold()));
    return () => {
      for (const go of held) go();
    };
  }

  /** How many events the publishers of a site have stored while they are held, in their order. */
  stored(site: SiteName): readonly number[] {
    return this.#publishersOf(site).map(({ begun }) => begun);
  }

  /** The store of a site is as it was when `stored` was asked. */
  rollBack(site: SiteName, stored: readonly number[]): void {
    for (const [index, publisher] of this.#publishersOf(site).entries()) {
      const lost = publisher.rollBack(stored[index] ?? 0);
      for (const one of this.arrivals) if (one.publisher === publisher && one.at !== site) one.forget(lost);
    }
    for (const tenant of TENANTS) {
      this.#readers.get(`${site}.${tenant}`)?.abandon();
      for (const one of this.arrivals) {
        if (one.at === site && one.publisher.tenant === tenant) one.restart();
      }
      this.#read(site, tenant);
    }
  }

  #publishersOf(site: SiteName): readonly Publisher[] {
    return this.publishers.filter(({ origin }) => origin === site);
  }

  async flowing(): Promise<void> {
    await this.#mesh.flowing();
  }

  /** Whether all has arrived that every version lets out. */
  complete(): boolean {
    return this.arrivals.every((arrivals) => arrivals.missing() === 0);
  }

  async stopReading(): Promise<void> {
    await Promise.all([...this.#readers.values()].map((reader) => reader.stop()));
  }

  /** Copies the logs of the sidecars and servers to `<folder>/<site>/`. */
  async keepLogs(folder: string): Promise<void> {
    for (const name of SITES) {
      const { logFile, dataFolder } = this.site(name);
      await mkdir(join(folder, name), { recursive: true });
      await cp(join(dataFolder, "log"), join(folder, name), { recursive: true });
      await cp(logFile, join(folder, name, "sidecar.log"));
      const second = this.seconds.get(name);
      if (second !== undefined) await cp(second.logFile, join(folder, name, "sidecar-b.log"));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopReading();
    await Promise.all([...this.seconds.values()].map((second) => second[Symbol.asyncDispose]()));
    await Promise.all(SITES.map((name) => this.site(name).close()));
    for (const proxy of this.proxies.values()) await proxy[Symbol.asyncDispose]();
    this.#unmount();
    await this.#mesh[Symbol.asyncDispose]();
  }

  async #begin({ rate, history }: WorldOptions): Promise<void> {
    for (const origin of SITES) {
      for (const tenant of TENANTS) {
        const nc = await this.#client(origin, tenant);
        const perSecond = rate / SITES.length / TENANTS.length;
        this.publishers.push(new Publisher(nc, { origin, tenant, perSecond, history }));
      }
    }
    for (const publisher of this.publishers) {
      for (const at of SITES) this.arrivals.push(new Arrivals(publisher, at));
    }
    for (const at of SITES) {
      for (const tenant of TENANTS) {
        this.#clients.set(`${at}.${tenant}`, await this.#client(at, tenant));
        this.#read(at, tenant);
      }
    }
  }

  /** Reads the log of a tenant at a site from its begin. */
  #read(at: SiteName, tenant: TenantName): void {
    const byOrigin = new Map(
      this.arrivals
        .filter((one) => one.at === at && one.publisher.tenant === tenant)
        .map((one) => [one.publisher.origin as string, one]),
    );
    const nc = this.#clients.get(`${at}.${tenant}`);
    if (nc === undefined) throw new Error(`no app of ${tenant} at ${at}`);
    const reader = new LogReader(nc, tenant, (event) => {
      const origin = event.subject.slice(0, event.subject.indexOf("."));
      const arrivals = byOrigin.get(origin);
      if (arrivals === undefined) throw new Error(`an event of no site: ${event.subject}`);
      arrivals.take(event, this.version(arrivals.publisher.origin, tenant).asked);
    });
    this.#readers.set(`${at}.${tenant}`, reader);
  }

  /** An app that never gives up. */
  async #client(site: SiteName, tenant: TenantName): Promise<NatsConnection> {
    return await waitFor(() => this.site(site).app(tenant), {
      what: `an app of ${tenant} to connect at ${site}`,
      deadlineMs: 60_000,
    });
  }
}
