/** Many runs of the fault machine, one seed after the other, each in a process of its own, and what came of all of them. */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import type { FaultKind } from "./arrivals.ts";
import { type FaultReport, KINDS } from "./report.ts";

/** How long a run may take beyond the minutes in which it breaks things: starting, healing, arriving. */
const BESIDE_MS = 10 * 60_000;
const ENDS_WITHIN_MS = 30_000;

/** One run of the series: its report, or why there is none. */
export type SeedOutcome =
  | { readonly type: "report"; readonly seed: number; readonly report: FaultReport }
  | { readonly type: "failed"; readonly seed: number; readonly why: string };

/** All runs together. */
export interface SeriesReport extends Readonly<Record<FaultKind, number>> {
  readonly ok: boolean;
  readonly seeds: number;
  /** Seeds that broke a promise, got stuck, or ended without a report. */
  readonly broken: readonly number[];
  readonly published: number;
  readonly received: number;
  /** As {@link FaultReport.alarmed}. */
  readonly alarmed: number;
  readonly retries: number;
  readonly seconds: number;
  /** Events a second that were stored while things broke, of the slowest run. */
  readonly leastPerSecond: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly runs: readonly { readonly seed: number; readonly ok: boolean; readonly why: string | null }[];
}

/** Seeds of `1..20`, `3`, `1,4,7..9`; `null` when the text is none of these. */
export function parseSeeds(text: string): readonly number[] | null {
  const seeds: number[] = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,9})(?:\.\.(\d{1,9}))?\s*$/.exec(part);
    if (match === null) return null;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last - first > 10_000) return null;
    for (let seed = first; seed <= last; seed++) seeds.push(seed);
  }
  return seeds;
}

/** What became of a series. */
export function sumSeries(outcomes: readonly SeedOutcome[]): SeriesReport {
  const reports = outcomes.flatMap((one) => (one.type === "report" ? [one.report] : []));
  const sum = (of: (report: FaultReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const faults: Record<string, number> = {};
  for (const report of reports) {
    for (const [name, count] of Object.entries(report.faults)) faults[name] = (faults[name] ?? 0) + count;
  }
  const runs = outcomes.map((one) => ({ seed: one.seed, ...outcomeOf(one) }));
  const broken = runs.filter(({ ok }) => !ok).map(({ seed }) => seed);
  return {
    ok: broken.length === 0 && outcomes.length > 0,
    seeds: outcomes.length,
    broken,
    published: sum((one) => one.published),
    received: sum((one) => one.received),
    retries: sum((one) => one.retries),
    seconds: sum((one) => one.seconds),
    leastPerSecond: reports.length === 0 ? 0 : Math.min(...reports.map((one) => one.perSecond)),
    lost: sum((one) => one.lost),
    repeated: sum((one) => one.repeated),
    reordered: sum((one) => one.reordered),
    leaked: sum((one) => one.leaked),
    altered: sum((one) => one.altered),
    alarmed: sum((one) => one.alarmed),
    faults: Object.fromEntries(Object.entries(faults).sort(([left], [right]) => (left < right ? -1 : 1))),
    runs,
  };
}

function outcomeOf(one: SeedOutcome): { readonly ok: boolean; readonly why: string | null } {
  if (one.type === "failed") return { ok: false, why: one.why };
  const { report } = one;
  if (report.ok) return { ok: true, why: null };
  const counts = KINDS.filter((kind) => report[kind] > 0).map((kind) => `${report[kind]} ${kind}`);
  return { ok: false, why: [...(report.stuck === null ? [] : [report.stuck]), ...counts].join(", ") };
}

/** A series as a person reads it: a line a seed, and how often each fault was injected. */
export function renderSeries(outcomes: readonly SeedOutcome[], series: SeriesReport): string {
  const head = ["seed", "events", "/s", "received", "retries", "faults", ...KINDS, "result"];
  const rows = outcomes.map((one) => {
    const { why } = outcomeOf(one);
    if (one.type === "failed") return [one.seed, "", "", "", "", "", ...KINDS.map(() => ""), why];
    const { report } = one;
    const faults = Object.values(report.faults).reduce((sum, count) => sum + count, 0);
    const { published, perSecond, received, retries } = report;
    const counts = KINDS.map((kind) => report[kind]);
    return [one.seed, published, perSecond, received, retries, faults, ...counts, why ?? "ok"];
  });
  const table = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  const faults = Object.entries(series.faults).map(
    ([name, count]) => `${String(count).padStart(6)}  ${name}`,
  );
  return `${[...table.map(line), "", "faults injected:", ...faults].join("\n")}\n`;
}

export interface SeriesOptions {
  readonly seeds: readonly number[];
  readonly minutes: number;
  /** Command of one run but for `--seed` and `--logs`: it writes its report as its last line. */
  readonly command: readonly string[];
  /** Folder for a report, a history and the sites' logs of each seed. */
  readonly logs?: string;
  readonly log: (line: string) => void;
  readonly onOutcome?: (outcome: SeedOutcome) => void;
}

/** Runs the seeds one after the other. One that fails does not keep the next from running. */
export async function runSeries(options: SeriesOptions): Promise<readonly SeedOutcome[]> {
  const outcomes: SeedOutcome[] = [];
  for (const seed of options.seeds) {
    options.log(`seed ${seed}`);
    const outcome = await runSeed(seed, options);
    outcomes.push(outcome);
    options.onOutcome?.(outcome);
    if (options.logs !== undefined) {
      await writeFile(join(options.logs, `${seed}.json`), `${JSON.stringify(outcome, null, 2)}\n`);
    }
  }
  return outcomes;
}

async function runSeed(seed: number, options: SeriesOptions): Promise<SeedOutcome> {
  const { command, logs, minutes } = options;
  if (logs !== undefined) await mkdir(logs, { recursive: true });
  const [program = process.execPath, ...given] = command;
  const kept = logs === undefined ? [] : ["--logs", join(logs, String(seed))];
  const child = spawn(program, [...given, "--seed", String(seed), "--json", ...kept], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const history = logs === undefined ? null : createWriteStream(join(logs, `${seed}.history`));
  let last = "";
  let words = "";
  createInterface({ input: child.stdout }).on("line", (line) => {
    last = line;
  });
  createInterface({ input: child.stderr }).on("line", (line) => {
    words = line;
    options.log(line);
    history?.write(`${line}\n`);
  });
  let late = false;
  const timers = [
    setTimeout(
      () => {
        late = true;
        child.kill("SIGTERM");
      },
      minutes * 60_000 + BESIDE_MS,
    ),
    setTimeout(() => child.kill("SIGKILL"), minutes * 60_000 + BESIDE_MS + ENDS_WITHIN_MS),
  ];
  const code = await new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (status, signal) => resolve(status ?? signal ?? "no status"));
  });
  for (const timer of timers) clearTimeout(timer);
  history?.end();
  try {
    return { type: "report", seed, report: JSON.parse(last) as FaultReport };
  } catch {
    const why = late ? "did not end in time" : `ended with ${code} and no report`;
    return { type: "failed", seed, why: `${why}: ${words}` };
  }
}
