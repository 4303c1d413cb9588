/** The result of a run, for people. */
import type { DemoReport } from "./once.ts";

/** What was published, what came where, what was held back, and the verdict. */
export function summaryOf(report: DemoReport): string {
  const { delivered, latencyMs } = report;
  const rows: readonly (readonly [string, string])[] = [
    ["published", `${report.published} events, all but the last in ${report.burstMs} ms`],
    ...Object.entries(delivered).map(([site, count]) => [`at ${site}`, `${count} remote events`] as const),
    ["redacted", `${report.redacted} events arrived with values masked, replaced or removed`],
    ["headers dropped", `${report.headersDropped} events arrived without their internal headers`],
    ["denied", `${report.denied} events by a rule, seen at no other site`],
    ["kept", `${report.kept} events on private subjects, seen at no other site`],
    ["quarantined", `${report.quarantined} dead letters, read over the API`],
    ["duplicates", `${report.duplicatesStopped} stopped where they were published`],
    ["latency", `p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, publish to remote subscriber`],
    ["leaks", String(report.leaks)],
    ["echoes", String(report.echoes)],
    ["reordered", String(report.reordered)],
    ["altered", String(report.altered)],
    ["missing", String(report.missing)],
  ];
  const table = rows.map(([name, text]) => `  ${name.padEnd(16)} ${text}\n`).join("");
  const problems = report.problems.map((problem) => `  ${problem}\n`).join("");
  return report.ok ? `${table}all as it should be\n` : `${table}not as it should be:\n${problems}`;
}
