import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { problemOf, TOKEN, testApi } from "./api_support.ts";
import { ROLE_TOKENS } from "./fake_tokens.ts";

describe("the bearer token", () => {
  test.each(["/v1/site", "/v1/tenants", "/v1/no-such", "/v1", "/metrics"])(
    "is asked for at %s",
    async (path) => {
      const { app, control } = testApi();
      for (const authorization of [undefined, "Basic dTpw", "Bearer", "Bearer wrong", `bearer ${TOKEN}x`]) {
        const response = await app.request(
          path,
          authorization === undefined ? {} : { headers: { authorization } },
        );
        expect(response.status).toBe(401);
        expect(response.headers.get("www-authenticate")).toBe('Bearer realm="leafmesh"');
        expect((await problemOf(response)).code).toBe("unauthorized");
      }
      expect(control.calls).toEqual([]);
    },
  );

  test.each(["/healthz", "/readyz", "/openapi.json", "/"])("is not asked for at %s", async (path) => {
    expect((await testApi().app.request(path)).status).toBe(200);
  });

  test("is not asked for at /metrics when that is switched on", async () => {
    const response = await testApi({ openMetrics: true }).app.request("/metrics");
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/plain; version=0.0.4; charset=utf-8",
    ]);
  });

  test("is in no answer and in no log line", async () => {
    const { app, logged } = testApi();
    const response = await app.request("/v1/tenants/acme", {
      method: "PUT",
      headers: { authorization: "Bearer secret-candidate" },
    });
    expect(`${await response.text()} ${logged.join()}`).not.toContain("secret-candidate");
    expect(logged).toEqual([
      'warn token refused {"method":"PUT","path":"/v1/tenants/acme","why":"wrong","from":""}',
    ]);
  });
});

describe("requests that no operation takes", () => {
  test("an unknown path is a 404 problem", async () => {
    const found = await problemOf(await testApi().call("GET", "/v1/tenats"));
    expect(found).toMatchObject({ code: "not_found", detail: "There is no /v1/tenats: see /openapi.json" });
  });

  test("another method is a 405 problem with Allow", async () => {
    const { call } = testApi();
    const response = await call("PATCH", "/v1/tenants/acme", {});
    expect([response.status, response.headers.get("allow")]).toEqual([405, "DELETE, GET, HEAD, PUT"]);
    expect((await problemOf(response)).code).toBe("request_invalid");
    expect((await call("OPTIONS", "/v1/apply")).headers.get("allow")).toBe("POST");
  });

  test("another content type is a 415 problem", async () => {
    const response = await testApi().call("PUT", "/v1/tenants/acme", "log: true", {
      "content-type": "text/yaml",
    });
    expect(response.status).toBe(415);
    expect(await problemOf(response)).toMatchObject({
      code: "request_invalid",
      detail: "Content-Type is 'text/yaml', expected application/json",
    });
  });

  test.each([
    ["no body", undefined],
    ["broken JSON", "{"],
    ["a list", "[]"],
    ["null", "null"],
  ])("%s where a document is wanted is a 400 problem", async (_, body) => {
    const { call, control } = testApi();
    const response = await call("PUT", "/v1/tenants/acme", body);
    expect([response.status, (await problemOf(response)).code]).toEqual([400, "request_invalid"]);
    expect(control.calls).toEqual([]);
  });

  test("an empty stream without headers, as Deno gives it for no body, is no document", async () => {
    const { app, control } = testApi();
    const request = new Request("http://x/v1/tenants/acme", {
      method: "PUT",
      headers: { authorization: `Bearer ${TOKEN}` },
      body: new Blob([]).stream(),
    });
    request.headers.delete("content-type");
    expect((await problemOf(await app.request(request))).code).toBe("request_invalid");
    expect(control.calls).toEqual([]);
  });

  test("a body of more than 1 MiB is a 413 problem, with and without its length", async () => {
    const { app, call } = testApi();
    const big = JSON.stringify({ users: "x".repeat(1 << 20) });
    expect((await problemOf(await call("PUT", "/v1/tenants/acme", big))).code).toBe("too_large");
    const stream = new Blob([big]).stream();
    const request = new Request("http://x/v1/tenants/acme", {
      method: "PUT",
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      body: stream,
      duplex: "half",
    } as RequestInit);
    expect((await problemOf(await app.request(request))).code).toBe("too_large");
  });
});

