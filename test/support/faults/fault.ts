/** What a fault is, and what it is given. */
import type { Random } from "../random.ts";
import type { SiteName } from "./scenario.ts";
import type { World } from "./world.ts";

export interface FaultRun {
  readonly world: World;
  readonly random: Random;
  /** The site that it happens to. */
  readonly site: SiteName;
  readonly note: (text: string) => void;
}

/** A kind of fault. */
export interface Fault {
  readonly name: string;
  /** `process`: ends or stops processes, one at a time in the whole mesh; `other`: goes on beside those, one at a time too. */
  readonly lane: "process" | "other";
  /** How often it is chosen, beside the others of its lane. */
  readonly weight: number;
  readonly run: (run: FaultRun) => Promise<void>;
  /** Why it cannot be injected here; `null`: it can. */
  readonly unavailable?: (world: World) => string | null;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A whole number from `least` to below `most`. */
export const between = (random: Random, least: number, most: number): number =>
  least + random.below(most - least);
