/** What a run of the fault machine says: counts, faults, and for what went wrong the shortest history that may explain it. */
import type { Broken, FaultKind } from "./arrivals.ts";
import type { History } from "./history.ts";
import type { NamedLoss } from "./named_losses.ts";
import type { World } from "./world.ts";

export const KINDS: readonly FaultKind[] = ["lost", "repeated", "reordered", "leaked", "altered"];
const MOST_PROBLEMS = 10;
/** A fault works on after it is healed: links come back, workers start again. */
const BEFORE_MS = 12_000;
const AFTER_MS = 6000;

/** What went wrong in one way on one route. */
export interface FaultProblem {
  /** The first event of it. */
  readonly broken: Broken;
  /** All events of this kind on this route. */
  readonly count: number;
  /** What was done to the sites of the route from shortly before the first of them was published to shortly after. */
  readonly around: readonly string[];
}

export interface FaultReport extends Readonly<Record<FaultKind, number>> {
  readonly ok: boolean;
  readonly seed: number;
  readonly seconds: number;
  readonly published: number;
  /** Events a second that were stored while things broke; with outages in it. */
  readonly perSecond: number;
  /** Publishes that were sent again because no acknowledgement came. */
  readonly retries: number;
  /** Events received at sites that did not publish them. */
  readonly received: number;
  /** Events that are not counted as lost, as an alarm of the site where they are missing names their range. */
  readonly alarmed: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Faults that cannot be injected on this machine, with the reason. */
  readonly unavailable: Readonly<Record<string, string>>;
  readonly problems: readonly FaultProblem[];
  /** Why the run could not be finished; `null`: it was. */
  readonly stuck: string | null;
  /** Where it is stuck: what was done last. */
  readonly last: readonly string[];
}

/** Judges what has arrived. */
export function report(
  world: World,
  history: History,
  run: Pick<FaultReport, "seed" | "faults" | "unavailable" | "stuck" | "perSecond"> & {
    readonly startMs: number;
    readonly named: readonly NamedLoss[];
  },
): FaultReport {
  const { startMs, named, ...told } = run;
  const counts = { lost: 0, repeated: 0, reordered: 0, leaked: 0, altered: 0 };
  for (const arrivals of world.arrivals) {
    const { origin, tenant } = arrivals.publisher;
    const lost = named.filter(
      (one) => one.at === arrivals.at && one.origin === origin && one.tenant === tenant,
    );
    arrivals.judge(world.version(origin, tenant).applied, lost);
    for (const kind of KINDS) counts[kind] += arrivals.counts[kind];
  }
  const remote = world.arrivals.filter(({ at, publisher }) => at !== publisher.origin);
  return {
    ok: run.stuck === null && KINDS.every((kind) => counts[kind] === 0),
    ...told,
    seconds: Math.round((history.nowMs() - startMs) / 1000),
    published: world.publishers.reduce((sum, one) => sum + one.acked, 0),
    received: remote.reduce((sum, one) => sum + one.count, 0),
    alarmed: remote.reduce((sum, one) => sum + one.alarmed, 0),
    retries: world.publishers.reduce((sum, one) => sum + one.retries, 0),
    ...counts,
    problems: problemsOf(world, history),
    last: run.stuck === null ? [] : history.around(history.nowMs(), 60_000),
  };
}

/** The first event of each kind on each route, in the order of their publishing. */
function problemsOf(world: World, history: History): readonly FaultProblem[] {
  return world.arrivals
    .flatMap((arrivals) =>
      KINDS.flatMap((kind) => {
        const [first] = arrivals.broken
          .filter((one) => one.kind === kind)
          .sort((left, right) => left.sentMs - right.sentMs);
        const sites = [arrivals.publisher.origin, arrivals.at];
        return first === undefined ? [] : [{ broken: first, count: arrivals.counts[kind], sites }];
      }),
    )
    .sort((left, right) => left.broken.sentMs - right.broken.sentMs)
    .slice(0, MOST_PROBLEMS)
    .map(({ broken, count, sites }) => ({
      broken,
      count,
      around: history.around(broken.sentMs, BEFORE_MS, AFTER_MS, sites),
    }));
}

/** A report as a person reads it: the promises first, then each problem with what was done around it. */
export function renderReport(report: FaultReport): string {
  const lines = [
    `seed ${report.seed}: ${report.published} events published (${report.perSecond} a second), ${report.received} received at other sites, ` +
      `${report.retries} retries, ${report.seconds} s`,
    [...KINDS.map((kind) => `${kind} ${report[kind]}`), `named by alarms ${report.alarmed}`].join(", "),
    ...Object.entries(report.faults).map(([name, count]) => `${String(count).padStart(6)}  ${name}`),
    ...Object.entries(report.unavailable).map(([name, why]) => `     -  ${name}: ${why}`),
  ];
  for (const { broken, count, around } of report.problems) {
    const { kind, route, serial, position, sentMs, detail } = broken;
    lines.push(
      "",
      `${kind}: ${count} of ${route}, the first is event ${serial} at position ${position}, published at ${(sentMs / 1000).toFixed(1)} s: ${detail}`,
      ...around.map((line) => `  ${line}`),
    );
  }
  if (report.stuck !== null) {
    lines.push("", `stuck: ${report.stuck}`, ...report.last.map((line) => `  ${line}`));
  }
  if (!report.ok) lines.push("", `the same faults again: bun run fault --seed ${report.seed}`);
  return lines.join("\n");
}
