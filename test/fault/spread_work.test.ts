/** What is done with a view while it runs, where the sidecar that runs it does not lead: keys, contracts, limits, dead letters, and its end. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { viewStream } from "../../src/model/names.ts";
import type { RedriveReport } from "../../src/model/redrive.ts";
import { startMesh } from "../support/mesh.ts";
import { SecondMember } from "../support/second_member.ts";
import { waitFor } from "../support/wait_for.ts";

const TENANTS = ["acme", "globex"] as const;
const LONG = { deadlineMs: 60_000, pollMs: 100 } as const;

const exported = (tenant: string, more: object = {}) => ({
  name: "out",
  to: ["austin"],
  rules: [
    {
      subjects: [`${tenant}.orders.>`],
      schema: "order@1",
      redact: [{ path: "$.customer", with: "pseudonym" as const }],
      limit: { messages: "10000/s" },
      ...more,
    },
  ],
});
const schemas = [
  {
    name: "order",
    versions: [
      {
        version: 1,
        schema: { type: "object", required: ["customer"], properties: { customer: { type: "string" } } },
      },
    ],
  },
];

test("keys, contracts and dead letters of a tenant whose views run at a sidecar that does not lead", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      TENANTS.map((tenant) =>
        site === "berlin"
          ? { tenant, schemas, exports: [exported(tenant)] }
          : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
      ),
  });
  const berlin = mesh.site("berlin");
  await using second = await SecondMember.start(berlin);
  await using there = await berlin.mesh();
  const route = async (tenant: string) =>
    (await berlin.links()).flatMap(({ routes }) => routes).find((one) => one.tenant === tenant) ?? null;
  const tenant = await waitFor(
    async () => {
      for (const one of TENANTS) if ((await route(one))?.view?.member === "b") return one;
      return null;
    },
    { ...LONG, what: "the second sidecar to run a view" },
  );
  const js = jetstream(await berlin.app(tenant));
  const publish = async (body: object) => await js.publish(`${tenant}.orders.x`, JSON.stringify(body));
  const stored = async (count: number) =>
    await waitFor(
      async () => {
        const { state } = await there.jsm.streams.info(viewStream(tenant, "out"));
        if (state.messages < count) return null;
        const last = await there.jsm.streams.getMessage(viewStream(tenant, "out"), { seq: state.last_seq });
        return last?.json<{ customer: string }>().customer ?? null;
      },
      { ...LONG, what: `${count} events in the view` },
    );
  const view = async () => (await route(tenant))?.view ?? null;

  await publish({ customer: "ada" });
  const before = await stored(1);
  expect(before).not.toBe("ada");

  // Another key: the view decides by it where it runs.
  const version = (await view())?.version;
  const base = `/v1/tenants/${tenant}`;
  expect((await berlin.api("POST", `${base}/keys/pseudonym`)).status).toBeLessThan(300);
  await waitFor(async () => (await view())?.version !== version, {
    ...LONG,
    what: "the view to have the new key",
  });
  await publish({ customer: "ada" });
  const after = await stored(2);
  expect(after).not.toBe(before);
  expect((await view())?.member).toBe("b");

  // What the contract refuses is decided again by the rules of then.
  await publish({ customer: 7 });
  await waitFor(async () => (await view())?.quarantined === 1, { ...LONG, what: "a dead letter" });
  await berlin.put(
    `${base}/exports/out`,
    exported(tenant, { schema: undefined, redact: [{ path: "$.x", with: "remove" }] }),
  );
  await waitFor(
    async () => {
      const redrive = await berlin.api("POST", `${base}/dlq/redrives`, { all: true });
      const { id } = (await redrive.json()) as RedriveReport;
      const report = await berlin.json<RedriveReport>(`${base}/dlq/redrives/${id}?wait=true`);
      return report.forwarded === 1;
    },
    { ...LONG, what: "the dead letter to be forwarded" },
  );
  expect(await stored(3)).toBe(7 as never);
  await waitFor(async () => (await view())?.redriven === 1, { ...LONG, what: "the link to tell of it" });
  expect((await view())?.member).toBe("b");

  // A policy that needs no view any more ends its worker, and one that is removed, too.
  await berlin.put(`${base}/exports/out`, {
    name: "out",
    to: ["austin"],
    rules: [{ subjects: [`${tenant}.orders.>`] }],
  });
  await waitFor(
    async () => (await second.get("/metrics").then((one) => one.text())).includes("leafmesh_member_views 0"),
    {
      ...LONG,
      what: "the second sidecar to run no view",
    },
  );
  const streams = await there.jsm.streams.names().next();
  expect(streams).toContain(`out_${tenant}`);
  expect(await second.log()).not.toContain("drops all");
}, 180_000);
