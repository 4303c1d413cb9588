import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { problemOf, testApi } from "./api_support.ts";

const PATH = "/v1/tenants/acme/schemas/order";
const V1 = { type: "object" };
const V2 = { type: ["object", "null"] };

function api() {
  const made = testApi();
  made.control.seed({ type: "tenant", tenant: "acme" }, {});
  return made;
}

describe("/v1/tenants/{tenant}/schemas", () => {
  test("registers versions one by one, lists them without content, and removes them under If-Match", async () => {
    const { call, control } = api();
    const first = await call("PUT", `${PATH}/versions/1`, { schema: V1 });
    expect([first.status, await first.json()]).toEqual([201, { schema: V1, version: 1 }]);
    const second = await call("PUT", `${PATH}/versions/2`, { schema: V2, force: true });
    expect(second.status).toBe(201);
    const etag = second.headers.get("etag") ?? "";
    expect(await (await call("GET", "/v1/tenants/acme/schemas")).json()).toMatchObject({
      items: [
        {
          value: {
            name: "order",
            compatibility: "backward",
            versions: [{ version: 1 }, { version: 2, force: true }],
          },
        },
      ],
    });
    const read = await call("GET", `${PATH}/versions/2`);
    expect([read.headers.get("etag"), await read.json()]).toEqual([
      etag,
      { version: 2, schema: V2, force: true },
    ]);
    expect((await call("GET", `${PATH}/versions/2`, undefined, { "if-none-match": etag })).status).toBe(304);

    expect((await call("PUT", `${PATH}/versions/2`, { schema: V1 })).status).toBe(428);
    expect((await call("PUT", `${PATH}/versions/2`, { schema: V1 }, { "if-none-match": "*" })).status).toBe(
      412,
    );
    expect((await call("DELETE", `${PATH}/versions/1`)).status).toBe(428);
    expect((await call("DELETE", `${PATH}/versions/1`, undefined, { "if-match": etag })).status).toBe(204);
    expect((await call("DELETE", `${PATH}/versions/2`, undefined, { "if-match": "*" })).status).toBe(204);
    expect((await problemOf(await call("GET", PATH))).code).toBe("not_found");
    expect(control.calls.filter((one) => /^(put|remove)/.test(one))).toEqual([
      "put schema acme/order expecting null",
      "put schema acme/order expecting 2",
      "put schema acme/order expecting 3",
      "remove schema acme/order expecting 4",
    ]);
  });

  test("says of a next version what speaks against it, and registers nothing", async () => {
    const { call, control } = api();
    expect(await (await call("POST", `${PATH}/check`, { schema: V1 })).json()).toEqual({
      ok: true,
      version: 1,
      against: null,
      compatibility: "backward",
      code: null,
      problems: [],
    });
    await call("PUT", `${PATH}/versions/4`, { schema: V2 });
    control.state.check = () => {
      throw new LeafmeshError("schema_incompatible", "no", {
        problems: [{ path: "versions[1].schema", message: "#/type: gone" }],
      });
    };
    expect(await (await call("POST", `${PATH}/check`, { schema: V1 })).json()).toEqual({
      ok: false,
      version: 5,
      against: 4,
      compatibility: "backward",
      code: "schema_incompatible",
      problems: [{ path: "versions[1].schema", message: "#/type: gone" }],
    });
  });

  test.each([
    ["PUT", `${PATH}/versions/0`, { schema: V1 }, "request_invalid", "'0' is no version (expected 1 and up)"],
    ["PUT", `${PATH}/versions/1`, { schema: 5 }, "schema_invalid", "schema"],
    [
      "PUT",
      `${PATH}/versions/1`,
      { scheme: V1 },
      "schema_invalid",
      "unknown key 'scheme' (did you mean 'schema'?)",
    ],
    ["PUT", PATH, { versions: [] }, "schema_invalid", "versions is empty, expected at least 1 entry"],
    [
      "PUT",
      PATH,
      { name: "other", versions: [{ version: 1, schema: V1 }] },
      "request_invalid",
      "The body's 'name' is 'other', but the URL says 'order'",
    ],
    [
      "PUT",
      PATH,
      { compatibility: "backwards", versions: [{ version: 1, schema: V1 }] },
      "schema_invalid",
      "did you mean 'backward'?",
    ],
  ])("%s %s %j is %s", async (method, path, body, code, text) => {
    const problem = await problemOf(await api().call(method, path, body));
    expect(problem.code).toBe(code);
    expect(`${problem.detail} ${problem.problems.join(" ")}`).toContain(text);
  });
});
