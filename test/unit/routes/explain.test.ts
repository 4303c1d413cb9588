import { describe, expect, test } from "bun:test";
import { problemOf, testApi } from "./api_support.ts";

function api() {
  const made = testApi();
  made.control.seed({ type: "tenant", tenant: "acme" }, {});
  return made;
}

describe("explain", () => {
  test.each([
    ["data", { customer: { id: 1 } }, '{"customer":{"id":1}}'],
    ["data", null, "null"],
    ["dataText", "1.0e2 \u00e9", "1.0e2 \u00e9"],
    ["dataBase64", "AP8=", "\u0000\u00ff"],
  ])("takes the payload as %s: %j", async (field, payload, bytes) => {
    const { call, control } = api();
    const body = {
      subject: "acme.orders.created",
      headers: { region: "EU", tag: ["a", "b"] },
      [field]: payload,
    };
    expect((await call("POST", "/v1/explain", body)).status).toBe(200);
    const encoding = field === "dataBase64" ? "latin1" : "utf8";
    expect(Buffer.from(control.explained?.data ?? []).toString(encoding)).toBe(bytes);
    expect(control.explained?.headers).toEqual({ region: "EU", tag: ["a", "b"] });
  });

  test("takes no payload as an empty one, and an origin", async () => {
    const { call, control } = api();
    await call("POST", "/v1/tenants/acme/explain", { subject: "acme.x", origin: "tokyo" });
    expect(control.explained).toEqual({
      subject: "acme.x",
      headers: {},
      data: new Uint8Array(),
      origin: "tokyo",
    });
  });

  test("shows what the peer would get as text, or in base64 where it is none", async () => {
    const { call, control } = api();
    const peer = {
      peer: "tokyo",
      policy: "eu",
      kind: "view",
      outcome: "forward",
      rule: "#1",
      reason: "rule #1 matched",
      steps: [{ rule: "#1", outcome: "matched" }],
      accepted: "yes",
    } as const;
    const result = (data: Uint8Array) => ({ subject: "acme.x", headers: { a: ["b"] }, data, redactions: 1 });
    control.peers = [
      { ...peer, result: result(new TextEncoder().encode("\ufeff{é}")) },
      { ...peer, result: result(Uint8Array.of(0xff, 0)) },
      { ...peer, outcome: "drop", result: null },
    ];
    const report = await (await call("POST", "/v1/explain", { subject: "acme.x" })).json();
    expect(report.peers.map((one: { result: unknown }) => one.result)).toEqual([
      { subject: "acme.x", headers: { a: ["b"] }, dataText: "\ufeff{é}", redactions: 1 },
      { subject: "acme.x", headers: { a: ["b"] }, dataBase64: "/wA=", redactions: 1 },
      null,
    ]);
    expect(report.peers[0]).toMatchObject(peer);
  });

  test.each<[string, object, string]>([
    ["a pattern", { subject: "acme.*" }, "subject: 'acme.*' is no subject: it has a wildcard"],
    [
      "no tenant",
      { subject: "acme" },
      "subject: 'acme' has no tenant as its first token (expected for example acme.orders.created)",
    ],
    [
      "two payloads",
      { subject: "acme.x", data: 1, dataText: "" },
      "dataText: give only one of data, dataText",
    ],
    ["broken base64", { subject: "acme.x", dataBase64: "%" }, "dataBase64: Invalid base64-encoded string"],
    [
      "a header of two lines",
      { subject: "acme.x", headers: { a: "b\r\nc" } },
      "headers.a: 'b\r\nc' has a line break or NUL",
    ],
  ])("refuses %s", async (_, body, told) => {
    expect((await problemOf(await api().call("POST", "/v1/explain", body))).problems).toEqual([told]);
  });

  test("refuses a subject of another tenant, and a tenant that is not there", async () => {
    const { call } = api();
    const other = await problemOf(await call("POST", "/v1/tenants/acme/explain", { subject: "bolt.x" }));
    expect(other.problems).toEqual(["subject: 'bolt.x' is no subject of tenant 'acme' (expected acme.…)"]);
    expect((await problemOf(await call("POST", "/v1/explain", { subject: "bolt.x" }))).code).toBe(
      "not_found",
    );
  });
});

describe("dead letters", () => {
  test("come in pages", async () => {
    const { call, control } = api();
    const page = await (await call("GET", "/v1/tenants/acme/dlq?after=41&limit=5")).json();
    expect([page.items[0].sequence, page.next]).toEqual([42, null]);
    await call("GET", "/v1/tenants/acme/dlq");
    expect(control.calls).toEqual(["dlq after 41 limit 5", "dlq after 0 limit 100"]);
  });

  test.each(["limit=0", "limit=1001", "limit=x", "after=-1", "after=1.5", "foo=1"])(
    "refuse ?%s",
    async (query) => {
      const response = await api().call("GET", `/v1/tenants/acme/dlq?${query}`);
      expect((await problemOf(response)).code).toBe("request_invalid");
    },
  );
});

describe("keys", () => {
  test("are listed by their ids, and a new one is made at the site", async () => {
    const { call, control } = api();
    expect(await (await call("GET", "/v1/tenants/acme/keys")).json()).toEqual({
      items: [
        { kind: "pseudonym", id: "newer-id", active: true },
        { kind: "pseudonym", id: "older-id", active: false },
      ],
    });
    const made = await call("POST", "/v1/tenants/acme/keys/encrypt");
    expect([made.status, await made.json()]).toEqual([
      201,
      { kind: "encrypt", id: "made-now", active: true },
    ]);
    expect(control.calls).toEqual(["rotate encrypt of acme"]);
  });

  test("of a kind or a tenant that is not there are refused", async () => {
    const { call, control } = api();
    const kind = await problemOf(await call("POST", "/v1/tenants/acme/keys/site"));
    expect([kind.code, JSON.stringify(kind)]).toEqual([
      "request_invalid",
      expect.stringContaining("expected 'pseudonym' or 'encrypt'"),
    ]);
    expect((await problemOf(await call("POST", "/v1/tenants/nobody/keys/encrypt"))).code).toBe("not_found");
    expect((await problemOf(await call("GET", "/v1/tenants/nobody/keys"))).code).toBe("not_found");
    expect(control.calls).toEqual([]);
  });
});

describe("reports", () => {
  test("pass as they are", async () => {
    const { call, control } = api();
    expect(await (await call("GET", "/v1/site")).json()).toEqual({ ...(await control.site()) });
    expect(await (await call("GET", "/v1/plan")).json()).toEqual({ ...(await control.plan()) });
    expect(await (await call("GET", "/v1/links")).json()).toEqual({ items: [] });
    expect(await (await call("POST", "/v1/apply")).json()).toEqual({
      revision: 1,
      applied: [],
      failed: [],
      converged: true,
    });
  });
});
