/** What sites have said, with its exact range, that they lack and do not get again: stated, so it is not lost in silence. */
import { open } from "node:fs/promises";
import type { NamedRange } from "./arrivals.ts";
import { SITES, type SiteName } from "./scenario.ts";
import type { World } from "./world.ts";

export interface NamedLoss extends NamedRange {
  readonly at: SiteName;
  readonly origin: string;
  readonly tenant: string;
}

const ALARM =
  /alarm: importer-rolled-back raised for .*what one before it has let out of events (\d+) to (\d+) of ([a-z0-9-]+) at ([a-z0-9-]+) is not fetched again/;
/** The same of an exporter: what its peer lacks. */
const AT_PEER =
  /alarm: importer-rolled-back raised for \S+ to ([a-z0-9-]+): .*it lacks what was let out of events (\d+) to (\d+) of ([a-z0-9-]+), and/;
const LOOK_MS = 500;

/** Reads the logs of a mesh in which each site gives its own events, while they are written: the clock of a sidecar may have leapt. */
export class NamedLosses {
  readonly #world: World;
  readonly #nowMs: () => number;
  readonly #found: NamedLoss[] = [];
  /** By file: how many bytes were read. */
  readonly #read = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  #looking: Promise<void> = Promise.resolve();

  constructor(world: World, nowMs: () => number) {
    this.#world = world;
    this.#nowMs = nowMs;
    this.#timer = setInterval(() => void this.#lookAgain(), LOOK_MS);
  }

  /** Looks once more, and ends. @returns all that was named */
  async end(): Promise<readonly NamedLoss[]> {
    clearInterval(this.#timer);
    await this.#lookAgain();
    return this.#found;
  }

  #lookAgain(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look()).catch(() => undefined);
    return this.#looking;
  }

  async #look(): Promise<void> {
    for (const at of SITES) {
      for (const file of [this.#world.site(at).logFile, this.#world.seconds.get(at)?.logFile]) {
        if (file === undefined) continue;
        const seenMs = this.#nowMs();
        const found = lossesIn(at, await this.#newLines(file));
        for (const one of found) this.#found.push({ ...one, seenMs, life: this.#lifeOf(one) });
      }
    }
  }

  #lifeOf({ origin, tenant }: Pick<NamedLoss, "origin" | "tenant">): number {
    return this.#world.publishers.find((one) => one.origin === origin && one.tenant === tenant)?.life ?? 0;
  }

  /** Whole lines that were written since the last look. */
  async #newLines(file: string): Promise<string> {
    const from = this.#read.get(file) ?? 0;
    await using handle = await open(file).catch(() => null);
    if (handle === null) return "";
    const { size } = await handle.stat();
    const bytes = Buffer.alloc(Math.max(0, size - from));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, from);
    const end = bytes.subarray(0, bytesRead).lastIndexOf("\n") + 1;
    this.#read.set(file, from + end);
    return bytes.toString("utf8", 0, end);
  }
}

/** The losses that lines of a site's log name. */
export function lossesIn(at: SiteName, log: string): Omit<NamedLoss, "seenMs" | "life">[] {
  return log.split("\n").flatMap((line) => {
    const [, first, last, tenant, origin] = ALARM.exec(line) ?? [];
    if (tenant !== undefined && origin !== undefined)
      return [{ at, origin, tenant, first: Number(first), last: Number(last) }];
    const [, peer, from, to, of] = AT_PEER.exec(line) ?? [];
    const found = SITES.find((site) => site === peer);
    if (found === undefined || of === undefined) return [];
    return [{ at: found, origin: at, tenant: of, first: Number(from), last: Number(to) }];
  });
}
