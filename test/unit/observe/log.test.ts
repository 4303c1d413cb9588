import { describe, expect, test } from "bun:test";
import { createLog } from "../../../src/observe/log.ts";

function written(format: "text" | "json", ...entry: Parameters<ReturnType<typeof createLog>>): string {
  const lines: string[] = [];
  const log = createLog({
    format,
    write: (line) => lines.push(line),
    now: () => new Date("2026-01-02T03:04:05.678Z"),
    site: "berlin",
  });
  log(...entry);
  expect(lines).toHaveLength(1);
  return lines[0] ?? "";
}

describe("createLog()", () => {
  test("writes time, level, site, part and message when it is for people", () => {
    expect(written("text", "warn", "nats", "slow consumer")).toBe(
      "2026-01-02T03:04:05.678Z WARN  berlin nats: slow consumer\n",
    );
  });

  test("writes one JSON object when it is for machines", () => {
    expect(JSON.parse(written("json", "info", "api", 'say "hi"'))).toEqual({
      time: "2026-01-02T03:04:05.678Z",
      level: "info",
      site: "berlin",
      part: "api",
      message: 'say "hi"',
    });
  });

  test("keeps an entry on one line, whatever it quotes", () => {
    for (const format of ["text", "json"] as const) {
      const line = written(format, "error", "view", "one\r\ntwo\nthree");
      expect(line.trimEnd()).not.toMatch(/[\r\n]/);
      expect(line).toContain("one two three");
    }
  });
});
