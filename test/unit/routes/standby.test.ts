import { expect, test } from "bun:test";
import { createStandbyApi, type ForwardedRequest } from "../../../routes/standby.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";

function rig(forward?: () => Promise<Response>) {
  const handed: ForwardedRequest[] = [];
  const api = createStandbyApi({
    version: "1",
    log: { info: () => {}, warn: () => {}, error: () => {} },
    limits: { perAddress: { perSecond: 0.001, burst: 3 } },
    knowsHost: (host) => host === "localhost",
    reasons: async () => [],
    metrics: () => "leafmesh_members 2\n",
    forward: async (request) => {
      handed.push(request);
      return (await forward?.()) ?? Response.json({ ok: true });
    },
  });
  const ask = (path: string, init: RequestInit = {}) =>
    api.request(`http://localhost${path}`, init, { address: "192.0.2.7" });
  return { handed, ask };
}

test("one that stands by hands a request over with its token, its body and the address that it came from", async () => {
  const { handed, ask } = rig();
  const headers = { authorization: "Bearer t", "content-type": "application/json", connection: "close" };
  const answer = await ask("/v1/peers/tokyo?dry=1", { method: "PUT", headers, body: '{"key":"U"}' });
  expect(answer.status).toBe(200);
  expect(handed).toHaveLength(1);
  const { body, ...head } = handed[0] as ForwardedRequest;
  expect(new TextDecoder().decode(body)).toBe('{"key":"U"}');
  expect(head).toEqual({
    method: "PUT",
    path: "/v1/peers/tokyo?dry=1",
    headers: { authorization: "Bearer t", "content-type": "application/json" },
    address: "192.0.2.7",
  });
});

test("one that stands by reads nothing of who has no token, and counts it", async () => {
  const { handed, ask } = rig(async () => new Response(null, { status: 401 }));
  const large = "x".repeat(2 * 1024 * 1024);
  for (let i = 0; i < 2; i++) {
    expect((await ask("/v1/apply", { method: "POST", body: large })).status).toBe(401);
  }
  expect(handed.map(({ body }) => body.length)).toEqual([0, 0]);
  expect((await ask("/readyz")).status).toBe(200);
  for (const path of ["/readyz", "/metrics", "/v1/site"]) expect((await ask(path)).status).toBe(429);
  expect(handed).toHaveLength(2);
  // With a token it is the one that leads who counts.
  expect((await ask("/v1/site", { headers: { authorization: "Bearer t" } })).status).toBe(401);
});

test("one that stands by refuses a body that is too large, another host, and says when to ask again", async () => {
  const { handed, ask } = rig(async () => {
    throw new LeafmeshError("no_leader", "No sidecar leads the site at this moment: ask again");
  });
  const headers = { authorization: "Bearer t" };
  const body = "x".repeat(1024 * 1024 + 1);
  expect((await ask("/v1/lint", { method: "POST", headers, body })).status).toBe(413);
  expect((await ask("/v1/site", { headers: { ...headers, host: "evil.example.net" } })).status).toBe(421);
  expect(handed).toHaveLength(0);
  const answer = await ask("/v1/site", { headers });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
});
