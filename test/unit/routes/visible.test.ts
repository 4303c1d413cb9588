/** What a tenant-admin and a viewer see of what others may see whole. */
import { expect, test } from "bun:test";
import type { LinkReport, RouteReport } from "../../../src/control/link_api.ts";
import { ALARMS, type Alarm, type AlarmName } from "../../../src/model/alarms.ts";
import { testApi } from "./api_support.ts";
import { ROLE_TOKENS } from "./fake_tokens.ts";

const as = (who: keyof typeof ROLE_TOKENS) => ({ authorization: `Bearer ${ROLE_TOKENS[who]}` });

test("hashes of passwords are shown to who may write them alone", async () => {
  const { call, control } = testApi();
  const passwordHash = `$2b$12$${"a".repeat(53)}`;
  control.seed({ type: "tenant", tenant: "acme" }, { users: [{ name: "till", passwordHash }] });
  for (const path of ["/v1/tenants", "/v1/tenants/acme"]) {
    const text = async (who: keyof typeof ROLE_TOKENS) =>
      await (await call("GET", path, undefined, as(who))).text();
    for (const who of ["operator", "acme"] as const) expect(await text(who)).toContain(passwordHash);
    for (const who of ["viewer", "auditor"] as const) {
      expect(await text(who)).toContain("till");
      expect(await text(who)).not.toContain("$2b$");
    }
  }
});

test("users of role owner are the operator's, others the tenant-admin's", async () => {
  const { call, control } = testApi();
  const owner = { name: "boss", role: "owner" as const, passwordHash: `$2b$12$${"a".repeat(53)}` };
  control.seed({ type: "tenant", tenant: "acme" }, { users: [owner] });
  const headers = { ...as("acme"), "if-match": "*" };
  const put = async (users: object[]) => (await call("PUT", "/v1/tenants/acme", { users }, headers)).status;
  const app = { ...owner, name: "till", role: "app" };
  expect(await put([owner, { ...owner, name: "second" }])).toBe(403);
  expect(await put([{ ...owner, passwordHash: `$2b$12$${"b".repeat(53)}` }])).toBe(403);
  expect(await put([owner, app])).toBe(200);
  expect(await put([{ ...app, role: "owner" }, owner])).toBe(403);
  expect(await put([app])).toBe(200);
  expect(await put([owner, app])).toBe(403);
});

test("links, the plan and dead letters are those of the tenant", async () => {
  const { call, control } = testApi();
  const route = (tenant: string) => ({ tenant, direction: "out" }) as RouteReport;
  const link = { peer: "tokyo", address: "10.0.0.1:7422", connected: true, why: "globex waits" };
  control.linked = [{ ...link, routes: [route("acme"), route("globex")] } as unknown as LinkReport];
  control.seed({ type: "tenant", tenant: "acme" }, {});
  const json = async (path: string, who: keyof typeof ROLE_TOKENS) =>
    await (await call("GET", path, undefined, as(who))).json();
  expect(await json("/v1/links", "acme")).toEqual({
    items: [{ peer: "tokyo", address: null, connected: true, why: null, routes: [route("acme")] }],
  });
  expect(await json("/v1/plan", "acme")).toMatchObject({ steps: [{ target: "MESH/out_acme" }] });
  expect(await json("/v1/plan", "globex")).toMatchObject({ steps: [], notes: [], routes: [] });
  await json("/v1/lint", "globex");
  expect(control.calls).toContain("lint the state of globex");
  expect((await json("/v1/tenants/acme/dlq", "viewer")).items[0].headers).toEqual({});
  expect((await json("/v1/tenants/acme/dlq", "acme")).items[0].headers).toEqual({ region: ["EU"] });
});

test("a tenant-admin sees the alarms of its tenant, and counts no others", async () => {
  const { call, control } = testApi();
  const alarm = (name: AlarmName, tenant: string | null): Alarm => ({
    name,
    ...ALARMS[name],
    target: tenant ?? "store",
    tenant,
    peer: null,
    detail: `of ${tenant}`,
    since: "2026-01-02T03:04:05.678Z",
  });
  control.raised = [
    alarm("retention-lost", "acme"),
    alarm("retention-lost", "globex"),
    alarm("store-low", null),
  ];
  const json = async (path: string, who: keyof typeof ROLE_TOKENS) =>
    await (await call("GET", path, undefined, as(who))).json();
  expect(await json("/v1/alarms", "acme")).toEqual({ items: [control.raised[0]] });
  expect((await json("/v1/alarms", "viewer")).items).toHaveLength(3);
  expect((await json("/v1/site", "acme")).alarms).toEqual({ critical: 1, warning: 0 });
  expect((await json("/v1/site", "operator")).alarms).toEqual({ critical: 2, warning: 1 });
});
