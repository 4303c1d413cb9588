import { describe, expect, test } from "bun:test";
import { jsonProblem } from "../../../routes/limits/json_text.ts";
import { TokenBuckets } from "../../../routes/limits/token_bucket.ts";
import { problemOf, TOKEN, testApi } from "./api_support.ts";
import { ROLE_TOKENS } from "./fake_tokens.ts";

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe("TokenBuckets", () => {
  test("lets a burst pass, then as many as the rate says", () => {
    let now = 0;
    const buckets = new TokenBuckets({ perSecond: 2, burst: 3 }, () => now);
    expect([1, 2, 3, 4].map(() => buckets.take("a"))).toEqual([0, 0, 0, 500]);
    expect(buckets.take("b")).toBe(0);
    now = 500;
    expect([buckets.take("a"), buckets.take("a")]).toEqual([0, 500]);
    now = 1e9;
    expect([1, 2, 3, 4].map(() => buckets.take("a"))).toEqual([0, 0, 0, 500]);
  });
});

describe("requests", () => {
  test("of one principal beyond its rate are told when to come again; those of others pass", async () => {
    const { app } = testApi({ limits: { perPrincipal: { perSecond: 0.1, burst: 2 } } });
    const get = (token: string) => app.request("/v1/site", bearer(token));
    expect([(await get(TOKEN)).status, (await get(TOKEN)).status]).toEqual([200, 200]);
    const refused = await get(TOKEN);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "10"]);
    expect((await problemOf(refused)).code).toBe("rate_limited");
    expect((await get(ROLE_TOKENS.viewer)).status).toBe(200);
  });

  test("without a token are counted by address, of IPv6 by network", async () => {
    const { app } = testApi({ limits: { perAddress: { perSecond: 0.1, burst: 1 } } });
    const get = async (address: string, headers: Record<string, string> = {}) =>
      (await app.request("/healthz", { headers }, { address })).status;
    expect([await get("10.0.0.1"), await get("10.0.0.1"), await get("10.0.0.2")]).toEqual([200, 429, 200]);
    expect(await get("::ffff:10.0.0.1", { "x-forwarded-for": "1.2.3.4" })).toBe(429);
    expect([await get("2001:db8::1"), await get("2001:db8:0:0:5::9"), await get("2001:db8:0:1::1")]).toEqual([
      200, 429, 200,
    ]);
  });

  test("with wrong tokens run into a limit of their own, which locks nobody out", async () => {
    const { app, logged } = testApi({ limits: { failures: { perSecond: 0.1, burst: 3 } } });
    const get = async (token: string, address: string) =>
      (await app.request("/v1/site", bearer(token), { address })).status;
    const tries = [];
    for (let i = 0; i < 6; i += 1) tries.push(await get(`wrong-${i}`, "10.0.0.1"));
    expect(tries).toEqual([401, 401, 401, 429, 429, 429]);
    expect(logged.length).toBe(3);
    expect([await get(TOKEN, "10.0.0.1"), await get("wrong", "10.0.0.2")]).toEqual([200, 401]);
  });

  test("that are under way are bounded, of one and of all", async () => {
    const { app, control } = testApi({ limits: { concurrentPerPrincipal: 1, concurrent: 2 } });
    const gate = Promise.withResolvers<void>();
    const plan = control.plan;
    Object.assign(control, { plan: () => gate.promise.then(plan) });
    const get = (token: string) => app.request("/v1/plan", bearer(token));
    const first = get(TOKEN);
    expect((await get(TOKEN)).status).toBe(429);
    const second = get(ROLE_TOKENS.viewer);
    expect((await get(ROLE_TOKENS.auditor)).status).toBe(429);
    gate.resolve();
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
    expect((await get(TOKEN)).status).toBe(200);
  });

  test("end when their token does", async () => {
    const { app, control, tokens } = testApi();
    Object.assign(control, { plan: () => new Promise(() => {}) });
    const open = app.request("/v1/plan", bearer(ROLE_TOKENS.viewer));
    await Bun.sleep(10);
    tokens.end(ROLE_TOKENS.viewer);
    expect(await problemOf(await open)).toMatchObject({ detail: "The token was revoked, or has expired" });
  });

  test("for another host are refused where the hosts are known", async () => {
    const { app } = testApi({ knowsHost: (host) => host === "localhost" });
    const get = async (host: string) => await app.request("/openapi.json", { headers: { host } });
    expect([(await get("localhost:7480")).status, (await get("LOCALHOST.")).status]).toEqual([200, 200]);
    for (const host of ["evil.example", "localhost.evil.example:7480", "localhost@evil.example"]) {
      const refused = await get(host);
      expect([host, refused.status, (await problemOf(refused)).code]).toEqual([host, 421, "wrong_host"]);
    }
  });

  test("with a long URL or long headers are refused", async () => {
    const { app, call } = testApi();
    expect((await call("GET", `/v1/site?x=${"a".repeat(9000)}`)).status).toBe(414);
    expect((await call("GET", "/v1/site", undefined, { "x-a": "a".repeat(17_000) })).status).toBe(431);
    const long = await app.request("/v1/site", bearer("a".repeat(9000)));
    expect([long.status, (await problemOf(long)).code]).toEqual([401, "unauthorized"]);
  });

  test("say by TLS that it stays TLS", async () => {
    const { headers } = await testApi({ tls: true }).call("GET", "/v1/site");
    expect(headers.get("strict-transport-security")).toContain("max-age");
  });
});

describe("a body", () => {
  test("that comes too slowly is given up", async () => {
    const { app, control } = testApi({ limits: { bodyIdleMs: 30, bodyTotalMs: 200 } });
    const send = async (pull: (controller: ReadableStreamDefaultController) => Promise<void>) => {
      const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
      const body = new ReadableStream({ pull });
      const init = { method: "PUT", headers, body, duplex: "half" };
      return await app.request(new Request("http://localhost/v1/tenants/acme", init as RequestInit));
    };
    const idle = await send(() => new Promise(() => {}));
    expect(idle.status).toBe(408);
    expect((await problemOf(idle)).code).toBe("too_slow");
    const slow = await send(async (controller) => {
      await Bun.sleep(10);
      controller.enqueue(new TextEncoder().encode(" "));
    });
    expect(slow.status).toBe(408);
    expect(control.calls).toEqual([]);
  });

  test("is small where only switches are sent", async () => {
    const { call } = testApi();
    const response = await call("POST", "/v1/tokens", { name: "a".repeat(17_000), role: "viewer" });
    expect((await problemOf(response)).code).toBe("too_large");
  });
});

describe("jsonProblem()", () => {
  test.each([
    ['{"a":1,"a":2}', 'has the name "a" twice in one object'],
    ['{"role":"viewer","r\\u006fle":"operator"}', 'has the name "role" twice in one object'],
    ['[{"x":{"b":[],"b" :{}}}]', 'has the name "b" twice in one object'],
    ["[".repeat(300), "is nested deeper than 256 levels"],
    ['{"a":'.repeat(300), "is nested deeper than 256 levels"],
  ])("%s", (text, problem) => {
    expect(jsonProblem(text)).toBe(problem);
  });

  test.each([
    '{"a":{"a":1},"b":[{"a":1},{"a":2}]}',
    '{"a":"{\\"a\\":1,\\"a\\":2}"}',
    "no json",
    "",
    '"a":"a":',
    "]]}}",
  ])("has nothing against %s", (text) => {
    expect(jsonProblem(text)).toBeNull();
  });
});
