/**
 * The mesh that is attacked: three sites, each a sidecar process with its own nats-server; tenants that share some things,
 * tenants that share nothing; and somebody who listens in every account of every site.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { ControlConnection } from "../../../src/nats/control_connection.ts";
import { loadSiteKeys, type SiteKeys } from "../../../src/nats/keys.ts";
import type { LeafTls } from "../../../src/nats/leaf_client.ts";
import { type Mesh, type MeshOptions, type MeshSite, startMesh } from "../../support/mesh.ts";
import { waitFor } from "../../support/wait_for.ts";

/** In payloads that must stay where they are. No attempt may bring one of them to anybody else. */
export const SECRETS = {
  /** In an order of acme: the view to austin masks it. */
  email: "secret-ada@example.net",
  /** In an event of acme that no policy exports. */
  local: "secret-acme-local",
  /** In an event of globex, which only austin may have. */
  globex: "secret-globex",
  /** In an event of initech, which only berlin has. */
  initech: "secret-initech",
} as const;

/** What a listener has heard: `subject headers payload`. */
export interface Inbox {
  readonly lines: string[];
}

/** A site with its owner's connections and the listeners in its accounts. */
export interface WatchedSite {
  readonly site: MeshSite;
  readonly control: ControlConnection;
  readonly keys: SiteKeys;
  readonly tenants: readonly string[];
  /** By tenant: everything that an app with a subscription to `>` hears. */
  readonly inboxes: ReadonlyMap<string, Inbox>;
  /** Subjects of MESH under which something was heard that an attempt had marked, and how often. */
  readonly marked: Map<string, number>;
}

/** All that a site proves itself with. */
export interface StolenIdentity {
  readonly keys: SiteKeys;
  /** What it shows to a peer that it dials, and expects of it; where links are TLS. */
  readonly tls?: (peer: string) => Promise<LeafTls>;
}

export interface WorldOptions {
  /** Changes what a site's file says. */
  readonly edit?: MeshOptions["edit"];
  /** How links are spoken; default plain. */
  readonly mode?: MeshOptions["mode"];
}

/** Every text of an attempt begins with it, so that it is found wherever it gets to. */
export const MARK = "MARKED-";

/** What a server says within an account while the sidecar, or a snapshot, asks about it: nobody's message. */
const SERVER_CHATTER = /^(\$JSC\.R\.|_R_\.|\$JS\.FC\.|\$JS\.EVENT\.ADVISORY\.API )/;

const acmeExports: readonly ExportPolicy[] = [
  {
    name: "orders",
    to: ["austin"],
    rules: [
      {
        subjects: ["acme.orders.>"],
        when: '"region" in headers && headers["region"] == "EU"',
        redact: [{ path: "$.email", with: "mask", keep: "domain" }],
      },
      { subjects: ["acme.catalog.>"] },
    ],
  },
  { name: "catalog", to: ["tokyo"], rules: [{ subjects: ["acme.catalog.>"] }] },
];

function tenantsOf(site: string): TenantDocument[] {
  switch (site) {
    case "berlin":
      return [
        {
          tenant: "acme",
          exports: [...acmeExports],
          imports: [{ from: "tokyo", subjects: ["acme.public.>"] }],
        },
        {
          tenant: "globex",
          exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["globex.>"] }] }],
        },
        { tenant: "initech" },
      ];
    case "austin":
      return [
        { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.orders.>", "acme.catalog.>"] }] },
        { tenant: "globex", imports: [{ from: "berlin", subjects: ["globex.>"] }] },
      ];
    default:
      return [
        {
          tenant: "acme",
          exports: [{ name: "public", to: ["berlin"], rules: [{ subjects: ["acme.public.>"] }] }],
          imports: [{ from: "berlin", subjects: ["acme.>"] }],
        },
        // Tokyo would like globex too; berlin does not let it.
        { tenant: "globex", imports: [{ from: "berlin", subjects: ["globex.>"] }] },
      ];
  }
}

/** The mesh with all who watch it. */
export class World implements AsyncDisposable {
  readonly mesh: Mesh;
  readonly #watched: WatchedSite[] = [];
  readonly #watchers: NatsConnection[] = [];

  private constructor(mesh: Mesh) {
    this.mesh = mesh;
  }

