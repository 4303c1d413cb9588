import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { type FaultReport, renderReport } from "../../support/faults/report.ts";
import {
  parseSeeds,
  renderSeries,
  runSeries,
  type SeedOutcome,
  sumSeries,
} from "../../support/faults/series.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const GOOD: FaultReport = {
  ok: true,
  seed: 1,
  seconds: 180,
  published: 1000,
  perSecond: 900,
  retries: 3,
  received: 1500,
  lost: 0,
  repeated: 0,
  reordered: 0,
  leaked: 0,
  altered: 0,
  alarmed: 0,
  faults: { "link cut": 2 },
  unavailable: {},
  problems: [],
  stuck: null,
  last: [],
};
const BAD: FaultReport = {
  ...GOOD,
  ok: false,
  seed: 2,
  perSecond: 700,
  lost: 4,
  faults: { "link cut": 1, "server killed": 5 },
  problems: [
    {
      broken: {
        kind: "lost",
        route: "berlin.acme at tokyo",
        serial: 7,
        position: 8,
        sentMs: 2500,
        detail: "gone",
      },
      count: 4,
      around: ["2.4 s SIGKILL of the server of berlin"],
    },
  ],
};

test("parseSeeds() reads ranges and lists, and nothing else", () => {
  expect(parseSeeds("1..3")).toEqual([1, 2, 3]);
  expect(parseSeeds("4, 7..8")).toEqual([4, 7, 8]);
  for (const text of ["", "a", "3..1", "1...2", "-1", "1..99999999"]) expect(parseSeeds(text)).toBeNull();
});

test("sumSeries() is broken by a run that broke a promise and by one without a report", () => {
  const outcomes: SeedOutcome[] = [
    { type: "report", seed: 1, report: GOOD },
    { type: "report", seed: 2, report: BAD },
    { type: "failed", seed: 3, why: "did not end in time" },
  ];
  const sum = sumSeries(outcomes);
  expect(sum).toMatchObject({
    ok: false,
    seeds: 3,
    broken: [2, 3],
    published: 2000,
    lost: 4,
    leastPerSecond: 700,
  });
  expect(sum.faults).toEqual({ "link cut": 3, "server killed": 5 });
  expect(sumSeries(outcomes.slice(0, 1)).ok).toBe(true);
  expect(sumSeries([]).ok).toBe(false);
  const text = renderSeries(outcomes, sum);
  expect(text).toContain("4 lost");
  expect(text).toContain("did not end in time");
  expect(text).toContain("     5  server killed");
});

test("renderReport() shows a seed, the first event of a problem, and what was done around it", () => {
  const text = renderReport(BAD);
  expect(text).toContain(
    "lost: 4 of berlin.acme at tokyo, the first is event 7 at position 8, published at 2.5 s",
  );
  expect(text).toContain("  2.4 s SIGKILL of the server of berlin");
  expect(text).toContain("bun run fault --seed 2");
});

test("runSeries() goes on after a run that ends without a report", async () => {
  const program = `const seed = Number(process.argv[process.argv.indexOf("--seed") + 1]);
    if (seed === 2) process.exit(3);
    console.log(JSON.stringify({ ...${JSON.stringify(GOOD)}, seed }));`;
  await using folder = await tempFolder();
  const script = join(folder.path, "run.mjs");
  await writeFile(script, program);
  const outcomes = await runSeries({
    seeds: [1, 2, 3],
    minutes: 1,
    command: [process.execPath, script],
    log: () => {},
  });
  expect(outcomes.map((one) => one.type)).toEqual(["report", "failed", "report"]);
  expect(sumSeries(outcomes).broken).toEqual([2]);
}, 30_000);
