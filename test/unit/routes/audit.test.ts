import { describe, expect, test } from "bun:test";
import { problemOf, testApi } from "./api_support.ts";

const TENANT = {
  limits: { storage: "1GiB" },
  users: [{ name: "app", key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4" }],
};

describe("the audit trail behind the API", () => {
  test("hears of a change before it is made: who, what was asked, and how it ended", async () => {
    const { call, control } = testApi();
    expect((await call("PUT", "/v1/tenants/acme?wait=true", TENANT)).status).toBe(201);
    expect(control.changes).toMatchObject([
      {
        change: {
          operation: "PUT",
          target: "/v1/tenants/acme",
          asked: { query: { wait: "true" }, body: TENANT },
          by: { who: { name: "bootstrap", role: "operator" } },
        },
        result: "201",
      },
    ]);
    await call("PUT", "/v1/tenants/acme", "{");
    expect(control.changes[1]).toMatchObject({ change: { asked: { body: { omitted: "no JSON" } } } });
    await call("DELETE", "/v1/tenants/nobody");
    expect(control.changes[2]?.result).toBe("404 not_found");
  });

  test("does not hear of what changes nothing", async () => {
    const { call, control } = testApi();
    await call("GET", "/v1/site");
    await call("POST", "/v1/explain", { tenant: "acme", subject: "acme.x" });
    expect(control.changes).toEqual([]);
  });

  test("keeps a change from being made when it cannot hear of it", async () => {
    const { call, control } = testApi();
    control.auditable = false;
    for (const [method, path, body] of [
      ["PUT", "/v1/tenants/acme", TENANT],
      ["POST", "/v1/apply", undefined],
      ["POST", "/v1/tenants/acme/keys/pseudonym", undefined],
      ["POST", "/v1/tenants/acme/dlq/drop", { all: true }],
    ] as const) {
      const response = await call(method, path, body);
      expect([path, response.status, (await problemOf(response)).code]).toEqual([
        path,
        503,
        "audit_unavailable",
      ]);
    }
    expect(control.calls).toEqual([]);
  });

  test("is not waited for by what takes away what somebody may do", async () => {
    const { call, control } = testApi();
    await call("POST", "/v1/peers/tokyo/revoke");
    await call("DELETE", "/v1/tokens/000000000000");
    await call("DELETE", "/v1/invitations/0000000000000000");
    await call("DELETE", "/v1/peers/tokyo");
    expect(control.changes.map(({ change }) => change.cuts ?? false)).toEqual([true, true, true, false]);
  });

  test("hears of refusals, with what was asked for and never a token", async () => {
    const { app, control } = testApi();
    await app.request(
      "/v1/tenants",
      { headers: { authorization: "Bearer wrong-token-wrong" } },
      { address: "10.1.2.3" },
    );
    await app.request("/metrics");
    await app.request("/v1/apply", { method: "POST" });
    expect(control.denials).toEqual([
      { who: null, from: "10.1.2.3", operation: "GET", target: "/v1/tenants", result: "unauthorized" },
      { who: null, from: null, operation: "GET", target: "/metrics", result: "unauthorized" },
      { who: null, from: null, operation: "POST", target: "/v1/apply", result: "unauthorized" },
    ]);
    expect(control.changes).toEqual([]);
    expect(JSON.stringify(control.denials)).not.toContain("wrong-token");
  });

  test("is listed by filters and exported as lines", async () => {
    const { call, control } = testApi();
    const query = "since=2026-01-01T00:00:00Z&who=ada&target=acme&type=denial&after=3&limit=5";
    expect(await (await call("GET", `/v1/audit?${query}`)).json()).toMatchObject({
      items: [],
      next: null,
      head: { seq: 7 },
    });
    expect(control.calls).toEqual([
      `audit ${JSON.stringify({ after: 3, limit: 5, sinceMs: Date.UTC(2026, 0, 1), who: "ada", target: "acme", type: "denial" })}`,
    ]);
    const response = await call("GET", "/v1/audit/export");
    expect(response.headers.get("content-type")).toBe("application/jsonl");
    expect(await response.text()).toBe('{"seq":1}\n{"seq":2}\n');
    expect((await call("GET", "/v1/audit?since=yesterday")).status).toBe(400);
    expect((await call("GET", "/v1/audit?limit=0")).status).toBe(400);
  });

  test("hears the hash of an event's id, and never the id", async () => {
    const { call, control } = testApi();
    control.seed({ type: "tenant", tenant: "acme" }, {});
    const body = { subject: "acme.orders.x", id: "ada@example.net" };
    expect((await call("POST", "/v1/tenants/acme/erasures", body)).status).toBe(202);
    expect(control.calls).toEqual([
      `erase ${JSON.stringify({ subject: "acme.orders.x", dryRun: false, id: body.id })}`,
    ]);
    const told = JSON.stringify(control.changes);
    expect(told).toContain("sha256:");
    expect(told).not.toContain("ada@");
    for (const wrong of [
      { subject: "acme.x" },
      { subject: "globex.x", all: true },
      { subject: "acme..", all: true },
    ]) {
      expect((await call("POST", "/v1/tenants/acme/erasures", wrong)).status).toBe(400);
    }
  });
});