  /** Starts the sites, publishes what an attacker would like to have, and begins to listen. */
  static async start(options: WorldOptions = {}): Promise<World> {
    const mesh = await startMesh({
      mode: options.mode ?? "plain",
      sites: { berlin: ["austin"], austin: ["tokyo"], tokyo: ["berlin"] },
      tenants: tenantsOf,
      ...(options.edit === undefined ? {} : { edit: options.edit }),
    });
    const world = new World(mesh);
    try {
      await world.#seed();
      for (const site of mesh.sites) world.#watched.push(await world.#watch(site));
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  /** The sites that are watched: all that still stand. */
  get watched(): readonly WatchedSite[] {
    return this.#watched;
  }

  at(name: string): WatchedSite {
    const found = this.#watched.find(({ site }) => site.name === name);
    if (found === undefined) throw new Error(`${name} is not watched`);
    return found;
  }

  /** Lines that a listener heard, of a tenant at a site. */
  inbox(site: string, tenant: string): readonly string[] {
    return this.at(site).inboxes.get(tenant)?.lines ?? [];
  }

  /** Ends a site for good: somebody else may now speak in its name, with its keys and its certificate. */
  async abandon(name: string): Promise<StolenIdentity> {
    const { control, keys, site } = this.at(name);
    const index = this.#watched.findIndex((one) => one.site === site);
    this.#watched.splice(index, 1);
    await control[Symbol.asyncDispose]();
    await site.close();
    const read = async (file: string) => await readFile(join(site.dataFolder, "keys", file), "utf8");
    if (site.file.server?.links !== "tls") return { keys };
    const link = await read("link.pem");
    const tls = (peer: string): Promise<LeafTls> =>
      read(`peer-${peer}.pem`).then((ca) => ({ ca, cert: link, key: link }));
    return { keys, tls };
  }

  /** Waits until every route flows that may, while no site is abandoned. */
  async flowing(): Promise<void> {
    // Tokyo's wish for globex is never granted: all other routes must stand.
    await waitFor(
      async () => {
        const routes = (await Promise.all(this.mesh.sites.map((site) => site.links())))
          .flat()
          .flatMap((link) => link.routes);
        const flowing = routes.filter((route) => route.why === null).length;
        return flowing >= EXPECTED_ROUTES || Promise.reject(new Error(JSON.stringify(routes)));
      },
      { deadlineMs: 30_000, pollMs: 100, what: "the routes to flow" },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#watchers.map((nc) => nc.close()));
    await Promise.all(this.#watched.map(({ control }) => control[Symbol.asyncDispose]()));
    await this.mesh[Symbol.asyncDispose]();
  }

  async #seed(): Promise<void> {
    const [berlin, austin, tokyo] = ["berlin", "austin", "tokyo"].map((name) => this.mesh.site(name));
    if (!berlin || !austin || !tokyo) return;
    const [acme, globex, initech] = [
      await berlin.app("acme"),
      await berlin.app("globex"),
      await berlin.app("initech"),
    ];
    const eu = headers();
    eu.set("region", "EU");
    await this.flowing();
    await jetstream(acme).publish("acme.orders.1", `{"id":1,"email":"${SECRETS.email}"}`, { headers: eu });
    await jetstream(acme).publish("acme.catalog.shoes", '{"price":1}');
    await jetstream(acme).publish("acme.private.note", `{"note":"${SECRETS.local}"}`);
    await jetstream(globex).publish("globex.deals.1", `{"deal":"${SECRETS.globex}"}`);
    await jetstream(initech).publish("initech.tps.1", `{"report":"${SECRETS.initech}"}`);
    const open = await tokyo.app("acme");
    await jetstream(open).publish("acme.public.1", '{"hello":"berlin"}');
    await waitFor(
      async () => {
        await using far = await austin.mesh();
        await using near = await berlin.mesh();
        const count = async (at: typeof far, stream: string) =>
          (await at.jsm.streams.info(stream)).state.messages;
        return (
          (await count(far, "in_acme")) === 2 &&
          (await count(far, "in_globex")) === 1 &&
          (await count(near, "in_acme")) === 1
        );
      },
      { deadlineMs: 20_000, what: "the first events to arrive" },
    );
    await Promise.all([acme, globex, initech, open].map((nc) => nc.close()));
  }

  async #watch(site: MeshSite): Promise<WatchedSite> {
    const keys = await loadSiteKeys(site.dataFolder);
    const server = site.file.server?.listen ?? "";
    const control = await ControlConnection.open({ site: site.name, server, keys });
    const tenants = (site.file.tenants ?? []).map(({ tenant }) => tenant);
    const inboxes = new Map<string, Inbox>();
    for (const tenant of tenants) {
      const nc = await site.app(tenant);
      this.#watchers.push(nc);
      const lines: string[] = [];
      nc.subscribe(">", {
        callback: (error, message) => {
          if (error !== null) return;
          const line = `${message.subject} ${headText(message)} ${message.string()}`;
          if (!SERVER_CHATTER.test(line) || line.includes(MARK)) lines.push(line);
        },
      });
      await nc.flush();
      inboxes.set(tenant, { lines });
    }
    const marked = new Map<string, number>();
    control.mesh.subscribe(">", {
      callback: (error, message) => {
        if (error !== null) return;
        if (!`${message.subject} ${headText(message)} ${message.string()}`.includes(MARK)) return;
        marked.set(message.subject, (marked.get(message.subject) ?? 0) + 1);
      },
    });
    await control.mesh.flush();
    return { site, control, keys, tenants, inboxes, marked };
  }
}

/** The headers of a message as text; an attacker may have written some that the client cannot read. */
function headText(message: Msg): string {
  try {
    return [...(message.headers ?? [])].map(([name, values]) => `${name}=${values.join()}`).join(" ");
  } catch (error) {
    return `(${String(error)})`;
  }
}

/** Both ends of each: acme to austin and to tokyo, globex to austin, acme from tokyo. */
const EXPECTED_ROUTES = 8;
