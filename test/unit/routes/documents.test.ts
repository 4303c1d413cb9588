import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { problemOf, testApi } from "./api_support.ts";
import { CHANGED_AT, SITE_KEY } from "./fake_control.ts";

const RULES = [{ subjects: ["acme.orders.>"] }];

/** One document of each type: where it is, what is put, what comes back. */
const RESOURCES: [string, string, object, object][] = [
  ["tenant", "/v1/tenants/acme", { log: false }, { tenant: "acme", log: false }],
  ["peer", "/v1/peers/tokyo", { key: SITE_KEY }, { name: "tokyo", key: SITE_KEY }],
  [
    "export",
    "/v1/tenants/acme/exports/eu",
    { to: ["tokyo"], rules: RULES },
    { name: "eu", to: ["tokyo"], rules: RULES },
  ],
  [
    "schema",
    "/v1/tenants/acme/schemas/order",
    { versions: [{ version: 1, schema: { type: "object" } }] },
    { name: "order", versions: [{ version: 1, schema: { type: "object" } }] },
  ],
  [
    "import",
    "/v1/tenants/acme/imports/tokyo",
    { subjects: ["acme.>"] },
    { from: "tokyo", subjects: ["acme.>"] },
  ],
  [
    "transit import",
    "/v1/tenants/acme/imports/tokyo?origin=austin",
    { subjects: ["acme.>"] },
    { from: "tokyo", origin: "austin", subjects: ["acme.>"] },
  ],
];

function apiWithTenant(type: string) {
  const api = testApi();
  if (type !== "tenant" && type !== "peer") api.control.seed({ type: "tenant", tenant: "acme" }, {});
  return api;
}

describe.each(RESOURCES)("a document of type %s", (type, path, body, shown) => {
  test("is created, read, changed under If-Match and removed", async () => {
    const { call } = apiWithTenant(type);
    const created = await call("PUT", path, body);
    expect([created.status, await created.json()]).toEqual([201, shown]);
    const first = created.headers.get("etag") ?? "";
    expect(first).toMatch(/^"\d+"$/);

    const read = await call("GET", path);
    expect([read.status, read.headers.get("etag"), await read.json()]).toEqual([200, first, shown]);
    expect(read.headers.get("last-modified")).toBe("Fri, 02 Jan 2026 03:04:05 GMT");

    const changed = await call("PUT", path, shown, { "if-match": first });
    expect(changed.status).toBe(200);
    const second = changed.headers.get("etag") ?? "";
    expect(second).not.toBe(first);

    const stale = await call("DELETE", path, undefined, { "if-match": first });
    expect([stale.status, stale.headers.get("etag")]).toEqual([412, second]);
    expect((await problemOf(stale)).code).toBe("precondition_failed");
    const removed = await call("DELETE", path, undefined, { "if-match": second });
    expect([removed.status, removed.headers.get("etag"), await removed.text()]).toEqual([204, null, ""]);
    expect((await problemOf(await call("GET", path))).code).toBe("not_found");
    expect((await problemOf(await call("DELETE", path))).code).toBe("not_found");
  });

  test("is not overwritten or removed by who has not read it", async () => {
    const { call } = apiWithTenant(type);
    const tag = (await call("PUT", path, body)).headers.get("etag");
    for (const method of ["PUT", "DELETE"]) {
      const refused = await call(method, path, method === "PUT" ? body : undefined);
      expect([refused.status, refused.headers.get("etag")]).toEqual([428, tag]);
      expect((await problemOf(refused)).code).toBe("precondition_required");
    }
    expect((await problemOf(await call("PUT", path, body, { "if-none-match": "*" }))).code).toBe(
      "precondition_failed",
    );
    expect((await call("PUT", path, body, { "if-match": "*" })).status).toBe(200);
  });

  test("that is not there is no match for If-Match", async () => {
    const { call, control } = apiWithTenant(type);
    for (const tag of ["*", '"1"']) {
      expect((await call("PUT", path, body, { "if-match": tag })).status).toBe(412);
    }
    expect(control.calls).toEqual([]);
    expect((await call("PUT", path, body, { "if-none-match": "*" })).status).toBe(201);
  });

  test("is not sent again to who has it", async () => {
    const { call } = apiWithTenant(type);
    const tag = (await call("PUT", path, body)).headers.get("etag") ?? "";
    for (const known of [tag, `W/${tag}`, `"0", ${tag}`, "*"]) {
      const response = await call("GET", path, undefined, { "if-none-match": known });
      expect([response.status, response.headers.get("etag"), await response.text()]).toEqual([304, tag, ""]);
    }
    expect((await call("GET", path, undefined, { "if-none-match": '"0"' })).status).toBe(200);
  });

  test("answers 412 with the current ETag when somebody was faster", async () => {
    const { call, control } = apiWithTenant(type);
    const tag = (await call("PUT", path, body)).headers.get("etag") ?? "";
    const listed = [
      ...control.state.list("peer"),
      ...control.state.list("tenant"),
      ...control.state.list("export"),
      ...control.state.list("import"),
      ...control.state.list("schema"),
    ];
    const mine = listed.find(({ document }) => `"${document.revision}"` === tag);
    if (mine === undefined) throw new Error("not listed");
    control.beforeWrite = () => control.seed(mine.ref, mine.document.value);
    const refused = await call("PUT", path, body, { "if-match": tag });
    const now = (await call("GET", path)).headers.get("etag");
    expect([refused.status, refused.headers.get("etag")]).toEqual([412, now]);
    expect(now).not.toBe(tag);
  });

  test("is told all that is wrong with it", async () => {
    const { call, control } = apiWithTenant(type);
    const found = await problemOf(await call("PUT", path, { ...body, colour: "red", sizes: 1 }));
    expect(found.code).toBe(
      type === "schema"
        ? "schema_invalid"
        : type === "export" || type.endsWith("import")
          ? "policy_invalid"
          : "request_invalid",
    );
    expect(found.problems.map((text) => text.split(" (")[0])).toEqual([
      "colour: unknown key 'colour'",
      "sizes: unknown key 'sizes'",
    ]);
    expect(control.calls).toEqual([]);
  });

  test("is applied before the answer with ?wait=true, and kept when that fails", async () => {
    const { call, control } = apiWithTenant(type);
    const wait = `${path}${path.includes("?") ? "&" : "?"}wait=true`;
    const applied = async (method: string, tag?: string) =>
      (
        await call(
          method,
          wait,
          method === "PUT" ? body : undefined,
          tag === undefined ? {} : { "if-match": tag },
        )
      ).headers.get("leafmesh-applied");
    expect(await applied("PUT")).toBe("true");
    control.applied = new LeafmeshError("apply_failed", "no");
    expect(await applied("PUT", "*")).toBe("false");
    expect(await applied("DELETE", "*")).toBe("false");
    expect(control.calls.filter((one) => one === "apply")).toHaveLength(3);
    expect((await call("GET", path)).status).toBe(404);
  });
});

