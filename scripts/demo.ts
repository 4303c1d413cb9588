/**
 * Three sites in a ring, two tenants, real webhook payloads of GitHub.
 *
 *   scripts/demo                  keeps publishing, shows what flows, until Ctrl-C
 *   scripts/demo --once [--json]  publishes a fixed set, checks what every app received, exits 0 or 1
 *   --keep                        leaves the folder with site files, logs and data
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runLive } from "./demo_parts/live.ts";
import { runOnce } from "./demo_parts/once.ts";
import { loadExamples } from "./demo_parts/payloads.ts";
import { Ring } from "./demo_parts/ring.ts";
import { summaryOf } from "./demo_parts/summary.ts";
import { reasonOf } from "./demo_parts/wait.ts";

const DEADLINE_MS = 60_000;
const USAGE = "usage: scripts/demo [--once [--json]] [--keep]\n";

interface Options {
  readonly once: boolean;
  readonly json: boolean;
  readonly keep: boolean;
}

process.exitCode = await main(process.argv.slice(2));

/** @returns the exit code: 0 when all went as it should, 1 when not, 2 for wrong arguments, 130 when interrupted. */
async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "number") return options;
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error("interrupted"));
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  const deadline = options.once
    ? setTimeout(() => stop.abort(new Error(`the deadline of ${DEADLINE_MS / 1000} s is over`)), DEADLINE_MS)
    : undefined;
  try {
    return await run(options, stop.signal);
  } catch (error) {
    if (stop.signal.aborted && reasonOf(stop.signal) === "interrupted") return 130;
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`demo: ${text}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify({ ok: false, problems: [text] })}\n`);
    return 1;
  } finally {
    clearTimeout(deadline);
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

async function run({ once, json, keep }: Options, signal: AbortSignal): Promise<number> {
  const say = (line: string) => void process.stderr.write(`demo: ${line}\n`);
  const examples = await loadExamples();
  await using ring = await Ring.start({ keep, say, signal });
  if (!once) {
    await runLive(ring, examples, signal);
    return 0;
  }
  const report = await runOnce(ring, examples, say, signal);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : summaryOf(report));
  return report.ok ? 0 : 1;
}

function readOptions(args: string[]): Options | number {
  try {
    const { values } = parseArgs({
      args,
      options: {
        once: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        keep: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    if (values.json && !values.once) throw new Error("--json goes with --once");
    return values;
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return 2;
  }
}
