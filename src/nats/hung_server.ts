/**
 * Watches for an embedded server that runs and answers nothing any more. Seen with nats-server 2.15.1: a stream that takes its source up in
 * the moment in which a configuration is read anew fails with its lock held, and all that asks for that stream waits for good
 * (`addShadowSub`, whose account has no subjects just then). Such a server is ended, and its keeper starts it again.
 */
import { connect, errors, type NatsConnection } from "@nats-io/transport-node";
import { connectionOptions } from "./control_connection.ts";
import type { DataFolder } from "./data_folder.ts";
import type { SigningKey } from "./keys.ts";
import {
  isHalted,
  isRunning,
  isSameProcess,
  type ProcessRef,
  readRunningProcess,
  signalProcess,
} from "./processes.ts";
import { SystemApi } from "./system_api.ts";
import { sleep, until } from "./wait.ts";

const EVERY_MS = 5_000;
/** A process that says where it stands ends within this, also with a hundred thousand goroutines. */
const QUIT_DEADLINE_MS = 10_000;

export interface HungServerOptions {
  readonly folder: Pick<DataFolder, "file">;
  /** Resolves once the server answers that it looked at all its streams; rejects where no answer comes in time. */
  readonly ask: () => Promise<unknown>;
  /** How long it may be silent, milliseconds, as far as this process has waited. */
  readonly afterMs: number;
  /** Between two questions, milliseconds; default 5 s. */
  readonly everyMs?: number;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Watches until it is disposed of. Several sidecars may watch one server. */
export class HungServerWatch implements Disposable {
  readonly #options: HungServerOptions;
  readonly #ended = new AbortController();
  /** The process that was asked last, and whether it has answered: one that starts may take long. */
  #asked: { readonly server: ProcessRef; readonly answered: boolean } | null = null;
  #silentMs = 0;

  constructor(options: HungServerOptions) {
    this.#options = options;
    void this.#run();
  }

  /** Ends no server from now on. An answer that is waited for is not. */
  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    const { everyMs = EVERY_MS } = this.#options;
    while (!signal.aborted) {
      // What cannot be read now is looked at again.
      await this.#look(everyMs, signal).catch(() => undefined);
      await sleep(everyMs, signal);
    }
  }

  async #look(everyMs: number, signal: AbortSignal): Promise<void> {
    const server = await readRunningProcess(this.#options.folder.file("serverPid"));
    if (server === null || this.#asked === null || !isSameProcess(this.#asked.server, server)) {
      this.#asked = server === null ? null : { server, answered: false };
      this.#silentMs = 0;
    }
    if (this.#asked === null) return;
    const began = performance.now();
    const answers = await this.#options.ask().then(
      () => true,
      () => false,
    );
    if (answers) {
      this.#asked = { ...this.#asked, answered: true };
      this.#silentMs = 0;
      return;
    }
    // Whoever has stopped the process lets it go on. And where this process stood still itself, it has not waited for answers.
    if (await isHalted(this.#asked.server)) this.#silentMs = 0;
    else {
      // The pause before this question belongs to the silence where the one before was not answered either.
      const pausedMs = this.#silentMs === 0 ? 0 : everyMs;
      this.#silentMs += pausedMs + Math.min(performance.now() - began, 2 * EVERY_MS);
    }
    if (signal.aborted || !this.#asked.answered || this.#silentMs < this.#options.afterMs) return;
    await this.#end(this.#asked.server);
  }

  async #end(server: ProcessRef): Promise<void> {
    const { folder, log } = this.#options;
    const said = `nats-server (process ${server.pid}) runs and has not answered for ${Math.round(this.#silentMs / 1000)} s`;
    this.#silentMs = 0;
    if (!(await signalProcess(server, "SIGQUIT"))) return;
    log(
      "error",
      `${said}: it is ended, and started again by its keeper. Where it stood is in ${folder.file("serverOutput")}.1`,
    );
    if (!(await until(async () => !(await isRunning(server)), QUIT_DEADLINE_MS, 100)))
      await signalProcess(server, "SIGKILL");
  }
}

/** Watches with a connection of its own in the system account. */
export function watchHungServer(
  options: Omit<HungServerOptions, "ask"> & {
    readonly site: string;
    /** `host:port`. */
    readonly address: string;
    readonly sys: SigningKey;
  },
): Disposable {
  const { site, address, sys, ...rest } = options;
  let connection: NatsConnection | null = null;
  let ended = false;
  const ask = async () => {
    if (connection === null || connection.isClosed()) {
      connection = await connect(connectionOptions(site, address, sys, { name: `leafmesh ${site} watch` }));
      if (ended) await connection.close();
    }
    await new SystemApi(connection).health();
  };
  const watch = new HungServerWatch({ ...rest, ask: () => ask().catch(exceptSilence) });
  return {
    [Symbol.dispose]: () => {
      watch[Symbol.dispose]();
      ended = true;
      // A server that hangs is not waited for.
      void connection?.close().catch(() => undefined);
    },
  };
}

/** A server that says something, whatever it is, is there. */
function exceptSilence(thrown: unknown): void {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (error instanceof errors.TimeoutError || error instanceof errors.ConnectionError) throw thrown;
  }
}
