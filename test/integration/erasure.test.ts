/** An event that is erased is gone at every site that had it, and at no site does anything else change. */
import { expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { verifyTrail } from "../../src/model/audit.ts";
import type { ErasureReport } from "../../src/model/erasure.ts";
import { type Mesh, type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const SECRET = "the-person-who-asked";

/** Berlin to austin by a view, from there to tokyo in transit, and to austin's app by its log. */
async function startChain(): Promise<Mesh> {
  const subjects = ["acme.>"];
  return await startMesh({
    sites: { berlin: ["austin"], austin: ["tokyo"], tokyo: [] },
    tenants: (site) => [
      {
        tenant: "acme",
        ...(site === "berlin"
          ? {
              exports: [
                {
                  name: "out",
                  to: ["austin"],
                  rules: [{ subjects, redact: [{ path: "$.mail", with: "mask" as const }] }],
                },
              ],
            }
          : site === "austin"
            ? {
                imports: [{ from: "berlin", subjects }],
                exports: [{ name: "on", to: ["tokyo"], origin: "berlin", rules: [{ subjects }] }],
              }
            : { imports: [{ from: "austin", origin: "berlin", subjects }] }),
      },
    ],
  });
}

async function publish(site: MeshSite, id: string, text = JSON.stringify({ who: id })): Promise<number> {
  const with_ = headers();
  with_.set("Nats-Msg-Id", id);
  return (await jetstream(await site.app("acme")).publish("acme.orders.x", text, { headers: with_ })).seq;
}

/** The ids of the messages in a tenant's log. */
async function logged(site: MeshSite): Promise<string[]> {
  const jsm = await jetstreamManager(await site.app("acme"));
  const { state } = await jsm.streams.info("acme");
  const ids: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage("acme", { seq }).catch(() => null);
    if (message !== null) ids.push(message.header.get("Nats-Msg-Id"));
  }
  return ids;
}

/** Every stream of MESH that has a message with this id. */
async function holders(site: MeshSite, id: string): Promise<string[]> {
  await using mesh = await site.mesh();
  const found: string[] = [];
  for await (const { config, state } of mesh.jsm.streams.list()) {
    for (let seq = state.first_seq; seq <= state.last_seq && state.messages > 0; seq++) {
      const message = await mesh.jsm.streams.getMessage(config.name, { seq }).catch(() => null);
      const text =
        message === null ? "" : `${message.string()} ${JSON.stringify([...(message.header ?? [])])}`;
      if (text.includes(id)) found.push(config.name);
    }
  }
  return [...new Set(found)].sort();
}

async function erase(site: MeshSite, body: object): Promise<ErasureReport> {
  const response = await site.api("POST", "/v1/tenants/acme/erasures", body);
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as ErasureReport;
}

async function done(site: MeshSite, id: string): Promise<ErasureReport> {
  return await waitFor(
    async () => {
      const report = await site.json<ErasureReport>(`/v1/tenants/acme/erasures/${id}`);
      if (report.state !== "done") throw new Error(JSON.stringify(report));
      return report;
    },
    { what: `erasure ${id}`, deadlineMs: 40_000, pollMs: 100 },
  );
}

test("an erased event is gone from all streams of all sites, and the routes go on where they are", async () => {
  await using mesh = await startChain();
  await mesh.flowing();
  const [berlin, austin, tokyo] = ["berlin", "austin", "tokyo"].map((name) => mesh.site(name)) as [
    MeshSite,
    MeshSite,
    MeshSite,
  ];
  await publish(berlin, "one");
  await publish(berlin, "two");
  // The last event of the view: it is what says how far the view has got.
  await publish(berlin, SECRET);
  await waitFor(async () => (await logged(tokyo)).includes(SECRET), { what: "the events at tokyo" });
  expect(await holders(berlin, SECRET)).toEqual(["out_acme", "view_acme_out"]);

  const dry = await erase(berlin, { subject: "acme.orders.x", id: SECRET, dryRun: true });
  expect(dry).toMatchObject({ dryRun: true, events: 1 });
  expect(dry.erased).toEqual({ "MESH/out_acme": 1, "MESH/view_acme_out": 1, "T_acme/acme": 1 });
  expect(dry.peers).toMatchObject([
    {
      peer: "austin",
      erased: { "MESH/in_acme": 1, "T_acme/acme": 1 },
      peers: [{ peer: "tokyo", erased: { "MESH/in_acme": 1, "T_acme/acme": 1 } }],
    },
  ]);
  expect(await logged(tokyo)).toEqual(["one", "two", SECRET]);

  const { id } = await erase(berlin, { subject: "acme.orders.x", id: SECRET });
  const report = await done(berlin, id);
  expect(report.erased).toEqual(dry.erased);
  expect(report.peers).toMatchObject([
    {
      peer: "austin",
      state: "done",
      erased: { "MESH/in_acme": 1, "T_acme/acme": 1 },
      peers: [{ peer: "tokyo", state: "done" }],
    },
  ]);
  for (const site of mesh.sites) {
    expect([site.name, await logged(site)]).toEqual([site.name, ["one", "two"]]);
    expect([site.name, await holders(site, SECRET)]).toEqual([site.name, []]);
  }

  // The view's last event is gone; a worker that starts anew goes on behind it, and repeats nothing.
  await berlin.end("SIGKILL");
  await berlin.start();
  await publish(berlin, "three");
  await publish(berlin, "four");
  await waitFor(async () => (await logged(tokyo)).includes("four"), {
    what: "later events at tokyo",
    deadlineMs: 30_000,
  });
  for (const site of mesh.sites) {
    expect([site.name, await logged(site)]).toEqual([site.name, ["one", "two", "three", "four"]]);
  }

  // Each site's trail tells it, with the peer's signed answer, and never the id.
  for (const site of mesh.sites) {
    const text = await (await site.api("GET", "/v1/audit/export")).text();
    const { key } = await site.json<{ key: string }>("/v1/site");
    expect(verifyTrail(text.split("\n"), { keys: [key] })).toMatchObject({ ok: true });
    expect(text).not.toContain(SECRET);
    expect(text).toContain("erasure.done");
  }
  const answers = await berlin.json<{ items: { after: { signed: string } }[] }>(
    "/v1/audit?target=peer%20austin&type=event",
  );
  const signed = answers.items.map(
    ({ after }) => JSON.parse(after.signed) as { key: string; signature: string },
  );
  expect(signed.at(-1)?.key).toBe((await austin.json<{ key: string }>("/v1/site")).key);
}, 120_000);

test("a peer that is away erases when it is back, over a restart of the asker; dead letters go too", async () => {
  await using mesh = await startChain();
  await mesh.flowing();
  const [berlin, austin, tokyo] = ["berlin", "austin", "tokyo"].map((name) => mesh.site(name)) as [
    MeshSite,
    MeshSite,
    MeshSite,
  ];
  await publish(berlin, "one");
  await publish(berlin, SECRET);
  const sequence = await publish(berlin, `${SECRET}-broken`, `no json ${SECRET}-broken`);
  await waitFor(async () => (await logged(tokyo)).includes(SECRET), { what: "the events at tokyo" });
  await waitFor(async () => (await holders(berlin, `${SECRET}-broken`)).includes("dlq_acme"), {
    what: "the dead letter",
  });

  const letter = await erase(berlin, { subject: "acme.>", sequence });
  expect((await done(berlin, letter.id)).erased).toMatchObject({ "MESH/dlq_acme": 1 });
  expect(await holders(berlin, `${SECRET}-broken`)).toEqual([]);

  await austin.end("SIGKILL");
  const { id, state } = await erase(berlin, { subject: "acme.orders.x", id: SECRET });
  expect(state).toBe("pending");
  expect(await logged(berlin)).toEqual(["one"]);
  await berlin.end("SIGKILL");
  await berlin.start();
  expect((await berlin.json<ErasureReport>(`/v1/tenants/acme/erasures/${id}`)).state).toBe("pending");
  await austin.start();
  await done(berlin, id);
  for (const site of mesh.sites) {
    expect([site.name, await logged(site)]).toEqual([site.name, ["one"]]);
    expect([site.name, await holders(site, SECRET)]).toEqual([site.name, []]);
  }
}, 120_000);
