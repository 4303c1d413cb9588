/**
 * The embedded nats-server of a site. A keeper process of its own (`keeper.sh`) starts it, restarts it when it crashes,
 * and ends it when the sidecar stays away for longer than it may linger. So events flow on while a sidecar that died is
 * restarted, and nothing is left behind when it is not. A sidecar that comes back adopts the running server.
 */
import { rename } from "node:fs/promises";
import { connect, errors } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { localAddress, requireFree, type ServerAddresses } from "./addresses.ts";
import { checkConfig } from "./check.ts";
import { isClosedConfig } from "./config.ts";
import { connectionOptions } from "./control_connection.ts";
import { type DataFolder, readDataFile } from "./data_folder.ts";
import { readDiskSpace } from "./disk_space.ts";
import { type MayChange, prepareFolder, writeSecretFile } from "./files.ts";
import type { ServerBinary } from "./find.ts";
import {
  ensureKeeper,
  finishEnding,
  holdServer,
  readExits,
  restartServer,
  stopKeeper,
  tellKeeperToEnd,
  writeKeeperArguments,
} from "./keeper.ts";
import type { SigningKey } from "./keys.ts";
import { type ProcessRef, readRunningProcess } from "./processes.ts";
import { followLog, type ServerEvent, supervise } from "./server_events.ts";
import { parseServerLogLine } from "./server_log.ts";
import { StoppedStore } from "./stopped_store.ts";
import { type StoringStatus, SystemApi } from "./system_api.ts";
import { sleep, until } from "./wait.ts";

const POLL_MS = 20;
const START_DEADLINE_MS = 300_000;
const ATTEMPT_DEADLINE_MS = 2_000;
const LAUNCH_DEADLINE_MS = 5_000;
const LAST_LINES = 5;

export interface EmbeddedServerOptions {
  readonly folder: DataFolder;
  readonly binary: ServerBinary;
  readonly site: string;
  readonly addresses: ServerAddresses;
  /** Text of `nats.conf`, see `renderConfig`. */
  readonly config: string;
  /** The same without links and logs: for a server that is started anew, until its positions are looked at. */
  readonly quietConfig?: string;
  /** Text of the credential file, see `renderLeafCredential`. */
  readonly leafCredential: string;
  /** The sidecar's key in the system account: proves that a running server is this site's. */
  readonly sys: SigningKey;
  /** One of several: streams that catch up, or wait for a leader, look like broken ones there. Default: it is alone. */
  readonly clustered?: boolean;
  /** How long the server outlives a sidecar that died, milliseconds, in whole seconds. */
  readonly lingerMs: number;
  readonly onEvent?: (event: ServerEvent) => void;
  /** Whether a server that ran already goes on when the start fails: another sidecar has it. Default: it is stopped. */
  readonly leave?: () => Promise<boolean>;
  /** Asked before the first configuration is put in place. Default: it always may be. */
  readonly mayChange?: MayChange;
  /** Gives up the start. */
  readonly signal?: AbortSignal;
  /** Default five minutes: recovery of a large store takes its time. */
  readonly startDeadlineMs?: number;
}

/** A running server. Disposing of it stops the server in order. */
export class EmbeddedServer implements AsyncDisposable {
  /** Whether it was running already and went on without a restart. */
  readonly adopted: boolean;
  /** Whether it runs with `quietConfig` now. */
  readonly quiet: boolean;
  /** When it was started, or a little earlier, milliseconds of `performance.now()`; `null`: it was adopted. */
  readonly startedAt: number | null;
  readonly #options: EmbeddedServerOptions;
  readonly #ended: AbortController;
  readonly #tasks: readonly Promise<void>[];

  private constructor(
    options: EmbeddedServerOptions,
    how: Pick<EmbeddedServer, "adopted" | "quiet" | "startedAt">,
    ended: AbortController,
  ) {
    this.#options = options;
    this.adopted = how.adopted;
    this.quiet = how.quiet;
    this.startedAt = how.startedAt;
    this.#ended = ended;
    this.#tasks = [supervise(options, ended.signal)];
  }

