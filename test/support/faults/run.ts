/** One run of the fault machine: publish, break things, heal, wait, and compare what arrived with what had to. */
import type { FaultKind } from "./arrivals.ts";
import { History } from "./history.ts";
import { NamedLosses } from "./named_losses.ts";
import { FAULTS, runNemesis } from "./nemesis.ts";
import { type FaultReport, report } from "./report.ts";
import { World } from "./world.ts";

export interface FaultRunOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Events a second, over all sites and tenants. */
  readonly rate: number;
  /** Faults in each lane at least, also where they take longer than the minutes. */
  readonly leastFaults?: number;
  /** Names of the faults that may be injected; default: all that are possible here. */
  readonly only?: readonly string[];
  /** Stores on memory disks of this size, so that they can be filled; `null`: on the machine's disk. */
  readonly diskBytes: number | null;
  readonly sync?: string;
  /** Sidecars of each site. Default 1. */
  readonly sidecars?: 1 | 2;
  /** How long nothing may arrive before what is missing counts as lost. Default 45 s. */
  readonly patienceMs?: number;
  /** The run ends early, once something of each of these kinds was seen. Default: it does not. */
  readonly until?: readonly FaultKind[];
  /** Folder of a build to test instead of this tree. */
  readonly build?: string;
  /** Where the logs of the sites are kept after the run. */
  readonly logs?: string;
  readonly log?: (line: string) => void;
}

/** Sites of two sidecars each, all under load, where the one that leads is stopped for a while: as often as `leastFaults` says. */
export const LEADER_FROZEN = {
  minutes: 0,
  rate: 400,
  diskBytes: null,
  sidecars: 2,
  only: ["leader frozen"],
} as const;
const ENTRY = "test/support/faults/sidecar_entry.ts";
const PATIENCE_MS = 45_000;
const SETTLE_MS = 2000;

export async function runFaults(options: FaultRunOptions): Promise<FaultReport> {
  const history = new History(options.log ?? (() => {}));
  await using world = await World.start({
    rate: options.rate,
    history,
    diskBytes: options.diskBytes,
    sync: options.sync ?? "1s",
    sidecars: options.sidecars ?? 1,
    entry: { path: ENTRY, ...(options.build === undefined ? {} : { root: options.build }) },
  });
  history.note(`${options.rate} events a second over three sites and three tenants`);
  const start = history.nowMs();
  const naming = new NamedLosses(world, () => history.nowMs());
  const wanted = FAULTS.filter(({ name }) => options.only === undefined || options.only.includes(name));
  const unavailable = Object.fromEntries(
    wanted.flatMap((fault) => {
      const why = fault.unavailable?.(world) ?? null;
      return why === null ? [] : [[fault.name, why]];
    }),
  );
  const enough = () => options.until?.every((kind) => seen(world, kind)) ?? false;
  let stuck: string | null = null;
  let brokenMs = 0;
  let storedThen = 0;
  const faults: Record<string, number> = {};
  try {
    await runNemesis({
      world,
      seed: options.seed,
      faults: wanted.filter(({ name }) => unavailable[name] === undefined),
      untilMs: start + options.minutes * 60_000,
      counts: faults,
      enough,
      ...(options.leastFaults === undefined ? {} : { leastFaults: options.leastFaults }),
    });
    history.note("all faults are healed");
    brokenMs = history.nowMs() - start;
    storedThen = world.publishers.reduce((sum, one) => sum + one.acked, 0);
    await within(world.stopPublishing(), 90_000, "what was published to be stored");
    history.note("publishing has ended");
    await arrived(world, history, { patienceMs: options.patienceMs ?? PATIENCE_MS, enough });
  } catch (thrown) {
    stuck = thrown instanceof Error ? thrown.message : String(thrown);
    history.note(`stuck: ${stuck}`);
  }
  await world.stopReading();
  if (options.logs !== undefined) await world.keepLogs(options.logs);
  const perSecond = brokenMs === 0 ? 0 : Math.round((storedThen * 1000) / brokenMs);
  const { seed } = options;
  const named = await naming.end();
  return report(world, history, { seed, faults, unavailable, stuck, startMs: start, perSecond, named });
}

/** Whether something of a kind has been seen so far; what is lost is judged at the end. */
function seen(world: World, kind: FaultKind): boolean {
  return world.arrivals.some((one) => (kind === "lost" ? one.overtaken : one.counts[kind] > 0));
}

/** Waits until all is there that must be, nothing comes any more, or there is enough to tell. */
async function arrived(
  world: World,
  history: History,
  { patienceMs, enough }: { readonly patienceMs: number; readonly enough: () => boolean },
): Promise<void> {
  const count = () => world.arrivals.reduce((sum, one) => sum + one.count, 0);
  let last = count();
  let since = performance.now();
  while (!world.complete() && !enough() && performance.now() - since < patienceMs) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const now = count();
    if (now !== last) since = performance.now();
    last = now;
  }
  // What comes twice may come late, and so do events that only some versions let out.
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  history.note(world.complete() ? "all has arrived that must" : "what is missing does not come");
}

async function within(work: Promise<void>, ms: number, what: string): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${ms} ms in vain for ${what}`)), ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
