/**
 * Looks after a server that is waited for. One that could not write to its disk answers and is never ready by itself: also when there is
 * room again, it stores nothing before a restart. {@link StoreWatch} does the same for a server that was ready.
 */
import { bytesText } from "../model/units.ts";
import { type DiskSpace, hasRoom } from "./disk_space.ts";
import type { StoringStatus } from "./system_api.ts";

const EVERY_MS = 1000;
/** Streams may be recovering for a moment: only what lasts is stopped. */
const STOPPED_LOOKS = 3;
/** Between two restarts, doubled each time: the disk may fail for another reason than its size. */
const FIRST_PAUSE_MS = 2000;

/** What a look has found. `full`: no room, so there is nothing to do but to wait. */
export type StoppedLook = "nothing" | "full" | "restarted";

export interface StoppedStoreOptions {
  /** Folder of the store. */
  readonly path: string;
  /** `null`: the server does not answer. */
  readonly storing: () => Promise<StoringStatus | null>;
  readonly space: () => Promise<DiskSpace>;
  readonly restart: () => Promise<void>;
  readonly say: (level: "info" | "warn" | "error", message: string) => void;
  /** Milliseconds that have gone by. */
  readonly clock?: () => number;
}

export class StoppedStore {
  readonly #options: StoppedStoreOptions;
  #lookAt = 0;
  #restartAt = 0;
  #pauseMs = FIRST_PAUSE_MS;
  /** Looks in a row that found a server that does not store. */
  #stopped = 0;
  #full = false;

  constructor(options: StoppedStoreOptions) {
    this.#options = options;
  }

  /**
   * Looks, once a second however often it is called, and restarts the server when it stores nothing and the disk has room.
   * @param exited whether the server has ended by itself since the last look: on a full disk it cannot start
   */
  async look(exited: boolean): Promise<StoppedLook> {
    const now = (this.#options.clock ?? (() => performance.now()))();
    if (!exited && now < this.#lookAt) return this.#full ? "full" : "nothing";
    this.#lookAt = now + EVERY_MS;
    const storing = await this.#options.storing();
    if (storing !== null) this.#stopped = storing.type === "on" ? 0 : this.#stopped + 1;
    const space = await this.#options.space();
    if (!hasRoom(space)) {
      if (exited || this.#stopped > 0) this.#tellFull(space);
      return this.#full ? "full" : "nothing";
    }
    // Of one that stood before a full disk nothing better is to be expected.
    const stopped = this.#full || this.#stopped >= STOPPED_LOOKS;
    if (!stopped || now < this.#restartAt) return this.#full ? "full" : "nothing";
    this.#full = false;
    this.#stopped = 0;
    this.#restartAt = now + this.#pauseMs;
    this.#pauseMs *= 2;
    const free = bytesText(space.freeBytes);
    this.#options.say("warn", `nats-server stores nothing, and the disk has ${free} free: it is restarted`);
    await this.#options.restart();
    return "restarted";
  }

  #tellFull({ freeBytes, totalBytes }: DiskSpace): void {
    if (this.#full) return;
    this.#full = true;
    const free = `${bytesText(freeBytes)} of ${bytesText(totalBytes)} free`;
    this.#options.say(
      "error",
      `nats-server cannot write to ${this.#options.path} (${free}): the start waits until there is room, then it restarts the server`,
    );
  }
}
