import { describe, expect, test } from "bun:test";
import { problemOf, type TestApi, testApi } from "./api_support.ts";

function api(): TestApi {
  const made = testApi();
  made.control.seed({ type: "tenant", tenant: "acme" }, {});
  return made;
}
const DLQ = "/v1/tenants/acme/dlq";

describe("the list of dead letters", () => {
  test("takes a filter", async () => {
    const { call, control } = api();
    const query =
      "reason=header_invalid&rule=%231&policy=eu&subject=acme.orders.*&since=2026-01-02T03:04:05Z";
    expect((await call("GET", `${DLQ}?${query}`)).status).toBe(200);
    expect(control.calls).toEqual([
      `dlq after 0 limit 100 reason header_invalid rule #1 policy eu subject acme.orders.* sinceMs ${Date.parse("2026-01-02T03:04:05Z")}`,
    ]);
  });

  test.each([
    ["limit=", "'' is no whole number (expected digits)"],
    ["limit=0x10", "'0x10' is no whole number (expected digits)"],
    ["limit=1e2", "'1e2' is no whole number (expected digits)"],
    ["limit=1001", "1001 is out of range, expected at most 1000"],
    ["after=-1", "'-1' is no whole number (expected digits)"],
    ["reason=No-Reason", "'No-Reason' is no reason (expected for example payload_not_json)"],
    ["policy=EU", "'EU' must be a lower-case letter, then up to 31 of a-z, 0-9 and '-'"],
    ["subject=acme..x", "'acme..x' is no subject pattern: it has an empty token"],
    ["since=yesterday", "'yesterday' is no time (expected RFC 3339, or for example 15m for 15 minutes ago)"],
    [
      "since=2026-01-02",
      "'2026-01-02' is no time (expected RFC 3339, or for example 15m for 15 minutes ago)",
    ],
  ])("refuses ?%s", async (query, message) => {
    const { code, problems } = await problemOf(await api().call("GET", `${DLQ}?${query}`));
    expect([code, ...problems]).toEqual(["request_invalid", `${query.split("=")[0]}: ${message}`]);
  });
});

describe("one dead letter", () => {
  test("shows its payload only when it is asked for", async () => {
    const { call, control } = api();
    const plain = await (await call("GET", `${DLQ}/17`)).json();
    expect(plain).toMatchObject({ sequence: 17, headers: { region: ["EU"] }, truncated: false });
    expect(JSON.stringify(plain)).not.toContain("raw");
    expect(await (await call("GET", `${DLQ}/17?payload=true`)).json()).toMatchObject({
      payloadText: '{"raw":1}',
    });
    expect(await (await call("GET", `${DLQ}/98?payload=true`)).json()).toMatchObject({
      payloadBase64: "/w==",
    });
    expect(control.calls).toEqual([
      "dlq show 17 payload false",
      "dlq show 17 payload true",
      "dlq show 98 payload true",
    ]);
  });

  test("is dropped", async () => {
    const { call } = api();
    expect((await call("DELETE", `${DLQ}/17`)).status).toBe(204);
    expect((await problemOf(await call("DELETE", `${DLQ}/100`))).code).toBe("not_found");
  });

  test.each(["0", "-1", "1.5", "x"])("refuses sequence %s", async (sequence) => {
    for (const method of ["GET", "DELETE"]) {
      const problem = await problemOf(await api().call(method, `${DLQ}/${sequence}`));
      expect(problem.code).toBe("request_invalid");
    }
  });
});

describe("a drop and a redrive", () => {
  test("want to be told which, and do it", async () => {
    const { call, control } = api();
    expect(await (await call("POST", `${DLQ}/drop`, { all: true, dryRun: true })).json()).toEqual({
      dropped: 3,
      dryRun: true,
    });
    const started = await call("POST", `${DLQ}/redrives`, { subject: "acme.>", rate: 7 });
    expect(started.status).toBe(202);
    const { id } = await started.json();
    await call("POST", `${DLQ}/redrives`, { sequence: 5, dryRun: true });
    expect(control.calls).toEqual([
      "dlq drop dry true",
      "dlq redrive - subject acme.> dry false rate 7",
      "dlq redrive 5 dry true rate 500",
    ]);
    expect(await (await call("GET", `${DLQ}/redrives/${id}`)).json()).toMatchObject({ state: "running" });
    expect(await (await call("GET", `${DLQ}/redrives/${id}?wait=true`)).json()).toMatchObject({
      state: "done",
      samples: [{ outcome: "keep" }],
    });
    expect(await (await call("DELETE", `${DLQ}/redrives/${id}`)).json()).toMatchObject({ state: "canceled" });
    expect((await (await call("GET", `${DLQ}/redrives`)).json()).items).toHaveLength(2);
    expect((await problemOf(await call("GET", `${DLQ}/redrives/nope`))).code).toBe("not_found");
    expect((await problemOf(await call("POST", "/v1/tenants/other/dlq/drop", { all: true }))).code).toBe(
      "not_found",
    );
  });

  const none = ": select what is meant: by sequence, reason, rule, policy, subject or since; or all: true";
  test.each([
    ["drop", {}, none],
    ["redrives", { dryRun: true, rate: 5 }, none],
    ["drop", { all: true, reason: "header_invalid" }, "all: stands alone: give no filter beside it"],
    ["redrives", { sequence: 3, policy: "eu" }, "sequence: stands alone: give no filter beside it"],
    ["drop", { all: false }, "all"],
    ["drop", { sequence: 3 }, "sequence"],
    ["redrives", { all: true, rate: 0 }, "rate"],
    ["redrives", { all: true, rate: 10_001 }, "rate"],
    ["redrives", { all: true, rate: 1.5 }, "rate: 1.5 is a number with a fraction, expected a whole number"],
    ["redrives", { sequence: 0 }, "sequence"],
  ])("%s refuses %j", async (what, body, told) => {
    const { call, control } = api();
    const problem = await problemOf(await call("POST", `${DLQ}/${what}`, body));
    expect([problem.code, control.calls]).toEqual(["request_invalid", []]);
    expect(problem.problems.join()).toStartWith(told);
  });
});
