/**
 * Three sites under load while everything around them fails; at the end every event is accounted for.
 *
 *   bun run fault [--seed 1] [--minutes 3] [--rate 2000] [--only "link cut,server killed"] [--disk 2GiB|none] [--sync 1s] [--logs FOLDER] [--json]
 *
 * The last line of the output is the report; with `--json` it is one line of JSON. Exit code 1 when a promise was broken.
 * `--disk`: as root, stores stand on memory disks of this size, so that they can be filled; default 2GiB where that is possible.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { parseBytes } from "../src/model/units.ts";
import { FAULTS } from "../test/support/faults/nemesis.ts";
import { runFaults } from "../test/support/faults/run.ts";
import { mayMount } from "../test/support/faults/world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "3" },
    rate: { type: "string", default: "2000" },
    only: { type: "string" },
    disk: { type: "string" },
    sync: { type: "string", default: "1s" },
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
const disk = values.disk ?? (mayMount() ? "2GiB" : "none");
const diskBytes = disk === "none" ? null : parseBytes(disk);
if (disk !== "none" && diskBytes === null)
  refuse(`--disk '${disk}' is no size (expected for example 2GiB, or none)`);

const report = await runFaults({
  seed: number("seed", 0),
  minutes: number("minutes", 0),
  rate: number("rate", 1),
  diskBytes,
  sync: values.sync,
  ...(only === undefined ? {} : { only }),
  ...(values.build === undefined ? {} : { build: values.build }),
  ...(values.logs === undefined ? {} : { logs: values.logs }),
  log: (line) => console.error(line),
});
if (values.json) console.log(JSON.stringify(report));
else {
  console.dir(report, { depth: 6, maxArrayLength: null });
  console.log(report.ok ? "ok" : `broken with seed ${report.seed}`);
}
process.exit(report.ok ? 0 : 1);
