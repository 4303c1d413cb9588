/** Every operation of the OpenAPI document, called by everybody: who gets in, and what the others are told. */
import { describe, expect, test } from "bun:test";
import { ACCESS } from "../../../routes/authorization.ts";
import { problemOf, testApi } from "./api_support.ts";
import { ROLE_TOKENS } from "./fake_tokens.ts";

/**
 * Who may call what, written down a second time: o operator, t the admin of the tenant, x the admin of another tenant,
 * v viewer, a auditor, - who has no token.
 */
const EXPECTED: Readonly<Record<string, string>> = {
  healthz: "otxva-",
  readyz: "otxva-",
  openapi: "otxva-",
  page: "otxva-",
  metrics: "ova",
  whoami: "otxva",
  listTokens: "oa",
  createToken: "o",
  deleteToken: "o",
  rotateBootstrap: "o",
  startErasure: "ot",
  listErasures: "otva",
  getErasure: "otva",
  startReplay: "ot",
  listReplays: "otva",
  getReplay: "otva",
  changeReplay: "ot",
  cancelReplay: "ot",
  listAudit: "oa",
  exportAudit: "oa",
  getSite: "otxva",
  listAlarms: "otxva",
  listMembers: "ova",
  listLinks: "otxva",
  getPlan: "otxva",
  apply: "o",
  getLint: "otxva",
  lint: "otxva",
  listPeers: "ova",
  getPeer: "ova",
  putPeer: "o",
  deletePeer: "o",
  revokePeer: "o",
  listInvitations: "ova",
  createInvitation: "o",
  deleteInvitation: "o",
  join: "o",
  listRotations: "ova",
  getRotation: "ova",
  startRotation: "o",
  finishRotation: "o",
  listTenants: "otxva",
  getTenant: "otva",
  putTenant: "ot",
  deleteTenant: "o",
  listUsers: "otva",
  listKeys: "otva",
  rotateKey: "ot",
  listSchemas: "otva",
  getSchema: "otva",
  putSchema: "ot",
  deleteSchema: "ot",
  checkSchema: "otva",
  getSchemaVersion: "otva",
  putSchemaVersion: "ot",
  deleteSchemaVersion: "ot",
  listExports: "otva",
  getExport: "otva",
  putExport: "ot",
  deleteExport: "ot",
  diffExport: "ot",
  getShadow: "otva",
  putShadow: "ot",
  deleteShadow: "ot",
  listImports: "otva",
  getImport: "otva",
  putImport: "ot",
  deleteImport: "ot",
  explain: "otx",
  explainTenant: "ot",
  listDeadLetters: "otva",
  getDeadLetter: "otva",
  dropDeadLetter: "ot",
  dropDeadLetters: "ot",
  startRedrive: "ot",
  listRedrives: "otva",
  getRedrive: "otva",
  cancelRedrive: "ot",
};

const WHO = {
  o: ROLE_TOKENS.operator,
  t: ROLE_TOKENS.acme,
  x: ROLE_TOKENS.globex,
  v: ROLE_TOKENS.viewer,
  a: ROLE_TOKENS.auditor,
} as const;
const PARAMS: Readonly<Record<string, string>> = {
  tenant: "acme",
  name: "eu-orders",
  peer: "tokyo",
  sequence: "7",
  version: "1",
  kind: "pseudonym",
  id: "0123456789ab",
  erasure: "e1",
  replay: "r1",
  invitation: "9f86d081884c7d65",
  what: "key",
};

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly body: boolean;
}
const document = await (await testApi().app.request("/openapi.json")).json();
const operations = Object.entries<Record<string, { operationId: string; requestBody?: unknown }>>(
  document.paths,
).flatMap(([path, item]) =>
  Object.entries(item).map(
    ([method, { operationId, requestBody }]): Operation => ({
      id: operationId,
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(\w+)\}/g, (_, name: string) => PARAMS[name] ?? name),
      body: requestBody !== undefined,
    }),
  ),
);

/** Two tenants, of which acme has an export. */
function twoTenants(): ReturnType<typeof testApi> {
  const api = testApi();
  api.control.seed({ type: "tenant", tenant: "acme" }, {});
  api.control.seed({ type: "tenant", tenant: "globex" }, { log: false });
  api.control.seed(
    { type: "export", tenant: "acme", name: "eu-orders" },
    { name: "eu-orders", to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] },
  );
  return api;
}

describe("the table", () => {
  test("has every operation of the document, and no other", () => {
    const ids = operations.map(({ id }) => id).sort();
    expect(Object.keys(ACCESS).sort()).toEqual(ids);
    expect(Object.keys(EXPECTED).sort()).toEqual(ids);
  });

  test("calls tenant-scoped what has a tenant in its path, and nothing else", () => {
    for (const [path, item] of Object.entries<Record<string, { operationId: string }>>(document.paths)) {
      for (const { operationId } of Object.values(item)) {
        const scoped = ACCESS[operationId]?.type === "tenant";
        expect([operationId, scoped]).toEqual([operationId, path.includes("{tenant}")]);
      }
    }
  });
});

describe.each(operations)("$id", ({ id, method, path, body }) => {
  const call = async (api: ReturnType<typeof testApi>, token: string | null, at = path) =>
    await api.app.request(at, {
      method,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(body ? { "content-type": "application/json" } : {}),
      },
      ...(body ? { body: "{}" } : {}),
    });
  const allowed = EXPECTED[id] ?? "";

  test.each(Object.entries(WHO))(`as %s (${allowed} may)`, async (who, token) => {
    const api = twoTenants();
    const before = JSON.stringify(api.control.state.list("tenant"));
    const response = await call(api, token);
    if (allowed.includes(who)) {
      expect([401, 403]).not.toContain(response.status);
      return;
    }
    const foreign = who === "x" && ACCESS[id]?.type === "tenant";
    const { code, detail } = await problemOf(response);
    expect([response.status, code]).toEqual(foreign ? [404, "not_found"] : [403, "forbidden"]);
    if (foreign) expect(detail).toBe("There is no tenant 'acme'");
    expect(api.control.calls).toEqual([]);
    expect(JSON.stringify(api.control.state.list("tenant"))).toBe(before);
  });

  test("without a token, and with a wrong one", async () => {
    const api = twoTenants();
    const response = await call(api, null);
    if (allowed.includes("-")) {
      expect(response.status).toBe(200);
      return;
    }
    expect([response.status, (await problemOf(response)).code]).toEqual([401, "unauthorized"]);
    expect((await call(api, "wrong")).status).toBe(401);
    expect(api.control.calls).toEqual([]);
  });
});

describe("a tenant that is another's", () => {
  test("answers as one that is not there, byte by byte", async () => {
    for (const { id, method, path, body } of operations.filter((one) => ACCESS[one.id]?.type === "tenant")) {
      const api = twoTenants();
      const headers = {
        authorization: `Bearer ${ROLE_TOKENS.globex}`,
        ...(body ? { "content-type": "application/json" } : {}),
      };
      const init = { method, headers, ...(body ? { body: "{}" } : {}) };
      const there = await api.app.request(path, init);
      const nowhere = await api.app.request(path.replace("/acme", "/nobody"), init);
      const text = async (response: Response) =>
        [response.status, [...response.headers], await response.text()] as const;
      const expected = JSON.parse(JSON.stringify(await text(nowhere)).replaceAll("nobody", "acme"));
      expect([id, await text(there)]).toEqual([id, expected]);
    }
  });
});
