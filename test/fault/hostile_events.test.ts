/** Hostile events over a real link while policies change: nothing leaks, every event is accounted for. */
import { expect, test } from "bun:test";
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type LinkFuzzReport, linkFuzzReport } from "../support/fuzz/link_report.ts";

const FUZZ = fileURLToPath(new URL("../../scripts/fuzz.ts", import.meta.url));

async function fuzz(...args: readonly string[]): Promise<{ code: number | null; report: LinkFuzzReport }> {
  return await new Promise((resolve, reject) => {
    const child = execFile(process.execPath, [FUZZ, "--json", ...args], (_error, stdout, stderr) => {
      const last = stdout.trim().split("\n").at(-1) ?? "";
      if (!last.startsWith("{")) reject(new Error(`No report: ${stderr}`));
      else resolve({ code: child.exitCode, report: JSON.parse(last) as LinkFuzzReport });
    });
  });
}

test("5,000 hostile events and six changes of policy: no leak, no crash, no stall, nothing lost or repeated", async () => {
  const { code, report } = await fuzz("--events", "5000", "--seed", "20260101");
  expect(report).toMatchObject({ ok: true, problems: [], leaks: 0, crashes: 0, stalls: 0, published: 5000 });
  expect(report.forwarded + report.dropped + report.quarantined + report.deferred).toBe(5000);
  expect(report.received).toBe(report.forwarded);
  expect(code).toBe(0);
}, 240_000);

test("policies that hide nothing are found out", async () => {
  const { code, report } = await fuzz("--events", "400", "--seed", "3", "--changes", "1", "--uncovered");
  expect(report.ok).toBe(false);
  expect(report.leaks).toBeGreaterThan(50);
  expect(code).toBe(1);
}, 120_000);

test("linkFuzzReport() says what is wrong with the figures", () => {
  const good = {
    seed: 1,
    published: 10,
    refused: 0,
    forwarded: 5,
    dropped: 3,
    quarantined: 2,
    deferred: 0,
    held: 2,
    received: 5,
    policies: 2,
    versions: 2,
    leaks: 0,
    crashes: 0,
    stalls: 0,
    repeated: 0,
    reordered: 0,
    reasons: {},
    seconds: 1,
  };
  const problemsOf = (change: Partial<typeof good>) => linkFuzzReport({ ...good, ...change }, []).problems;
  expect(linkFuzzReport(good, [])).toEqual({ ok: true, ...good, problems: [] });
  expect(problemsOf({ leaks: 2 })).toEqual(["2 leaks"]);
  expect(problemsOf({ received: 4 })).toEqual(["5 forwarded, 4 received"]);
  expect(problemsOf({ dropped: 2 })).toEqual(["10 published, 9 accounted for"]);
  expect(problemsOf({ stalls: 1, repeated: 1 })).toEqual(["1 stalls", "1 repeated"]);
  expect(problemsOf({ held: 0 })).toHaveLength(1);
  expect(problemsOf({ forwarded: 0, received: 0, dropped: 8 })).toHaveLength(1);
  expect(linkFuzzReport(good, ["other"])).toMatchObject({ ok: false, problems: ["other"] });
});
