/**
 * Hostile events over a real link, with planted secrets: nothing leaks, nothing is lost, nothing stands still.
 *
 *   bun run fuzz [--events 5000] [--seed 1] [--changes 6] [--json] [--uncovered]
 *
 * The last line of the output is the report; with `--json` it is one line of JSON. Exit code 1 when a promise was broken.
 * `--uncovered`: the policies hide nothing, to see that leaks are found.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runLinkFuzz } from "../test/support/fuzz/link_run.ts";

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "5000" },
    seed: { type: "string", default: "1" },
    changes: { type: "string", default: "6" },
    json: { type: "boolean" },
    uncovered: { type: "boolean" },
  },
});
const number = (name: "events" | "seed" | "changes", least: number): number => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= least) return value;
  console.error(`--${name} '${values[name]}' is no whole number of at least ${least}`);
  process.exit(2);
};
const report = await runLinkFuzz({
  events: number("events", 1),
  seed: number("seed", 0),
  changes: number("changes", 0),
  uncovered: values.uncovered === true,
  log: (line) => console.error(line),
});
if (values.json) console.log(JSON.stringify(report));
else {
  console.log(report);
  console.log(report.ok ? "ok" : `broken: ${report.problems.join("; ")}`);
}
process.exit(report.ok ? 0 : 1);
