/**
 * An hour with a peer away: the sidecar's memory stays where it is, and the route catches up at nats-server's own speed.
 *
 *   bun run soak [--minutes 60] [--rate 5000] [--sync 1s] [--json]
 *
 * The last line of the output is the report; with `--json` it is one line of JSON. Exit code 1 when the memory grew by more than a tenth from
 * the first quarter to the last, when catching up is slower than 0.8 of bare stream sources of the same streams, or when an event is lost. An hour at 5,000
 * events/s takes about 20 GB in the temporary folder (TMPDIR).
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runSoak } from "../test/support/soak/run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    rate: { type: "string", default: "5000" },
    sync: { type: "string", default: "1s" },
    json: { type: "boolean" },
  },
});

function number(name: "minutes" | "rate", least: number): number {
  const value = Number(values[name]);
  if (value >= least) return value;
  console.error(`--${name} '${values[name]}' is no number of at least ${least}`);
  process.exit(2);
}

const minutes = number("minutes", 0.25);
const report = await runSoak({
  minutes,
  rate: number("rate", 10),
  warmUpSeconds: Math.max(10, Math.min(120, minutes * 15)),
  sampleMs: Math.max(500, Math.min(5000, minutes * 250)),
  sync: values.sync,
  bareEvents: 1_000_000,
  bareRuns: 3,
  log: (line) => console.error(line),
});
if (values.json) console.log(JSON.stringify(report));
else {
  console.dir(report, { depth: 4 });
  console.log(report.ok ? "ok" : "not as it should be");
}
process.exit(report.ok ? 0 : 1);
