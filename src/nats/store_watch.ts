/**
 * Watches the disk under the store of an embedded server. nats-server switches JetStream off when a write fails, and does not
 * switch it on again by itself: once the disk has room, the server is restarted. What was not stored was not acknowledged, so
 * publishers send it again and nothing is lost.
 */
import { statfs } from "node:fs/promises";
import { errorText } from "../model/errors.ts";
import { sleep } from "./wait.ts";

const EVERY_MS = 1000;
/** Below this share of the disk, or these bytes where that is less, the store is said to run out. */
const LOW_SHARE = 0.05;
const LOW_BYTES = 1024 ** 3;
/** What a server needs to recover its store. */
const RESTART_SHARE = 0.01;
const RESTART_BYTES = 64 * 1024 ** 2;
/** Between two restarts: a disk that fails for another reason than its size is left alone more and more. */
const FIRST_RESTART_PAUSE_MS = 2000;
const LONGEST_RESTART_PAUSE_MS = 300_000;

/** The disk under the store. */
export interface StoreReport {
  /** `low`: about to be full. `stopped`: the server has switched JetStream off, nothing is stored. */
  readonly state: "ok" | "low" | "stopped";
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface StoreWatchOptions {
  /** Folder of the store. */
  readonly path: string;
  /** Whether JetStream is on; `null`: not known now. */
  readonly isOn: () => Promise<boolean | null>;
  readonly restart: (signal: AbortSignal) => Promise<void>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class StoreWatch implements AsyncDisposable {
  readonly #options: StoreWatchOptions;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  #report: StoreReport | null = null;
  #pauseMs = FIRST_RESTART_PAUSE_MS;
  #restartAt = 0;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** As it was a moment ago; `null` before the first look. */
  get report(): StoreReport | null {
    return this.#report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    let failed = "";
    while (!signal.aborted) {
      try {
        await this.#look(signal);
        failed = "";
      } catch (thrown) {
        const text = errorText(thrown);
        if (text !== failed && !signal.aborted) {
          this.#options.log("error", `The store ${this.#options.path} cannot be looked after: ${text}`);
        }
        failed = text;
      }
      await sleep(EVERY_MS, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { bavail, blocks, bsize } = await statfs(this.#options.path);
    const [freeBytes, totalBytes] = [bavail * bsize, blocks * bsize];
    const on = await this.#options.isOn();
    const state =
      on === false || (on === null && this.#report?.state === "stopped")
        ? "stopped"
        : freeBytes < Math.min(LOW_BYTES, totalBytes * LOW_SHARE)
          ? "low"
          : "ok";
    this.#tell({ state, freeBytes, totalBytes });
    if (on === true) this.#pauseMs = FIRST_RESTART_PAUSE_MS;
    if (on !== false || performance.now() < this.#restartAt) return;
    if (freeBytes < Math.min(RESTART_BYTES, totalBytes * RESTART_SHARE)) return;
    this.#restartAt = performance.now() + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RESTART_PAUSE_MS);
    this.#options.log("warn", `The disk has ${mebibytes(freeBytes)} free: nats-server is restarted`);
    await this.#options.restart(signal);
  }

  #tell(report: StoreReport): void {
    const before = this.#report?.state ?? "ok";
    this.#report = report;
    if (report.state === before) return;
    const free = `${mebibytes(report.freeBytes)} of ${mebibytes(report.totalBytes)} free`;
    const { path, log } = this.#options;
    switch (report.state) {
      case "ok":
        log("info", `The disk of the store has room again (${free})`);
        return;
      case "low":
        log("warn", `The disk of the store ${path} is nearly full (${free}): free some, or lower limits.storage`);
        return;
      case "stopped":
        log(
          "error",
          `nats-server has stopped JetStream: it could not write to ${path} (${free}). Publishes are refused until there is room; then it is restarted`,
        );
        return;
    }
  }
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 ** 2)} MiB`;
}