  /**
   * Starts the site's server with `config`, or adopts it when it is running, and waits until it is ready.
   *
   * @throws LeafmeshError `server_config_refused`, `port_taken`, `server_failed` (with the last lines of its log),
   * `data_folder_unusable`, `timeout`
   */
  static async start(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
    const { folder } = options;
    const began = performance.now();
    await prepareFolder(folder.file("store"), 0o700);
    await writeSecretFile(
      folder.file("leafCredential"),
      options.leafCredential,
      "replace",
      options.mayChange,
    );
    await finishEnding(folder);
    const running = await readRunningProcess(folder.file("serverPid"));
    const { quietConfig } = options;
    // A start that was cut short, or work that failed, has left a server that still waits for its positions to be looked at.
    let quiet = running === null || isClosedConfig(await readDataFile(folder, "config"));
    const config = quiet ? (quietConfig ?? options.config) : options.config;
    const changed = await writeConfig(options, config, options.mayChange);
    await writeKeeperArguments(folder, options.binary.path, options.lingerMs);
    if (running === null) {
      await requireFree(options.addresses);
      await holdServer(folder, false);
    }

    const ended = new AbortController();
    void followLog(options, running, ended.signal);
    let { exits } = await readExits(folder);
    try {
      const kept = (await ensureKeeper(folder)) === null;
      // A keeper that was there may have launched the server meanwhile with what stood there before.
      if (running === null && kept) {
        await restartServer(folder);
        // The end of the one before is counted by then.
        await until(
          async () => (await readRunningProcess(folder.file("serverPid"))) !== null,
          LAUNCH_DEADLINE_MS,
        );
        ({ exits } = await readExits(folder));
      }
      const restartQuiet = async () => {
        if (quietConfig !== undefined) await writeConfig(options, quietConfig, options.mayChange);
        quiet = true;
        await restartServer(folder);
      };
      if (running !== null) {
        // A reload would revive what a full disk has stopped, as if nothing had been missed.
        if (await storesNothing(options)) await waitReady(options, exits, options.signal, restartQuiet);
        if (!(await takesConfig(options, changed, quiet))) await restartServer(folder);
      }
      await waitReady(options, exits, options.signal, restartQuiet);
      await holdServer(folder, false);
    } catch (thrown) {
      ended.abort();
      if (running === null || !(await options.leave?.())) await stopKeeper(folder);
      throw thrown;
    }
    const now = await readRunningProcess(folder.file("serverPid"));
    const adopted = now !== null && now.pid === running?.pid;
    const how = { adopted, quiet: quiet && quietConfig !== undefined, startedAt: adopted ? null : began };
    return new EmbeddedServer(options, how, ended);
  }

