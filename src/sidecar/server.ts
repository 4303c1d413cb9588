/** The site's nats-server as the sidecar runs it: one of its own, or one that somebody else runs. */
import { dirname, join, relative, resolve } from "node:path";
import { closedState, currentUsers, type DesiredState, quietState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { linkCompression, linkedState, linkMode } from "../model/links.ts";
import { isLoopback, type ServerSettings } from "../model/schema/site.ts";
import { parseDurationMs } from "../model/units.ts";
import { localAddress, resolveAddresses } from "../nats/addresses.ts";
import { type ConfigInput, renderConfig, renderFragment, renderLeafCredential } from "../nats/config.ts";
import { type RenderedConfig, trustFiles } from "../nats/config_links.ts";
import { ControlConnection } from "../nats/control_connection.ts";
import { DATA_FILES, type DataFolder } from "../nats/data_folder.ts";
import { EmbeddedServer } from "../nats/embedded.ts";
import { verifyFragment } from "../nats/external.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../nats/files.ts";
import { findServer } from "../nats/find.ts";
import { publicKeys, type SiteKeys } from "../nats/keys.ts";
import type { LinkLog } from "../nats/link_log.ts";
import type { SitePki } from "../nats/pki/site_pki.ts";
import { prepareStoreKey } from "../nats/store_key.ts";
import { StoreWatch } from "../nats/store_watch.ts";
import type { Log } from "../observe/log.ts";
import { clusterInput } from "./cluster.ts";

const DEFAULT_LINGER_MS = 60_000;
const FRAGMENT_FILE = "fragment.conf";

export interface OpenServerOptions {
  readonly site: string;
  readonly settings: ServerSettings;
  /** Folder that relative paths of the site file start from. */
  readonly base: string;
  readonly folder: DataFolder;
  readonly keys: SiteKeys;
  readonly pki: SitePki;
  /** What the first configuration is rendered from. */
  readonly state: DesiredState;
  readonly retired: readonly string[];
  /** Where a server that runs keeps its streams. Default: in the data folder. */
  readonly store?: string;
  /** Users that have expired by then are not let in. */
  readonly now: Date;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Hears why links fail. */
  readonly linkLog: LinkLog;
  /** Whether a server of our own goes on when this one is done with it: another sidecar has it then. */
  readonly leave: () => Promise<boolean>;
  /** Asked before files of the first configuration are replaced. Default: they always may be. */
  readonly mayChange?: MayChange;
  readonly signal?: AbortSignal;
}

/** A server that runs, with the sidecar's connections to it. */
export interface OpenServer extends AsyncDisposable {
  readonly mode: "embedded" | "external";
  readonly connection: ControlConnection;
  /** Where the sidecar's own connections go, `host:port` or a URL. */
  readonly address: string;
  /** Where apps and peers connect, as far as the sidecar knows. */
  readonly listen: string;
  readonly leaf: string;
  readonly version: string;
  readonly sync: string;
  /** Without users whose time is over by `now`. */
  render(state: DesiredState, retired: readonly string[], now: Date): RenderedConfig;
  /** Puts a configuration with its files where the server reads it; not in force before a reload. */
  write(config: RenderedConfig, mayChange: MayChange): Promise<void>;
  /** After a reload: whether all of it is in force. @throws {LeafmeshError} `server_fragment_missing` */
  verify(state: DesiredState): Promise<void>;
  pid(): Promise<number | null>;
  /** It runs without links and logs, until {@link SiteControl.restartServer} has looked at the positions of its streams. */
  readonly quiet: boolean;
  /** When it was started, or a little earlier, milliseconds of `performance.now()`; `undefined`: not by this process. */
  readonly startedAt?: number;
  /**
   * Watches the disk under the store, and has a server restarted that could not write: `around` gets what restarts it.
   * `null` where the server is not ours to restart.
   */
  watchStore(around: (restart: () => Promise<void>, signal: AbortSignal) => Promise<void>): StoreWatch | null;
  /** Has a server of ours end in order, and does not wait for it. */
  leave(): Promise<void>;
}

/** Milliseconds of a duration that the schema has checked, or the setting that means at once. */
function syncOf(settings: ServerSettings): "always" | number {
  const { sync } = settings;
  return sync === undefined || sync === "always" ? "always" : (parseDurationMs(sync) ?? 0);
}

/** Starts or adopts the embedded server, or connects to the external one. @throws {LeafmeshError} */
export async function openServer(options: OpenServerOptions): Promise<OpenServer> {
  return options.settings.mode === "external" ? await openExternal(options) : await openEmbedded(options);
}

async function openEmbedded(options: OpenServerOptions): Promise<OpenServer> {
  const { folder, settings, site, keys, log } = options;
  const addresses = await resolveAddresses(folder, settings);
  if (settings.mqtt !== undefined && !isLoopback(settings.mqtt)) {
    const warning = `MQTT at ${settings.mqtt} has no TLS: passwords and events cross the network in clear`;
    log("warn", "nats", warning);
  }
  if (settings.cluster !== undefined) {
    const { member, routes } = settings.cluster;
    log("info", "nats", `server ${member} of a cluster: waits until most of ${routes.join(", ")} are there`);
  }
  const binary = await findServer({ explicit: settings.binary, env: options.env });
  const sync = syncOf(settings);
  const encrypted = await prepareStoreKey(folder, settings.encryption, options);
  const render = renderer(options, renderConfig, {
    ...addresses,
    mqtt: settings.mqtt,
    websocket: settings.websocket,
    sync,
    leafCredential: DATA_FILES.leafCredential,
    ...(encrypted ? { storeKey: DATA_FILES.storeKeyConfig } : {}),
  });
  const first = render(options.state, options.retired, options.now);
  await writeFiles(first, options.mayChange);
  await using stack = new AsyncDisposableStack();
  const { leave } = options;
  const server = await EmbeddedServer.start({
    folder,
    binary,
    site,
    addresses,
    config: first.text,
    // A server of a cluster has from the others what it lacks, and they go on meanwhile: it need not be quiet, only closed.
    quietConfig: render(
      settings.cluster === undefined ? quietState(options.state) : closedState(options.state),
      options.retired,
      options.now,
    ).text,
    clustered: settings.cluster !== undefined,
    leafCredential: renderLeafCredential(keys.site),
    sys: keys.sys,
    lingerMs: settings.linger === undefined ? DEFAULT_LINGER_MS : (parseDurationMs(settings.linger) ?? 0),
    onEvent: (event) => {
      if (event.type === "log") {
        options.linkLog.take(event.line);
        log(event.line.level, "nats", event.line.message);
      } else if (event.type === "past") options.linkLog.recall(event.line);
      else log("warn", "nats", `server ${event.type.replace("_", " ")} ${JSON.stringify(event)}`);
    },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.mayChange === undefined ? {} : { mayChange: options.mayChange }),
    leave,
  });
  stack.defer(async () => {
    if (await leave()) await server.abandon();
    else await server.stop();
  });
  log(
    "info",
    "nats",
    `${server.adopted ? "adopted" : "started"} nats-server ${binary.version} (${binary.source})`,
  );
  const address = localAddress(addresses.listen);
  const connection = stack.use(await connect(options, address));
  const parts = stack.move();
  return {
    mode: "embedded",
    connection,
    address,
    ...addresses,
    version: binary.version,
    sync: String(sync),
    render,
    write: async (config, mayChange) => {
      await writeFiles(config, mayChange);
      await server.writeConfig(config.text, mayChange);
    },
    verify: async () => {},
    pid: async () => (await server.process())?.pid ?? null,
    quiet: server.quiet,
    ...(server.startedAt === null ? {} : { startedAt: server.startedAt }),
    leave: () => server.leave(),
    watchStore: (restart) => {
      return new StoreWatch({
        path: folder.file("store"),
        // A stream of a cluster that waits for a leader looks like one that cannot write: a restart would only make it worse.
        storing: () => connection.system.storing(settings.cluster === undefined).catch(() => null),
        repeats: settings.cluster === undefined,
        ...(settings.cluster === undefined ? { stopped: (stopped) => server.hold(stopped) } : {}),
        restart: (signal) => restart(() => server.restart(signal), signal),
        log: (level, message) => log(level, "store", message),
      });
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function openExternal(options: OpenServerOptions): Promise<OpenServer> {
  const { folder, settings, log } = options;
  const url = settings.url ?? "";
  const file =
    settings.config === undefined ? join(folder.path, FRAGMENT_FILE) : resolve(options.base, settings.config);
  const credential = folder.file("leafCredential");
  const sync = syncOf(settings);
  // nats-server reads an include relative to the file that names it.
  const leafCredential = relative(dirname(file), credential);
  const leaf = settings.leaf ?? "0.0.0.0:7422";
  const listen = settings.listen ?? url;
  const render = renderer(options, renderFragment, { listen, leaf, sync, leafCredential });
  const before = await readTextFile(file);
  const first = render(options.state, options.retired, options.now);
  const { text } = first;
  await writeFiles(first, options.mayChange);
  if (before !== text) await writeSecretFile(file, text, "replace", options.mayChange);
  const connection = await openOrSay(options, url, file);
  const { system } = connection;
  const reload = async (fallback: string | null) => {
    try {
      await system.reload();
    } catch (error) {
      // What the server refuses must not stand in its file: its next start would fail.
      const refused = error instanceof LeafmeshError && error.code === "server_config_refused";
      if (refused && fallback !== null) await writeSecretFile(file, fallback, "replace", options.mayChange);
      throw error;
    }
  };
  await using stack = new AsyncDisposableStack();
  stack.use(connection);
  await reload(before);
  const links = linkMode(settings);
  const verify = (state: DesiredState) => verifyFragment(system, { desired: state, sync, links });
  await verify(options.state);
  const { version } = await system.varz();
  log("info", "nats", `uses the nats-server ${version} at ${url}; its part of the configuration is ${file}`);
  const parts = stack.move();
  return {
    mode: "external",
    connection,
    address: url,
    listen,
    leaf,
    version,
    sync: String(sync),
    render,
    write: async (next, mayChange) => {
      await writeFiles(next, mayChange);
      await writeSecretFile(file, next.text, "replace", mayChange);
    },
    verify,
    pid: async () => null,
    quiet: false,
    leave: async () => {},
    watchStore: () => null,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** Connects; a server without our part takes no login of ours, or takes any and has no system account to talk to. */
async function openOrSay(options: OpenServerOptions, url: string, file: string): Promise<ControlConnection> {
  let connection: ControlConnection | null = null;
  try {
    connection = await connect(options, url);
    await connection.system.varz();
    return connection;
  } catch (error) {
    await connection?.[Symbol.asyncDispose]();
    throw new LeafmeshError(
      "server_fragment_missing",
      `${errorText(error)}. The configuration of the server at ${url} must include ${file}, with the accounts and users of this site: add  include  with the path from that configuration to this file, reload the server, and start again`,
      { cause: error },
    );
  }
}

function renderer(
  { site, keys, folder, pki, settings, store }: OpenServerOptions,
  render: (input: ConfigInput) => string,
  fixed: Pick<ConfigInput, "listen" | "leaf" | "sync" | "mqtt" | "websocket"> & {
    readonly leafCredential: string;
    readonly storeKey?: string;
  },
): OpenServer["render"] {
  const { leafCredential, storeKey, ...rest } = fixed;
  const paths = {
    store: store ?? folder.file("store"),
    log: folder.file("serverLog"),
    leafCredential,
    ...(storeKey === undefined ? {} : { storeKey }),
  };
  return (given, retiredTenants, now) => {
    const desired = currentUsers(given, now);
    const credential = { path: folder.file("leafCredential"), content: renderLeafCredential(keys.site) };
    const mode = linkMode(settings);
    const tls =
      mode === "plain"
        ? undefined
        : {
            linkFile: pki.linkFile,
            linkFingerprint: pki.link.fingerprint,
            trustFolder: join(folder.path, "keys"),
            ownCa: pki.trustedPem,
          };
    const trust = tls === undefined ? [] : trustFiles(linkedState(desired, mode), tls);
    const member = clusterInput(settings, { site, folder, keys, pki });
    return {
      text: render({
        desired,
        keys: publicKeys(keys),
        ...rest,
        paths,
        retiredTenants,
        compression: linkCompression(settings),
        tls,
        cluster: member?.cluster,
      }),
      files: [credential, ...trust, ...(member?.files ?? [])],
    };
  };
}

async function writeFiles({ files }: RenderedConfig, mayChange: MayChange | undefined): Promise<void> {
  for (const { path, content } of files) await writeSecretFile(path, content, "replace", mayChange);
}

async function connect(
  { site, keys, settings, log }: OpenServerOptions,
  server: string,
): Promise<ControlConnection> {
  return await ControlConnection.open({
    site,
    server,
    keys,
    clustered: settings.cluster !== undefined,
    onEvent: (event) => {
      const level = event.type === "closed" || event.type === "reconnected" ? "info" : "warn";
      log(level, "nats", `${event.account}: ${event.type}: ${event.message}`);
    },
  });
}
