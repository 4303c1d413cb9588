/** The soak in short: half a minute with a peer away; its hour is `bun run soak`. */
import { expect, test } from "bun:test";
import { memoryOf, runSoak } from "../support/soak/run.ts";

test("while a peer is away the sidecar's memory stays small, and when it returns all arrives", async () => {
  const report = await runSoak({
    minutes: 0.2,
    rate: 1000,
    warmUpSeconds: 5,
    sampleMs: 300,
    sync: "1s",
    bareEvents: 20_000,
    bareRuns: 1,
    log: () => {},
  });
  const told = JSON.stringify(report);
  expect(report.lost, told).toBe(0);
  expect(report.catchUp.events, told).toBeGreaterThanOrEqual(report.published);
  expect(report.memory.samples, told).toBeGreaterThan(20);
  // So short after its start a process still grows into its code; a backlog in memory would be far more.
  expect(report.memory.growth, told).toBeLessThan(2);
  expect(report.memory.mostBytes, told).toBeLessThan(768 * 1024 ** 2);
  expect(report.catchUp.ratio, told).toBeGreaterThan(0.1);
}, 300_000);

test("the medians of the first and the last quarter are compared", () => {
  expect(memoryOf([1, 2, 3, 50, 60, 70, 80, 4, 4, 4, 99, 4])).toMatchObject({
    firstQuarterBytes: 2,
    lastQuarterBytes: 4,
    mostBytes: 99,
    growth: 2,
  });
});