  /** The server's process; `null` while it is between two lives. */
  async process(): Promise<ProcessRef | null> {
    return await readRunningProcess(this.#options.folder.file("serverPid"));
  }

  /**
   * Lets nats-server check a new configuration and puts it in the place of the old. It is in force after
   * `SystemApi.reload`, or after {@link restart}.
   *
   * @returns whether it differs from the one that stood there
   * @throws LeafmeshError `server_config_refused`, and the old file stays
   */
  async writeConfig(text: string, mayChange?: MayChange): Promise<boolean> {
    return await writeConfig(this.#options, text, mayChange);
  }

  /**
   * Stops the server in order, starts it with the configuration that is written, and waits until it is ready.
   *
   * @throws LeafmeshError as {@link start}
   */
  async restart(signal?: AbortSignal): Promise<void> {
    const { folder } = this.#options;
    const { exits } = await readExits(folder);
    await ensureKeeper(folder);
    await restartServer(folder);
    await waitReady(this.#options, exits, signal, () => restartServer(folder));
  }

  /** Whether the server is to stay down when it ends by itself, until {@link restart} or the next start: it could not write. */
  async hold(held: boolean): Promise<void> {
    await holdServer(this.#options.folder, held);
  }

  /** Stops watching and leaves the server to its keeper: the next sidecar within the linger time adopts it. */
  async abandon(): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#tasks);
  }

  /** Has the keeper stop the server and itself, and waits for neither. */
  async leave(): Promise<void> {
    this.#ended.abort();
    await tellKeeperToEnd(this.#options.folder);
  }

  /** Stops the server and its keeper, and waits until both are gone. */
  async stop(): Promise<void> {
    await this.abandon();
    await stopKeeper(this.#options.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function writeConfig(
  options: EmbeddedServerOptions,
  text: string,
  mayChange: MayChange | undefined,
): Promise<boolean> {
  const { folder } = options;
  if ((await readDataFile(folder, "config")) === text) return false;
  const candidate = folder.candidate;
  await writeSecretFile(candidate, text, "replace");
  await checkConfig(options.binary.path, candidate);
  await mayChange?.();
  await rename(candidate, folder.file("config"));
  return true;
}

/** Whether the running server can go on: it is ours and takes the configuration without a restart, which leaves links open. */
async function takesConfig(
  options: EmbeddedServerOptions,
  changed: boolean,
  quiet: boolean,
): Promise<boolean> {
  const mayHaveLinks = !quiet || options.clustered === true;
  try {
    return await withSystemApi(options, async (system) => {
      await system.reload();
      return mayHaveLinks || (await system.leafAccounts()).length === 0;
    });
  } catch (thrown) {
    // Not listening yet: it is recovering its streams, and does so with the configuration that stands there. Or too busy to answer.
    const silent = thrown instanceof errors.ConnectionError || thrown instanceof errors.TimeoutError;
    return !changed && silent;
  }
}

/**
 * Waits until the server answers as this site's and its streams are recovered; fails when it exits again. Where a full disk has stopped it,
 * `restart` is called once there is room: what a full disk did not take must be asked for again before anything new comes.
 */
async function waitReady(
  options: EmbeddedServerOptions,
  exitsBefore: number,
  given: AbortSignal | undefined,
  restart: () => Promise<void>,
): Promise<void> {
  const limitMs = options.startDeadlineMs ?? START_DEADLINE_MS;
  const path = options.folder.file("store");
  const stopped = new StoppedStore({
    path,
    storing: () => readStoring(options),
    space: () => readDiskSpace(path),
    restart,
    say: (level, message) => options.onEvent?.({ type: "log", line: { level, message } }),
  });
  let end = performance.now() + limitMs;
  let known = exitsBefore;
  for (;;) {
    const problem = await withSystemApi(options, (system) => system.health()).then(
      (health) => (health.ok ? null : health.error),
      errorText,
    );
    if (problem === null) return;
    const { exits, status } = await readExits(options.folder);
    const looked = await stopped.look(exits > known);
    if (looked === "nothing" && exits > known)
      throw await startFailure(options, `ended with status ${status}`);
    known = exits;
    const now = performance.now();
    // What waits for room waits as long as it takes.
    if (looked !== "nothing") end = now + limitMs;
    if (now > end) throw await startFailure(options, `was not ready in time (${problem})`);
    if (given?.aborted === true) {
      throw new LeafmeshError("timeout", `Gave up waiting for nats-server (${problem})`);
    }
    await sleep(POLL_MS, given);
  }
}

async function storesNothing(options: EmbeddedServerOptions): Promise<boolean> {
  const status = await readStoring(options);
  return status !== null && status.type !== "on";
}

/** Whether the server stores; `null`: it does not answer. */
async function readStoring(options: EmbeddedServerOptions): Promise<StoringStatus | null> {
  const streams = options.clustered !== true;
  return await withSystemApi(options, (system) => system.storing(streams)).catch(() => null);
}

/** Why the server does not run, in its own last words; an address that another one holds is named as that. */
async function startFailure(options: EmbeddedServerOptions, what: string): Promise<LeafmeshError> {
  const { folder } = options;
  await stopKeeper(folder);
  try {
    await requireFree(options.addresses);
  } catch (thrown) {
    if (thrown instanceof LeafmeshError) return thrown;
  }
  const output = (await readDataFile(folder, "serverOutput")) || (await readDataFile(folder, "serverLog"));
  const lines = (output ?? "")
    .trim()
    .split("\n")
    .map((line) => parseServerLogLine(line));
  const failures = lines.filter((line) => line.level === "error");
  const words = (failures.length > 0 ? failures : lines).slice(-LAST_LINES).map((line) => line.message);
  return new LeafmeshError(
    "server_failed",
    `nats-server ${what}: ${words.join(" | ")} (log: ${folder.file("serverLog")})`,
  );
}

async function withSystemApi<T>(
  options: EmbeddedServerOptions,
  work: (system: SystemApi) => Promise<T>,
): Promise<T> {
  const connection = await connect(
    connectionOptions(options.site, localAddress(options.addresses.listen), options.sys, {
      reconnect: false,
      ignoreAuthErrorAbort: false,
      timeout: ATTEMPT_DEADLINE_MS,
    }),
  );
  try {
    return await work(new SystemApi(connection));
  } finally {
    await connection.close();
  }
}
