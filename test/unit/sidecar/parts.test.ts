import { describe, expect, test } from "bun:test";
import { apiLog, viewReport } from "../../../src/sidecar/adapters.ts";
import { lintFiles } from "../../../src/sidecar.ts";

describe("lintFiles() of one site", () => {
  const file = (lines: readonly string[]) => lines.join("\n");
  const lint = (text: string) => lintFiles([{ name: "site.yaml", text }]).findings;

  test("finds nothing in a site file that can be started", () => {
    expect(lint(file(["site: berlin", "tenants:", "  - tenant: acme"]))).toEqual([]);
  });

  test("says line and column of what the schema does not know", () => {
    expect(lint(file(["site: berlin", "tennants: []"]))).toMatchObject([
      { path: "tennants", line: 2, column: 1 },
    ]);
  });

  test("says line and column of what contradicts itself", () => {
    const problems = lint(
      file([
        "site: berlin",
        "tenants:",
        "  - tenant: berlin",
        "    exports:",
        "      - { name: all, to: [austin], rules: [{ subjects: [berlin.>] }] }",
      ]),
    );
    expect(problems).toMatchObject([
      { path: "tenants[0].tenant", line: 3, column: 13 },
      {
        path: "tenants[0].exports[0].to[0]",
        line: 5,
        message: expect.stringContaining("'austin' is no peer"),
      },
    ]);
  });

  test("says where the YAML is broken", () => {
    expect(lint("site: [")[0]).toMatchObject({ line: 1 });
  });
});

describe("viewReport()", () => {
  test("counts as denied what a rule denies and what no rule matches", () => {
    const stats = {
      state: "running",
      version: "v",
      position: 5,
      forwarded: 1,
      redacted: 2,
      redactedValues: 9,
      denied: 3,
      noRule: 4,
      quarantined: 5,
      reasons: {},
      redriven: 0,
      limited: 0,
      deferredMs: 0,
      deferral: null,
      waiting: 0,
      missed: 6,
      lastError: null,
    } as unknown as Parameters<typeof viewReport>[0];
    expect(viewReport(stats, "b")).toEqual({
      member: "b",
      state: "running",
      version: "v",
      position: 5,
      forwarded: 1,
      redacted: 2,
      denied: 7,
      quarantined: 5,
      reasons: {},
      redriven: 0,
      limited: 0,
      deferredMs: 0,
      deferral: null,
      waiting: 0,
      missed: 6,
      lastError: null,
    });
  });
});

describe("apiLog()", () => {
  test("writes fields behind the message, under the part api", () => {
    const entries: unknown[] = [];
    const log = apiLog((...entry) => void entries.push(entry));
    log.info("api change", { method: "PUT", status: 200 });
    log.error("request failed", {});
    expect(entries).toEqual([
      ["info", "api", "api change method=PUT status=200"],
      ["error", "api", "request failed"],
    ]);
  });
});
