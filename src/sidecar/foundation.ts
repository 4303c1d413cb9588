/** What a sidecar has whether or not it leads: its data folder, its keys and certificates, its settings. */
import { join, resolve } from "node:path";
import { requireAllowed } from "../control/check_state.ts";
import { loadRemembered, type Remembered } from "../control/remembered.ts";
import type { InForce } from "../control/site_server.ts";
import { desiredOfFile } from "../control/state_documents.ts";
import { closedState } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import type { ServerSettings, SiteFile } from "../model/schema/site.ts";
import { DataFolder, DEFAULT_MEMBER } from "../nats/data_folder.ts";
import type { MayChange } from "../nats/files.ts";
import { loadSiteKeys, type SiteKeys } from "../nats/keys.ts";
import { LinkLog } from "../nats/link_log.ts";
import { SitePki } from "../nats/pki/site_pki.ts";
import { readSecret } from "../nats/secret_source.ts";
import type { Log } from "../observe/log.ts";
import { replicasOf, stateOn } from "./cluster.ts";
import { readInForce } from "./external_state.ts";
import { linkHosts } from "./links.ts";
import { type OpenServer, openServer } from "./server.ts";

export interface SidecarOptions {
  readonly file: SiteFile;
  /** Folder that relative paths of the site file start from. */
  readonly base: string;
  readonly log: Log;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Lets the API listen in clear where others can listen, too. Default false. */
  readonly insecureApi?: boolean;
  /** Name among the sidecars of the site. Default `a`. */
  readonly member?: string;
  /** Gives up the start. */
  readonly signal?: AbortSignal;
}

/** Of one start of the process. */
export interface Foundation {
  readonly options: SidecarOptions;
  readonly member: string;
  readonly folder: DataFolder;
  readonly started: Date;
  readonly linkLog: LinkLog;
  /** Keys as they stand in the folder: another member that led may have put others there. */
  readonly loadKeys: () => Promise<SiteKeys>;
  readonly loadPki: () => Promise<SitePki>;
}

/** Locks the data folder, and says how keys are read. @throws LeafmeshError `data_folder_locked`, `data_folder_unusable` */
export async function layFoundation(options: SidecarOptions): Promise<Foundation & AsyncDisposable> {
  const { file, base } = options;
  const member = options.member ?? file.server?.cluster?.member ?? DEFAULT_MEMBER;
  const path = resolve(base, file.data ?? join("leafmesh-data", file.site));
  const folder = await DataFolder.open(path, member);
  const given = givenSeeds(options);
  given.catch(() => undefined);
  return {
    options,
    member,
    folder,
    started: new Date(),
    linkLog: new LinkLog(),
    loadKeys: async () => await loadSiteKeys(folder.path, await given),
    loadPki: () => SitePki.load(folder.path, { site: file.site, hosts: linkHosts(file.server ?? {}) }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** A server that runs, with what its configuration was rendered from and by. */
export interface PreparedServer {
  readonly server: OpenServer;
  readonly keys: SiteKeys;
  readonly pki: SitePki;
  /** What was remembered; `null`: this is the first start of the site. */
  readonly before: Remembered | null;
  readonly inForce: InForce;
}

/**
 * Starts the server, or adopts it, with the configuration of what is remembered.
 * @param leave whether the server stays when this one is done with it
 * @param mayChange asked before a file is replaced that the server reads; default: it always may be
 */
export async function prepareServer(
  { options, folder, linkLog, loadKeys, loadPki }: Foundation,
  leave: () => Promise<boolean>,
  mayChange?: MayChange,
): Promise<PreparedServer> {
  const { file, log, env, base, signal } = options;
  const { site } = file;
  const keys = await loadKeys();
  const pki = await loadPki();
  const own = await loadRemembered(folder.path);
  const settings = file.server ?? {};
  // Members beside a server that somebody else runs have data folders of their own: what another one has changed counts.
  const found =
    settings.mode === "external" ? await readInForce(site, settings.url ?? "", keys, folder.path) : null;
  const before = own ?? found?.remembered ?? null;
  const { state, ...rest } = found?.remembered ?? before ?? { state: desiredOfFile(file), retired: [] };
  requireSameServers(folder.path, settings, before);
  const remembered = { state: stateOn(settings, state), ...rest };
  if (remembered.state.site !== site) {
    throw new LeafmeshError(
      "conflict",
      `${folder.path} is the data folder of site ${remembered.state.site}, not of ${site}: give each site its own`,
    );
  }
  // Before the server runs: from then on native routes flow by themselves.
  requireAllowed(remembered.state, file);
  const at = new Date();
  const server = await openServer({
    site,
    settings,
    base,
    folder,
    keys,
    pki,
    linkLog,
    ...remembered,
    ...(found?.store == null ? {} : { store: found.store }),
    now: at,
    env,
    log,
    leave,
    ...(mayChange === undefined ? {} : { mayChange }),
    ...(signal === undefined ? {} : { signal }),
  });
  const closed = settings.cluster !== undefined && server.quiet;
  const held = closed ? { ...remembered, state: closedState(remembered.state) } : remembered;
  return { server, keys, pki, before, inForce: { ...held, at } };
}

/** @throws LeafmeshError `conflict`: nats-server would throw away the streams of a store that was made with other servers */
function requireSameServers(folder: string, settings: ServerSettings, before: Remembered | null): void {
  const [was, wanted] = [before?.state.replicas ?? 1, replicasOf(settings)];
  if (before === null || was === wanted) return;
  throw new LeafmeshError(
    "conflict",
    `${folder} holds a site whose streams are on ${was} servers, and server.cluster asks for ${wanted}: nats-server cannot take its store over; begin with new data folders, or set server.cluster back`,
  );
}

/** Seeds that the site file keeps elsewhere. */
async function givenSeeds({ file, base, env }: SidecarOptions) {
  const seeds: Partial<Record<"site" | "mesh" | "sys", string>> = {};
  for (const name of ["site", "mesh", "sys"] as const) {
    const source = file.secrets?.[name];
    if (source !== undefined)
      seeds[name] = await readSecret(source, { what: `the seed '${name}'`, base, env });
  }
  return seeds;
}
