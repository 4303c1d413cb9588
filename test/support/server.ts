/** A bare nats-server for a test: started from a configuration, gone with the test, also when the test is killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { findServer } from "../../src/nats/find.ts";
import { startTime } from "../../src/nats/processes.ts";
import { waitFor } from "./wait_for.ts";

/** Ends the server when the pipe to the test process closes, however that comes about. */
const GUARD =
  '"$1" -c "$2" -P "$3" >>"$4" 2>&1 & server=$!; cat >/dev/null; kill -TERM "$server"; wait "$server"';

export interface TestServerOptions {
  /** Folder of its files; the caller's to remove. */
  readonly folder: string;
  /** Text of the configuration. */
  readonly config: string;
  /** Resolves once the server can be used; rejects or returns false until then. */
  readonly ready: () => Promise<boolean>;
}

/** A server that a test may stop, kill, freeze and start again. */
export class TestServer implements AsyncDisposable {
  readonly #options: TestServerOptions;
  #guard: ChildProcess | null = null;
  #pid: number | null = null;

  private constructor(options: TestServerOptions) {
    this.#options = options;
  }

  /** @throws LeafmeshError `server_missing` with the install hint: a test never skips */
  static async start(options: TestServerOptions): Promise<TestServer> {
    const server = new TestServer(options);
    await server.start();
    return server;
  }

  get configFile(): string {
    return join(this.#options.folder, "nats.conf");
  }

  /** Starts it again after {@link stop} or {@link kill}, with `config` when given. */
  async start(config?: string): Promise<void> {
    if (this.#guard !== null) throw new Error("The server runs already");
    const { folder } = this.#options;
    const binary = await findServer();
    await writeFile(this.configFile, config ?? this.#options.config, { mode: 0o600 });
    const pidFile = join(folder, "test.pid");
    await rm(pidFile, { force: true });
    const output = join(folder, "test.out");
    this.#guard = spawn("sh", ["-c", GUARD, "guard", binary.path, this.configFile, pidFile, output], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    try {
      this.#pid = Number(await waitFor(() => readFile(pidFile, "utf8"), { what: "the server's process" }));
      await waitFor(this.#options.ready, { deadlineMs: 20_000, what: "the server to be ready" });
    } catch (thrown) {
      await this.kill();
      const words = await readFile(output, "utf8").catch(() => "");
      throw new Error(`nats-server did not start: ${words}`, { cause: thrown });
    }
  }

  /** Stops it in order and waits until it is gone. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Takes its life at once. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Freezes it: connections stay open and nothing moves. */
  freeze(): void {
    if (this.#pid !== null) process.kill(this.#pid, "SIGSTOP");
  }

  thaw(): void {
    if (this.#pid !== null) process.kill(this.#pid, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.stop();
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const pid = this.#pid;
    this.#pid = null;
    if (pid !== null && (await startTime(pid)) !== null) {
      process.kill(pid, signal);
      await waitFor(async () => (await startTime(pid)) === null, { what: "the server to end" });
    }
    this.#guard?.stdin?.end();
    this.#guard = null;
  }
}
