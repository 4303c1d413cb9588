/** Schema contracts on real servers: what is not valid stays, and a new version counts from one position on. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { PlanReport } from "../../src/control/api.ts";
import { startMesh } from "../support/mesh.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

const V1 = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string" } },
  additionalProperties: false,
};
const V2 = { ...V1, properties: { ...V1.properties, note: { type: "string" } } };
const SCHEMA = "/v1/tenants/acme/schemas/order";

interface Letter {
  readonly reason: string;
  readonly error: string;
  readonly position: number;
}

test("an event that is not valid is a dead letter, and a new version lets it through from one position on", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? {
            tenant: "acme",
            schemas: [{ name: "order", versions: [{ version: 1, schema: V1 }] }],
            exports: [
              { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"], schema: "order" }] },
            ],
          }
        : { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
    ],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const plan = await berlin.json<PlanReport>("/v1/plan");
  expect(plan.routes).toMatchObject([
    { kind: "view", why: ["rule #1 ('acme.orders.>') has a schema contract ('order')"] },
  ]);
  const publish = jetstream(await berlin.app("acme"));
  const send = (payload: unknown) => publish.publish("acme.orders.new", JSON.stringify(payload));
  const letters = async () => (await berlin.json<{ items: readonly Letter[] }>("/v1/tenants/acme/dlq")).items;
  const arrived = async () => {
    await using far = await austin.mesh();
    return (await readAll(far.jsm, "in_acme")).map((message) => message.string());
  };

  await send({ id: "first" });
  await send({ id: 4111 });
  await send({ id: "second", note: "is not known yet" });
  await waitFor(async () => (await letters()).length === 2, { what: "two dead letters" });
  expect(await letters()).toMatchObject([
    { reason: "schema_invalid", error: "Not valid by schema order@1: 'type' fails at '/id'", position: 2 },
    {
      reason: "schema_invalid",
      error: "Not valid by schema order@1: 'additionalProperties' fails at the payload itself",
      position: 3,
    },
  ]);

  // What would break what was promised is refused, and nothing changes.
  const broken = await berlin.api("PUT", `${SCHEMA}/versions/2`, {
    schema: { ...V2, required: ["id", "note"] },
  });
  expect([broken.status, await broken.json()]).toMatchObject([
    409,
    {
      code: "schema_incompatible",
      problems: [
        { message: expect.stringContaining("#/required: not backward compatible: 'note' is required") },
      ],
    },
  ]);
  const added = await berlin.api("PUT", `${SCHEMA}/versions/2?wait=true`, { schema: V2 });
  expect([added.status, added.headers.get("leafmesh-applied")]).toEqual([201, "true"]);
  await send({ id: "third", note: "is known now" });
  await send({ id: 4112 });
  await waitFor(async () => (await arrived()).length === 2, { what: "both valid events" });
  expect(await arrived()).toEqual(['{"id":"first"}', '{"id":"third","note":"is known now"}']);
  await waitFor(async () => (await letters()).length === 3, { what: "a third dead letter" });
  expect((await letters()).at(-1)?.error).toBe("Not valid by schema order@2: 'type' fails at '/id'");

  await using here = await berlin.mesh();
  const versions = (await readAll(here.jsm, "view_acme_orders")).map((one) =>
    one.header.get("Leafmesh-Policy"),
  );
  expect(versions).toHaveLength(2);
  expect(new Set(versions).size).toBe(2);

  // A rule names it: it stays. A version that is there never changes.
  const removed = await berlin.api("DELETE", SCHEMA, undefined, { "if-match": "*" });
  expect([removed.status, ((await removed.json()) as { code: string }).code]).toEqual([409, "conflict"]);
  const changed = await berlin.api("PUT", `${SCHEMA}/versions/2`, { schema: V1 }, { "if-match": "*" });
  expect([changed.status, ((await changed.json()) as { code: string }).code]).toEqual([409, "conflict"]);
  const missing = await berlin.api(
    "PUT",
    "/v1/tenants/acme/exports/orders",
    { to: ["austin"], rules: [{ subjects: ["acme.orders.>"], schema: "order@7" }] },
    { "if-match": "*" },
  );
  expect(await missing.json()).toMatchObject({
    code: "policy_invalid",
    problems: [{ path: "rules[0].schema", message: "schema 'order' has no version 7 (registered: 1, 2)" }],
  });
}, 60_000);