describe("names in the URL and in the body", () => {
  test.each([
    ["/v1/tenants/acme", { tenant: "bolt" }, "tenant: is 'bolt', but the URL says 'acme'"],
    ["/v1/peers/tokyo", { name: "austin", key: SITE_KEY }, "name: is 'austin', but the URL says 'tokyo'"],
    [
      "/v1/tenants/acme/exports/eu",
      { name: "us", to: ["b"], rules: RULES },
      "name: is 'us', but the URL says 'eu'",
    ],
    [
      "/v1/tenants/acme/imports/tokyo",
      { from: "b", subjects: ["acme.>"] },
      "from: is 'b', but the URL says 'tokyo'",
    ],
    [
      "/v1/tenants/acme/imports/tokyo",
      { origin: "b", subjects: ["acme.>"] },
      "origin: is 'b', but the URL says 'tokyo'",
    ],
  ])("that differ are refused at %s", async (path, body, told) => {
    const { call, control } = testApi();
    control.seed({ type: "tenant", tenant: "acme" }, {});
    expect((await problemOf(await call("PUT", path, body))).problems).toEqual([told]);
  });

  test("must be names", async () => {
    const found = await problemOf(await testApi().call("GET", "/v1/tenants/Acme"));
    expect(found).toMatchObject({
      code: "request_invalid",
      problems: [expect.stringContaining("tenant: 'Acme' must be")],
    });
  });

  test("an origin that is the peer itself is no transit", async () => {
    const { call, control } = testApi();
    control.seed({ type: "tenant", tenant: "acme" }, {});
    await call("PUT", "/v1/tenants/acme/imports/tokyo?origin=tokyo", { subjects: ["acme.>"] });
    expect(control.calls).toEqual(["put import acme/tokyo expecting null"]);
  });
});

describe("lists", () => {
  test("hold revision and document", async () => {
    const { call, control } = testApi();
    control.seed({ type: "tenant", tenant: "acme" }, { log: false });
    control.seed({ type: "export", tenant: "acme", name: "eu" }, { name: "eu", to: ["b"], rules: RULES });
    expect(await (await call("GET", "/v1/tenants")).json()).toEqual({
      items: [{ revision: 1, changedAt: CHANGED_AT, value: { tenant: "acme", log: false } }],
    });
    expect(await (await call("GET", "/v1/tenants/acme/exports")).json()).toEqual({
      items: [{ revision: 2, changedAt: CHANGED_AT, value: { name: "eu", to: ["b"], rules: RULES } }],
    });
    expect(await (await call("GET", "/v1/tenants/acme/imports")).json()).toEqual({ items: [] });
    expect(await (await call("GET", "/v1/peers")).json()).toEqual({ items: [] });
  });

  test("of a tenant that is not there are a 404 problem", async () => {
    const { call } = testApi();
    for (const list of ["exports", "imports", "dlq"]) {
      const found = await problemOf(await call("GET", `/v1/tenants/nix/${list}`));
      expect(found).toMatchObject({ code: "not_found", detail: "There is no tenant 'nix'" });
    }
  });
});
