/** A whole mesh for tests: real sidecars as processes of their own, each with its embedded nats-server. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { stringify } from "yaml";
import type { LinkReport } from "../../src/control/link_api.ts";
import type { LinkMode } from "../../src/model/links.ts";
import type { ExportPolicy, ImportPolicy } from "../../src/model/schema/policy.ts";
import type { Peer, SiteFile } from "../../src/model/schema/site.ts";
import type { TenantDocument } from "../../src/model/schema/tenant.ts";
import { createSigningKey, loadSigningKey, loadSiteKeys, type SigningKey } from "../../src/nats/keys.ts";
import { SitePki } from "../../src/nats/pki/site_pki.ts";
import { built, PROJECT, SIDECAR } from "./built.ts";
import { endProcess } from "./end_process.ts";
import { freePorts } from "./free_ports.ts";
import { letIn } from "./let_in.ts";
import { dialUrl } from "./sites.ts";
import { type TempFolder, tempFolder } from "./temp_folder.ts";
import { waitFor } from "./wait_for.ts";

/** Entry of a sidecar's process. One of another tree runs from source: a bundle is dear where few start from it. */
export interface SidecarEntry {
  readonly path: string;
  /** Default: this tree. */
  readonly root?: string;
}

const ENTRY: SidecarEntry = { path: SIDECAR };
/** Where programs are found. As last resort the server that `scripts/setup` has brought. */
export const PATH = `${process.env.PATH ?? ""}${delimiter}${join(PROJECT, ".tools", "bin")}`;

export interface MeshOptions {
  /** Names of the sites; each dials the ones that are named for it. */
  readonly sites: Readonly<Record<string, readonly string[]>>;
  /** Tenants of a site; each gets an app user whose key the mesh holds. */
  readonly tenants: (site: string) => readonly TenantDocument[];
  /** Changes a site's file before it is written. */
  readonly edit?: (file: SiteFile) => SiteFile;
  /** Called with a site's data folder before the site starts. */
  readonly prepare?: (dataFolder: string) => void;
  /** Called when the start fails, before the files are removed. */
  readonly release?: () => void;
  /** Entry of the sidecar's process, where it is not that of this tree. */
  readonly entry?: SidecarEntry;
  /** How long a site may take to be ready; default two minutes. */
  readonly startMs?: number;
  /** How links are spoken; default TLS. */
  readonly mode?: LinkMode;
}

/** One site: its process, its API, its clients. */
export class MeshSite {
  readonly name: string;
  readonly folder: string;
  readonly file: SiteFile;
  readonly siteFile: string;
  readonly #apps: ReadonlyMap<string, SigningKey>;
  readonly #clients: NatsConnection[] = [];
  readonly #entry: SidecarEntry;
  #process: ChildProcess | null = null;
  #token = "";

  constructor(
    folder: string,
    file: SiteFile,
    apps: ReadonlyMap<string, SigningKey>,
    entry: SidecarEntry = ENTRY,
  ) {
    this.#entry = entry;
    this.name = file.site;
    this.folder = folder;
    this.file = file;
    this.siteFile = join(folder, "site.yaml");
    this.#apps = apps;
  }

  get logFile(): string {
    return join(this.folder, "sidecar.log");
  }

  get dataFolder(): string {
    return join(this.folder, "data");
  }

  /** Starts the process and waits until the API says that it is ready. */
  async start(deadlineMs = 120_000): Promise<void> {
    const child = await this.launch();
    let ended = false;
    await waitFor(
      async () => {
        ended = child.exitCode !== null || child.signalCode !== null;
        if (ended) return true;
        this.#token = (await readFile(join(this.dataFolder, "keys", "api.token"), "utf8")).trim();
        return (await fetch(`http://${this.file.api?.listen}/readyz`)).ok;
      },
      { deadlineMs, what: `sidecar ${this.name} to be ready` },
    );
    if (ended) throw new Error(`sidecar ${this.name} ended: ${await this.log()}`);
  }

