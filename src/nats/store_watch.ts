/**
 * Watches the disk under the store of an embedded server. When a write fails, nats-server switches JetStream off, or leaves a
 * stream that takes nothing any more, until it is restarted: that is done here once the disk has room. What apps published and
 * was not stored was not acknowledged, so they send it again.
 */

import { bytesText } from "../model/units.ts";
import { type DiskSpace, hasRoom, readDiskSpace } from "./disk_space.ts";
import type { StoringStatus } from "./system_api.ts";
import { repeat } from "./wait.ts";

const EVERY_MS = 1000;
const FAILING_LOOKS = 3;
/** Below this share of the disk, or these bytes where that is less, the store is said to run out. */
const LOW_SHARE = 0.05;
const LOW_BYTES = 1024 ** 3;
/** Between two restarts: a disk that fails for another reason than its size is left alone more and more. */
const FIRST_RESTART_PAUSE_MS = 2000;
const LONGEST_RESTART_PAUSE_MS = 300_000;

/** The disk under the store. */
export interface StoreReport extends DiskSpace {
  /** `low`: about to be full. `stopped`: a write has failed, and the server stores nothing, or nothing in some streams. */
  readonly state: "ok" | "low" | "stopped";
}

export interface StoreWatchOptions {
  /** Folder of the store. */
  readonly path: string;
  /** `null`: not known now. */
  readonly storing: () => Promise<StoringStatus | null>;
  /** Free and total bytes of the disk; default: asked of the system. */
  readonly space?: () => Promise<DiskSpace>;
  readonly restart: (signal: AbortSignal) => Promise<void>;
  /** Whether a restart that failed is made again also where the server stores: something of it was not done. Default true. */
  readonly repeats?: boolean;
  /** Is told when the server stops to store, and when that is over. */
  readonly stopped?: (stopped: boolean) => Promise<void>;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Between two looks. */
  readonly everyMs?: number;
  /** Milliseconds that have gone by, for the pauses between restarts. */
  readonly clock?: () => number;
}

export class StoreWatch implements AsyncDisposable {
  readonly #options: StoreWatchOptions;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  #report: StoreReport | null = null;
  #pauseMs = FIRST_RESTART_PAUSE_MS;
  #restartAt = 0;
  /** Looks in a row that found a server that does not store. */
  #failing = 0;
  /** JetStream was off: where a reload revives it, the server still goes on as if it had stored what it was given meanwhile. */
  #wasOff = false;
  /** Why somebody else wants a restart. */
  #wanted: string | null = null;
  /** The last restart failed: there may be no server that could be asked, or one through which nothing may flow yet. */
  #down = false;

  constructor(options: StoreWatchOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** As it was a moment ago; `null` before the first look. */
  get report(): StoreReport | null {
    return this.#report;
  }

  /** Has the server restarted at the next look, for another reason than its disk; `null`: not any more. */
  restart(why: string | null): void {
    this.#wanted = why;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { path, log, everyMs = EVERY_MS } = this.#options;
    await repeat((signal) => this.#look(signal), {
      everyMs,
      signal: this.#ended.signal,
      failed: (text) => log("error", `The store ${path} cannot be looked after: ${text}`),
    });
  }

  async #look(signal: AbortSignal): Promise<void> {
    const space = await (this.#options.space ?? (() => readDiskSpace(this.#options.path)))();
    const { freeBytes, totalBytes } = space;
    const storing = await this.#options.storing();
    // A stream may be recovering for a moment: only what lasts is broken.
    const failing = storing !== null && storing.type !== "on";
    this.#failing = storing === null ? this.#failing : failing ? this.#failing + 1 : 0;
    if (storing?.type === "off") this.#wasOff = true;
    const down = this.#down && (storing === null || this.#options.repeats !== false);
    const stopped = this.#wasOff || this.#failing >= FAILING_LOOKS || down;
    const now = (this.#options.clock ?? (() => performance.now()))();
    const low = freeBytes < Math.min(LOW_BYTES, totalBytes * LOW_SHARE);
    const what = storing?.type === "broken" ? `streams ${storing.streams.join(", ")}` : "JetStream";
    const changed = stopped !== (this.#report?.state === "stopped");
    this.#tell({ state: stopped ? "stopped" : low ? "low" : "ok", freeBytes, totalBytes }, what);
    // A disk that takes not even this is no reason to leave the rest.
    if (changed) await this.#options.stopped?.(stopped).catch(() => undefined);
    if (storing?.type === "on" && !this.#down) {
      this.#pauseMs = FIRST_RESTART_PAUSE_MS;
      this.#restartAt = Math.min(this.#restartAt, now + FIRST_RESTART_PAUSE_MS);
    }
    const wanted = this.#wanted;
    if ((!stopped && wanted === null) || now < this.#restartAt || signal.aborted) return;
    if (!hasRoom(space)) return;
    this.#restartAt = now + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_RESTART_PAUSE_MS);
    const why = stopped ? `The disk has ${bytesText(freeBytes)} free` : wanted;
    this.#options.log("warn", `${why}: nats-server is restarted`);
    this.#wanted = null;
    this.#down = true;
    await this.#options.restart(signal);
    this.#down = false;
    this.#wasOff = false;
    this.#failing = 0;
  }

  #tell(report: StoreReport, what: string): void {
    const before = this.#report?.state ?? "ok";
    this.#report = report;
    if (report.state === before) return;
    const free = `${bytesText(report.freeBytes)} of ${bytesText(report.totalBytes)} free`;
    const { path, log } = this.#options;
    switch (report.state) {
      case "ok":
        log("info", `The disk of the store has room again (${free})`);
        return;
      case "low":
        log(
          "warn",
          `The disk of the store ${path} is nearly full (${free}): free some, or lower limits.storage`,
        );
        return;
      case "stopped":
        log(
          "error",
          `nats-server has stopped ${what}: it could not write to ${path} (${free}). Publishes are refused until there is room; then it is restarted`,
        );
        return;
    }
  }
}
