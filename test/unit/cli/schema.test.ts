import { describe, expect, test } from "bun:test";
import { createWorld } from "./cli_support.ts";

const V1 = '{"type":"object"}';

function world() {
  const made = createWorld();
  made.api.control.seed({ type: "tenant", tenant: "acme" }, {});
  made.files.set("v1.json", V1);
  made.files.set("v2.json", '{"type":["object","null"]}');
  return made;
}

describe("schema", () => {
  test("add, list, show and remove", async () => {
    const { run, api } = world();
    const added = await run("schema", "add", "acme", "order", "-f", "v1.json", "--compatibility", "full");
    expect([added.code, added.out]).toEqual([0, "Schema order@1 of acme is registered and applied.\n"]);
    const second = await run("schema", "add", "acme", "order", "-f", "v2.json", "--force", "--json");
    expect(second.json()).toEqual({ tenant: "acme", name: "order", version: 2, applied: true });
    expect((await run("schema", "list", "acme")).out).toBe(
      "SCHEMA  VERSIONS       COMPATIBILITY\norder   1, 2 (forced)  full\n",
    );
    expect((await run("schema", "show", "acme", "order@2")).out).toContain('"null"');
    expect((await run("schema", "show", "acme", "order", "--json")).json()).toEqual({
      name: "order",
      compatibility: "full",
      versions: [
        { version: 1, schema: { type: "object" } },
        { version: 2, schema: { type: ["object", "null"] }, force: true },
      ],
    });
    const again = await run("schema", "add", "acme", "order@2", "-f", "v1.json");
    expect([again.code, again.err]).toEqual([
      5,
      "leafmesh: There is schema order@2 already: a version never changes, add the next one\n",
    ]);
    expect((await run("schema", "remove", "acme", "order@1")).code).toBe(0);
    expect((await run("schema", "remove", "acme", "order")).out).toBe(
      "Schema order of acme is removed and applied.\n",
    );
    expect(api.control.calls.filter((call) => call.startsWith("remove"))).toHaveLength(1);
    expect((await run("schema", "list", "acme")).out).toBe("No schemas.\n");
  });

  test("check says whether it could be the next version", async () => {
    const { run } = world();
    expect((await run("schema", "check", "acme", "order", "-f", "v1.json")).out).toBe(
      "order@1 can be registered (the first version).\n",
    );
  });

  test("refuses what is no schema and no name", async () => {
    const { run, files } = world();
    files.set("list.json", "[]");
    expect((await run("schema", "add", "acme", "order", "-f", "list.json")).err).toBe(
      "leafmesh: list.json is no JSON Schema: a JSON Schema is a map, true or false\n",
    );
    expect((await run("schema", "show", "acme", "order@0")).err).toContain(
      "'order@0' names no schema (expected",
    );
    expect((await run("schema", "add", "acme", "order")).err).toContain("--file PATH is missing");
  });

  test("apply -f reads schemas from their files and keeps versions that the file does not name", async () => {
    const { run, files, api } = world();
    files.set("sites/schemas/order.json", V1);
    const file = (version: number) =>
      `tenant: acme\nschemas:\n  - name: order\n    versions: [{ version: ${version}, file: schemas/order.json }]\n`;
    files.set("sites/acme.yaml", file(1));
    expect((await run("apply", "-f", "sites/acme.yaml")).out).toContain("created: schema acme/order");
    files.set("sites/acme.yaml", file(2));
    expect((await run("apply", "-f", "sites/acme.yaml")).out).toContain("changed: schema acme/order");
    const { value } = api.control.state.get({ type: "schema", tenant: "acme", name: "order" }) ?? {};
    expect(value?.versions.map(({ version }) => version)).toEqual([1, 2]);
    expect((await run("apply", "-f", "sites/acme.yaml")).out).not.toContain("changed:");
    files.set("sites/acme.yaml", file(3).replace("order.json", "gone.json"));
    const { code, err } = await run("apply", "-f", "sites/acme.yaml");
    expect(code).toBe(2);
    expect(err).toContain(
      "sites/acme.yaml:4:36 schemas[0].versions[0].file: 'schemas/gone.json' cannot be read",
    );
  });
});