  /** Starts the process. */
  async launch(): Promise<ChildProcess> {
    const { path, root } = this.#entry;
    const program = root === undefined ? await built(path) : join(root, path);
    const child = spawn(process.execPath, [program, this.siteFile], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, PATH },
    });
    const log = createWriteStream(this.logFile, { flags: "a" });
    // What a person is told at the start, the new token with it, is no log.
    child.stdout.resume();
    child.stderr.pipe(log, { end: false });
    this.#process = child;
    return child;
  }

  /** Process id of the sidecar. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Whether the sidecar's process is there. */
  get running(): boolean {
    const child = this.#process;
    return child !== null && child.exitCode === null && child.signalCode === null;
  }

  /** With which code the sidecar's process has ended; `null`: it has not, or by a signal. */
  get exitCode(): number | null {
    return this.#process?.exitCode ?? null;
  }

  /** The key of the tenant's user. */
  appKey(tenant: string): SigningKey {
    const key = this.#apps.get(tenant);
    if (key === undefined) throw new Error(`no app key for ${tenant}`);
    return key;
  }

  /** Ends the sidecar with a signal and waits until it is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.#process === null || !(await endProcess(this.#process, signal))) return;
    this.#process = null;
  }

  /** Closes the sidecar's standard input, as the death of this process does. */
  letGo(): void {
    this.#process?.stdin?.end();
  }

  /** Kills the sidecar, its server and the keeper of that, as a power cut does. */
  async kill(): Promise<void> {
    await this.end("SIGKILL");
    for (const name of ["keeper.pid", "nats.pid"]) {
      const pid = Number(
        (await readFile(join(this.dataFolder, name), "utf8").catch(() => "")).split(/\s/)[0],
      );
      if (!(pid > 0)) continue;
      const alive = () => {
        try {
          process.kill(pid, 0);
          return true;
        } catch {
          return false;
        }
      };
      if (alive()) process.kill(pid, "SIGKILL");
      await waitFor(async () => !alive(), { what: `${name} ${pid} to be gone`, deadlineMs: 20_000 });
    }
  }

  /** Waits until the sidecar has noted beside its store how far a stream is. */
  async noted(stream: string, last: number): Promise<void> {
    await waitFor(
      async () => {
        const { streams } = JSON.parse(await readFile(join(this.dataFolder, "positions.json"), "utf8"));
        return streams[stream]?.last >= last;
      },
      { what: `${stream} noted up to ${last}`, deadlineMs: 30_000 },
    );
  }

  /** Waits until the state has been copied beside the store up to a revision. */
  async copied(revision: number): Promise<void> {
    await waitFor(
      async () =>
        JSON.parse(await readFile(join(this.dataFolder, "state.copy.json"), "utf8")).revision >= revision,
      { what: `the state copied up to ${revision}`, deadlineMs: 30_000 },
    );
  }

  /** The admin token. */
  get token(): string {
    return this.#token;
  }

  set token(token: string) {
    this.#token = token;
  }

  async log(): Promise<string> {
    return await readFile(this.logFile, "utf8").catch(() => "");
  }

  /** The seed of the key that the tenant's app has. */
  seed(tenant: string): string {
    const key = this.#apps.get(tenant);
    if (key === undefined) throw new Error(`no app key for ${tenant}`);
    return new TextDecoder().decode(key.seed());
  }

  /** A client as an app of the tenant. */
  async app(tenant: string): Promise<NatsConnection> {
    const key = this.appKey(tenant);
    const nc = await letIn(
      {
        servers: this.file.server?.listen ?? "",
        authenticator: key.authenticator,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        ignoreAuthErrorAbort: true,
      },
      { what: `an app of ${tenant} to be let in` },
    );
    this.#clients.push(nc);
    return nc;
  }

  /** JetStream of MESH, as the sidecar sees it. */
  async mesh(): Promise<
    {
      readonly nc: NatsConnection;
      readonly jsm: JetStreamManager;
      readonly js: JetStreamClient;
    } & AsyncDisposable
  > {
    const key = await loadSigningKey(join(this.dataFolder, "keys", "mesh.nk"));
    const nc = await letIn({
      servers: this.file.server?.listen ?? "",
      authenticator: key.authenticator,
    });
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    return { nc, jsm, js: jetstream(nc), [Symbol.asyncDispose]: () => nc.close() };
  }

  /** Calls the API; the body is JSON. */
  async api(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    return await fetch(`http://${this.file.api?.listen}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async json<T>(path: string): Promise<T> {
    const response = await this.api("GET", path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** Replaces a document, whatever revision it has. */
  async put(path: string, body: unknown): Promise<Response> {
    const there = await this.api("GET", path);
    const etag = there.ok ? { "if-match": there.headers.get("etag") ?? "*" } : {};
    const response = await this.api("PUT", path, body, etag);
    if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  async links(): Promise<readonly LinkReport[]> {
    return (await this.json<{ items: readonly LinkReport[] }>("/v1/links")).items;
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((nc) => nc.close()));
    await this.end("SIGTERM");
  }
}

/** All sites. Disposing of it stops them and removes their files. */
export class Mesh implements AsyncDisposable {
  readonly #root: TempFolder;
  readonly #sites: ReadonlyMap<string, MeshSite>;

  constructor(root: TempFolder, sites: ReadonlyMap<string, MeshSite>) {
    this.#root = root;
    this.#sites = sites;
  }

  site(name: string): MeshSite {
    const site = this.#sites.get(name);
    if (site === undefined) throw new Error(`no site ${name}`);
    return site;
  }

  get sites(): readonly MeshSite[] {
    return [...this.#sites.values()];
  }

  /** Waits until every route of every site flows. */
  async flowing(): Promise<void> {
    const idle = async () => {
      const links = (await Promise.all(this.sites.map((site) => site.links()))).flat();
      return links.flatMap((link) =>
        link.routes.length === 0 && !link.connected ? [link.why] : link.routes.map((route) => route.why),
      );
    };
    await waitFor(
      async () => (await idle()).every((why) => why === null) || Promise.reject(await describe(idle)),
      {
        deadlineMs: 120_000,
        pollMs: 100,
        what: "all routes to flow",
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.sites.map((site) => site.close()));
    await this.#root[Symbol.asyncDispose]();
  }
}

async function describe(idle: () => Promise<readonly (string | null)[]>): Promise<Error> {
  return new Error(JSON.stringify((await idle()).filter((why) => why !== null)));
}

/** Two sites, berlin and austin, and what tenant acme shares from the first to the second. */
export async function startPair(
  policies: { readonly exports: readonly ExportPolicy[]; readonly imports: readonly ImportPolicy[] },
  edit?: MeshOptions["edit"],
): Promise<Mesh> {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", exports: [...policies.exports] }
        : { tenant: "acme", imports: [...policies.imports] },
    ],
    ...(edit === undefined ? {} : { edit }),
  });
}

/** Starts a mesh; the sites know each other's keys from the start. */
export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const root = await tempFolder();
  const names = Object.keys(options.sites);
  const ports = await freePorts("127.0.0.1", names.length * 3);
  const address = (site: string, which: 0 | 1 | 2) => `127.0.0.1:${ports[names.indexOf(site) * 3 + which]}`;
  const mode = options.mode ?? "tls";
  const keys = new Map<string, string>();
  const cas = new Map<string, string>();
  for (const name of names) {
    await mkdir(join(root.path, name, "data", "keys"), { recursive: true, mode: 0o700 });
    keys.set(name, (await loadSiteKeys(join(root.path, name, "data"))).site.publicKey);
    if (mode === "tls") {
      cas.set(name, (await SitePki.load(join(root.path, name, "data"), { site: name })).caPem);
    }
  }
  const apps = new Map<string, SigningKey>();
  const sites = new Map<string, MeshSite>();
  for (const name of names) {
    const folder = join(root.path, name);
    const linked = names.filter(
      (other) =>
        other !== name && (options.sites[name]?.includes(other) || options.sites[other]?.includes(name)),
    );
    const tenants = options.tenants(name).map((tenant) => {
      const key = apps.get(tenant.tenant) ?? createSigningKey();
      apps.set(tenant.tenant, key);
      return { users: [{ name: "app", key: key.publicKey }], ...tenant };
    });
    const plain: SiteFile = {
      site: name,
      data: "data",
      server: { listen: address(name, 0), leaf: address(name, 1), links: mode },
      api: { listen: address(name, 2) },
      peers: linked.map((peer): Peer => {
        const dial = options.sites[name]?.includes(peer) ? { dial: dialUrl(address(peer, 1), mode) } : {};
        const ca = cas.get(peer);
        return { name: peer, key: keys.get(peer) ?? "", ...(ca === undefined ? {} : { ca }), ...dial };
      }),
      tenants,
    };
    const file = options.edit?.(plain) ?? plain;
    await writeFile(join(folder, "site.yaml"), stringify(file));
    options.prepare?.(join(folder, "data"));
    sites.set(name, new MeshSite(folder, file, apps, options.entry));
  }
  const mesh = new Mesh(root, sites);
  try {
    await Promise.all(mesh.sites.map((site) => site.start(options.startMs)));
  } catch (error) {
    await Promise.all(mesh.sites.map((site) => site.close()));
    options.release?.();
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
  return mesh;
}
