import { describe, expect, test } from "bun:test";
import { apiLog, viewReport } from "../../../src/sidecar/adapters.ts";
import { lintSiteFile } from "../../../src/sidecar.ts";

describe("lintSiteFile()", () => {
  const file = (lines: readonly string[]) => lines.join("\n");

  test("finds nothing in a site file that can be started", () => {
    expect(lintSiteFile(file(["site: berlin", "tenants:", "  - tenant: acme"]), "site.yaml")).toEqual([]);
  });

  test("says line and column of what the schema does not know", () => {
    expect(lintSiteFile(file(["site: berlin", "tennants: []"]), "site.yaml")).toMatchObject([
      { path: "tennants", line: 2, column: 1 },
    ]);
  });

  test("says line and column of what contradicts itself", () => {
    const problems = lintSiteFile(
      file([
        "site: berlin",
        "tenants:",
        "  - tenant: berlin",
        "    exports:",
        "      - { name: all, to: [austin], rules: [{ subjects: [berlin.>] }] }",
      ]),
      "site.yaml",
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
    expect(lintSiteFile("site: [", "site.yaml")[0]).toMatchObject({ line: 1 });
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
      missed: 6,
      lastError: null,
    } as unknown as Parameters<typeof viewReport>[0];
    expect(viewReport(stats)).toEqual({
      state: "running",
      version: "v",
      position: 5,
      forwarded: 1,
      redacted: 2,
      denied: 7,
      quarantined: 5,
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