describe("answers", () => {
  test("carry headers that keep browsers out, and no CORS", async () => {
    const { headers } = await testApi().call("GET", "/v1/site", undefined, {
      origin: "https://evil.example",
    });
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("content-security-policy")).toBe("default-src 'none'; frame-ancestors 'none'");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("strict-transport-security")).toBeNull();
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("access-control-allow-origin")).toBeNull();
  });

  test("to a failure that nobody foresaw say nothing of it; the log does", async () => {
    const { call, control, logged } = testApi();
    Object.assign(control, { site: () => Promise.reject(new Error("socket of nats://me:pw@h broke")) });
    const response = await call("GET", "/v1/site");
    expect(response.status).toBe(500);
    expect(await problemOf(response)).toEqual({
      code: "internal",
      detail: "Unexpected failure: the sidecar's log has the details",
      problems: [],
    });
    expect(logged[0]).toContain("socket of nats://<hidden>@h broke");
  });

  test("to a known failure carry its code, status and problems", async () => {
    const { call, control } = testApi();
    const problems = [{ path: "exports[0].to", message: "'tokyo' is no peer", line: 7 }];
    Object.assign(control, {
      plan: () => Promise.reject(new LeafmeshError("policy_invalid", "No.", { problems })),
    });
    const response = await call("GET", "/v1/plan");
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({
      code: "policy_invalid",
      title: "Policy is not valid",
      problems,
    });
  });
});

describe("the log", () => {
  test("has one line for each change, none for reading or explaining", async () => {
    const { call, logged } = testApi();
    await call("PUT", "/v1/tenants/acme", { log: false });
    await call("GET", "/v1/tenants/acme");
    await call("POST", "/v1/explain", { subject: "acme.x" });
    await call("POST", "/v1/apply");
    expect(logged.map((line) => line.replace(/"ms":\d+/, '"ms":0'))).toEqual([
      'info api change {"method":"PUT","path":"/v1/tenants/acme","status":201,"ms":0}',
      'info api change {"method":"POST","path":"/v1/apply","status":200,"ms":0}',
    ]);
  });
});

describe("/readyz", () => {
  test("is 503 when the site is not ready, and tells why with a token of the whole site", async () => {
    const { app, call, control } = testApi();
    control.isReady = false;
    const response = await app.request("/readyz");
    expect(response.status).toBe(503);
    const hidden = { ready: false, reasons: ["the reasons are told with a token"] };
    expect(await response.json()).toEqual(hidden);
    expect(await (await call("GET", "/readyz")).json()).toEqual({
      ready: false,
      reasons: ["nats-server is down"],
    });
    const authorization = `Bearer ${ROLE_TOKENS.acme}`;
    expect(await (await call("GET", "/readyz", undefined, { authorization })).json()).toEqual(hidden);
  });
});

describe("a POST without a body", () => {
  test.each([
    "/v1/lint",
    "/v1/explain",
    "/v1/tenants/acme/exports/orders/diff",
    "/v1/tenants/acme/schemas/order/check",
    "/v1/tenants/acme/dlq/drop",
    "/v1/tenants/acme/dlq/redrives",
  ])("to %s is told so", async (path) => {
    const { app, logged } = testApi();
    const headers = { authorization: `Bearer ${TOKEN}` };
    const response = await app.request(path, { method: "POST", headers });
    expect([response.status, (await problemOf(response)).detail]).toEqual([
      400,
      "The body is missing, or no JSON: send it as application/json",
    ]);
    expect(logged.filter((line) => line.includes("failed"))).toEqual([]);
  });
});
