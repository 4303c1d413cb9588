/**
 * Three sites under load while everything around them fails; at the end every event is accounted for.
 *
 *   bun run fault [--seed 1] [--minutes 3] [--rate 2000] [--only "link cut,server killed"] [--disk 2GiB|none] [--sync 1s] [--sidecars 2] [--logs FOLDER] [--json]
 *   bun run fault --seeds 1..20 [the same]       one seed after the other, and what came of all of them
 *   bun run fault --list                         the faults there are
 *
 * The last line of the output is the report; with `--json` it is one line of JSON. Exit code 1 when a promise was broken.
 * `--disk`: as root, stores stand on memory disks of this size, so that they can be filled; default where that is possible:
 * what a run of that length and rate may take, 2GiB or more.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseBytes } from "../src/model/units.ts";
import { FAULTS } from "../test/support/faults/nemesis.ts";
import { renderReport } from "../test/support/faults/report.ts";
import { runFaults } from "../test/support/faults/run.ts";
import {
  parseSeeds,
  renderSeries,
  runSeries,
  type SeedOutcome,
  sumSeries,
} from "../test/support/faults/series.ts";
import { mayMount } from "../test/support/small_disk.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string" },
    list: { type: "boolean" },
    minutes: { type: "string", default: "3" },
    rate: { type: "string", default: "2000" },
    only: { type: "string" },
    disk: { type: "string" },
    sync: { type: "string", default: "1s" },
    sidecars: { type: "string", default: "1" },
    build: { type: "string" },
    logs: { type: "string" },
    json: { type: "boolean" },
  },
});

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}
function number(name: "seed" | "minutes" | "rate", least: number): number {
  const value = Number(values[name]);
  return value >= least ? value : refuse(`--${name} '${values[name]}' is no number of at least ${least}`);
}
const only = values.only?.split(",").map((name) => name.trim());
for (const name of only ?? []) {
  if (!FAULTS.some((fault) => fault.name === name)) {
    refuse(`--only '${name}' is no fault; there are: ${FAULTS.map((fault) => fault.name).join(", ")}`);
  }
}
/** What a site has stored in a long run, of all that is offered: its own events, those of others, the log and a view of them. */
const STORED_PER_EVENT = 800;
const offered = Number(values.rate) * 60 * Number(values.minutes);
const largest = Math.max(2, Math.ceil((offered * STORED_PER_EVENT) / 1024 ** 3) || 0);
const disk = values.disk ?? (mayMount() ? `${largest}GiB` : "none");
const diskBytes = disk === "none" ? null : parseBytes(disk);
if (disk !== "none" && diskBytes === null)
  refuse(`--disk '${disk}' is no size (expected for example 2GiB, or none)`);
if (values.list) {
  for (const fault of FAULTS) console.log(fault.name);
  process.exit(0);
}
if (values.seeds !== undefined) process.exit(await series(values.seeds));

/** Each seed in a process of its own: what one leaves behind does not touch the next. */
async function series(text: string): Promise<number> {
  const seeds = parseSeeds(text) ?? refuse(`--seeds '${text}' is not like 1..20 or 1,4,7..9`);
  const given = ["minutes", "rate", "only", "disk", "sync", "sidecars", "build"] as const;
  const outcomes: readonly SeedOutcome[] = await runSeries({
    seeds,
    minutes: number("minutes", 0),
    command: [
      process.execPath,
      fileURLToPath(import.meta.url),
      ...given.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]])),
    ],
    ...(values.logs === undefined ? {} : { logs: values.logs }),
    log: (line) => console.error(line),
    onOutcome: (outcome) => {
      if (outcome.type === "report" && !outcome.report.ok) console.error(renderReport(outcome.report));
    },
  });
  const sum = sumSeries(outcomes);
  console.log(renderSeries(outcomes, sum));
  console.log(
    values.json ? JSON.stringify(sum) : sum.ok ? "ok" : `broken with seeds ${sum.broken.join(", ")}`,
  );
  return sum.ok ? 0 : 1;
}

const { sidecars } = values;
if (sidecars !== "1" && sidecars !== "2") refuse(`--sidecars '${sidecars}' is neither 1 nor 2`);
const report = await runFaults({
  seed: number("seed", 0),
  minutes: number("minutes", 0),
  rate: number("rate", 1),
  diskBytes,
  sync: values.sync,
  sidecars: sidecars === "2" ? 2 : 1,
  ...(only === undefined ? {} : { only }),
  ...(values.build === undefined ? {} : { build: values.build }),
  ...(values.logs === undefined ? {} : { logs: values.logs }),
  log: (line) => console.error(line),
});
if (values.json) console.log(JSON.stringify(report));
else console.log(`${renderReport(report)}\n${report.ok ? "ok" : `broken with seed ${report.seed}`}`);
process.exit(report.ok ? 0 : 1);
