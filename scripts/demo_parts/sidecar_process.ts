/** A sidecar as a process of its own, ended with the demo however the demo ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { DATA_FILES } from "../../src/nats/data_folder.ts";
import { readRunningProcess, signalProcess } from "../../src/nats/processes.ts";
import { sleep } from "../../src/nats/wait.ts";

const CLI = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** Ends a process when the pipe to the demo closes, so also when the demo is killed. */
const GUARD = 'read -r _; kill -TERM "$1"';
const STOP_DEADLINE_MS = 20_000;

export interface SidecarProcessOptions {
  /** Path of the site file. */
  readonly siteFile: string;
  /** Data folder of the site. */
  readonly data: string;
  /** Where its output goes. */
  readonly log: string;
}

/** One start of a sidecar: `leafmesh up <site.yaml>`. */
export class SidecarProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #options: SidecarProcessOptions;
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  readonly #ended: Promise<void>;
  /** How it ended, `null` while it runs: for example `exit code 1` or `SIGKILL`. */
  ended: string | null = null;

  constructor(options: SidecarProcessOptions) {
    this.#options = options;
    const log = openSync(options.log, "a", 0o600);
    // A group of its own: Ctrl-C is for the demo alone, which then stops its sidecars in order.
    this.#child = spawn(process.execPath, [CLI, "up", options.siteFile], {
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`Cannot run ${process.execPath}`);
    this.pid = pid;
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.ended ??= how;
        this.#guard.kill("SIGKILL");
        resolve();
      };
      this.#child.once("error", (error) => end(error.message));
      this.#child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
    });
    this.#guard = spawn("sh", ["-c", GUARD, "guard", String(pid)], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
  }

  /** Stops the sidecar, which stops its server; a server whose sidecar is gone is stopped by its keeper. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ended === null) {
      this.#child.kill("SIGTERM");
      const late = new AbortController();
      void this.#ended.then(() => late.abort());
      await sleep(STOP_DEADLINE_MS, late.signal);
      if (this.ended === null) {
        this.#child.kill("SIGKILL");
        await this.#ended;
      }
    }
    await this.#stopKeeper();
  }

  async #stopKeeper(): Promise<void> {
    const keeper = await readRunningProcess(join(this.#options.data, DATA_FILES.keeperPid));
    if (keeper === null || !(await signalProcess(keeper, "SIGTERM"))) return;
    const end = performance.now() + STOP_DEADLINE_MS;
    while (performance.now() < end) {
      if ((await readRunningProcess(join(this.#options.data, DATA_FILES.keeperPid))) === null) return;
      await sleep(50);
    }
  }
}
