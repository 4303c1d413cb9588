/** Chooses what goes wrong, the same for the same seed, and lets it happen. */
import { Random } from "../random.ts";
import { CHANGE_FAULTS } from "./change_faults.ts";
import { between, type Fault, pause } from "./fault.ts";
import { LINK_FAULTS } from "./link_faults.ts";
import { MACHINE_FAULTS } from "./machine_faults.ts";
import { MEMBER_FAULTS } from "./member_faults.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { ROLLBACK_FAULTS } from "./rollback_faults.ts";
import { ROTATION_FAULTS } from "./rotation_faults.ts";
import { SITES } from "./scenario.ts";
import type { World } from "./world.ts";

export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...LINK_FAULTS,
  ...CHANGE_FAULTS,
  ...MEMBER_FAULTS,
  ...MACHINE_FAULTS,
  ...ROLLBACK_FAULTS,
  ...ROTATION_FAULTS,
];

/**
 * Injects faults until `untilMs` (of the history). Each lane makes its choices from the seed alone, so that the same seed gives
 * the same faults in the same order.
 */
export async function runNemesis(options: {
  readonly world: World;
  readonly seed: number;
  readonly faults: readonly Fault[];
  readonly untilMs: number;
  /** So many in each lane, however long they take. Default 0. */
  readonly leastFaults?: number;
  /** Asked before each fault: whether there need be no more. Default: there need. */
  readonly enough?: () => boolean;
  /** How many of each were injected, counted here as they come. */
  readonly counts: Record<string, number>;
}): Promise<void> {
  const { world, seed, faults, untilMs, counts, leastFaults = 0, enough = () => false } = options;
  const lane = async (name: Fault["lane"], index: number) => {
    const random = new Random(seed * 2 + index);
    const choice = faults.filter((fault) => fault.lane === name);
    if (choice.length === 0) return;
    for (let done = 0; done < leastFaults || world.history.nowMs() < untilMs; done++) {
      if (enough()) return;
      const site = random.pick(SITES);
      const fault = pick(random, choice);
      counts[fault.name] = (counts[fault.name] ?? 0) + 1;
      await fault.run({ world, random, site, note: (text) => world.history.note(text) });
      await pause(between(random, 200, 3000));
    }
  };
  await Promise.all([lane("process", 0), lane("other", 1)]);
}

function pick(random: Random, faults: readonly Fault[]): Fault {
  const total = faults.reduce((sum, fault) => sum + fault.weight, 0);
  let left = random.next() * total;
  for (const fault of faults) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  return faults[0] as Fault;
}
