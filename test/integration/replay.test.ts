/** Replays between real sites: marked, decided by the policy of now, beside the normal route, exactly once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { Alarm, AlarmName } from "../../src/model/alarms.ts";
import type { ReplayReport } from "../../src/model/replay.ts";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

const EXPORTS = {
  acme: { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] },
  shop: {
    name: "sales",
    to: ["austin"],
    rules: [{ subjects: ["shop.>"], redact: [{ path: "$.email", with: "remove" as const }] }],
  },
};

let mesh: Mesh;
beforeAll(async () => {
  mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [
            { tenant: "acme", exports: [EXPORTS.acme] },
            { tenant: "shop", exports: [EXPORTS.shop] },
          ]
        : [
            { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"], replay: true }] },
            { tenant: "shop", imports: [{ from: "berlin", subjects: ["shop.>"] }] },
          ],
    edit: (file) => ({ ...file, alarms: { standsStill: "1s" } }),
  });
  await mesh.flowing();
}, 60_000);
afterAll(async () => await mesh[Symbol.asyncDispose]());

const berlin = () => mesh.site("berlin");
const austin = () => mesh.site("austin");

async function start(tenant: string, body: object): Promise<ReplayReport> {
  const response = await berlin().api("POST", `/v1/tenants/${tenant}/replays`, body);
  const text = await response.text();
  expect([response.status, text]).toEqual([202, text]);
  return JSON.parse(text) as ReplayReport;
}

async function show(tenant: string, id: string): Promise<ReplayReport> {
  return await berlin().json<ReplayReport>(`/v1/tenants/${tenant}/replays/${id}`);
}

async function until(tenant: string, id: string, state: ReplayReport["state"]): Promise<ReplayReport> {
  await waitFor(
    async () =>
      (await show(tenant, id)).state === state ||
      Promise.reject(new Error(JSON.stringify(await show(tenant, id)))),
    {
      what: `replay ${id} to be ${state}`,
      deadlineMs: 30_000,
    },
  );
  return await show(tenant, id);
}

/** Waits until berlin has raised an alarm of replays, or has none. @returns what it says */
async function untilAlarm(name: AlarmName, target: string, raised: boolean): Promise<string> {
  let found: Alarm | undefined;
  await waitFor(
    async () => {
      const { items } = await berlin().json<{ items: Alarm[] }>("/v1/alarms");
      found = items.find((one) => one.name === name && one.target === target);
      return (found !== undefined) === raised;
    },
    { what: `${name} of ${target} to be ${raised ? "raised" : "cleared"}`, deadlineMs: 30_000 },
  );
  return found?.detail ?? "";
}

/** The value of a metric of one replay at berlin. */
async function measured(name: string, id: string, label = ""): Promise<number> {
  const text = await (await berlin().api("GET", "/metrics")).text();
  const [line] = text
    .split("\n")
    .filter((one) => one.startsWith(`${name}{`) && one.includes(`replay="${id}"`) && one.includes(label));
  return Number(line?.split(" ").at(-1));
}

/** Payloads of a stream of austin by the id of their replay. */
async function stored(stream: string, id: string): Promise<string[]> {
  await using there = await austin().mesh();
  const messages = await readAll(there.jsm, stream);
  return messages.filter((one) => one.header.get("Leafmesh-Replay") === id).map((one) => one.string());
}

test("a range goes to a peer of a native route, marked, once and in order, over a SIGKILL", async () => {
  const js = jetstream(await berlin().app("acme"));
  await Promise.all(
    Array.from({ length: 600 }, (_, at) => {
      const n = at + 1;
      const subject = n % 2 === 0 ? "acme.private.x" : "acme.orders.x";
      return js.publish(subject, `${n}`, n === 101 ? { msgID: "order-101" } : {});
    }),
  );
  const far = await austin().app("acme");
  const heard: string[] = [];
  far.subscribe("acme.orders.>", {
    callback: (_error, message) => {
      const mark = message.headers?.get("Leafmesh-Replay") ?? "";
      if (mark !== "") heard.push(message.string());
    },
  });
  await far.flush();
  const { id } = await start("acme", { to: { peer: "austin" }, from: 101, until: 500, rate: 150 });
  await waitFor(async () => (await show("acme", id)).forwarded > 20, { deadlineMs: 30_000 });
  await berlin().end("SIGKILL");
  await berlin().start();
  const done = await until("acme", id, "done");
  expect(done).toMatchObject({ forwarded: 200, dropped: 200, quarantined: 0, missing: 0, looked: 400 });

  const expected = Array.from({ length: 200 }, (_, n) => `${101 + 2 * n}`);
  expect(await stored("replayed_acme", id)).toEqual(expected);
  await waitFor(() => heard.length >= 200);
  expect(heard).toEqual(expected);
  // The route itself has nothing more, and in its order.
  await using there = await austin().mesh();
  const normal = await readAll(there.jsm, "in_acme");
  expect(normal.map((one) => one.string())).toEqual(Array.from({ length: 300 }, (_, n) => `${1 + 2 * n}`));
  expect(normal.every((one) => !one.header.has("Leafmesh-Replay"))).toBe(true);
  const again = (await readAll(there.jsm, "replayed_acme"))[0];
  expect([again?.subject, again?.header.get("Nats-Msg-Id"), again?.header.get("Leafmesh-Position")]).toEqual([
    "berlin.acme.orders.x",
    `order-101~${id}.101`,
    "101",
  ]);
  // The log has both.
  const log = jetstream(await austin().app("acme"));
  await waitFor(
    async () => (await (await log.jetstreamManager()).streams.info("acme")).state.messages === 500,
  );
  // What it needed is gone.
  await using here = await berlin().mesh();
  await waitFor(async () => (await here.jsm.streams.info(`replay_acme_${id}`).catch(() => null)) === null);
}, 90_000);

test("the policy of now decides; a peer gets nothing before its import takes replays; what cannot be decided is told", async () => {
  const js = jetstream(await berlin().app("shop"));
  for (let n = 1; n <= 20; n++)
    await js.publish("shop.a", JSON.stringify({ n, email: "x@example.com", name: "y" }));
  await js.publish("shop.a", "not JSON");
  await using there = await austin().mesh();
  await waitFor(async () => (await there.jsm.streams.info("in_shop")).state.messages === 20);
  await berlin().put("/v1/tenants/shop/exports/sales", {
    ...EXPORTS.shop,
    rules: [{ subjects: ["shop.>"], redact: [{ path: "$.name", with: "remove" }] }],
  });
  const dry = await start("shop", { to: { peer: "austin" }, dryRun: true });
  expect(await until("shop", dry.id, "done")).toMatchObject({ forwarded: 20, quarantined: 1 });

  const { id } = await start("shop", { to: { peer: "austin" } });
  await waitFor(async () => (await show("shop", id)).why?.includes("replay: true") === true, {
    deadlineMs: 20_000,
  });
  expect(await there.jsm.streams.info("replayed_shop").catch(() => null)).toBeNull();
  expect(await untilAlarm("replay-not-moving", `shop/${id}`, true)).toContain(
    "its import must say 'replay: true'",
  );
  await waitFor(async () => (await measured("leafmesh_replay_remaining_events", id)) === 20);
  expect(await measured("leafmesh_replay_state", id, 'state="sent"')).toBe(1);
  await austin().put("/v1/tenants/shop/imports/berlin", {
    from: "berlin",
    subjects: ["shop.>"],
    replay: true,
  });
  const done = await until("shop", id, "done");
  expect(done).toMatchObject({ forwarded: 20, quarantined: 1 });
  await untilAlarm("replay-not-moving", `shop/${id}`, false);
  expect(await measured("leafmesh_replay_remaining_events", id)).toBe(0);
  expect(await measured("leafmesh_replay_events", id, 'outcome="forwarded"')).toBe(20);
  expect(await measured("leafmesh_replay_state", id, 'state="done"')).toBe(1);
  expect(done.samples).toMatchObject([{ sequence: 21, outcome: "quarantine", reason: "payload_not_json" }]);
  const [first] = await stored("replayed_shop", id);
  expect(JSON.parse(first ?? "")).toEqual({ n: 1, email: "x@example.com" });
  // Quarantined when it came, and not a second time.
  await using here = await berlin().mesh();
  expect((await here.jsm.streams.info("dlq_shop")).state.messages).toBe(1);
}, 90_000);

test("a local replay is heard under a prefix of its own, and neither stored nor sent anywhere", async () => {
  const app = await berlin().app("acme");
  const heard: [string, string | undefined][] = [];
  app.subscribe("acme.replay.>", {
    callback: (_error, message) => {
      heard.push([`${message.subject} ${message.string()}`, message.headers?.get("Leafmesh-Replay")]);
    },
  });
  await app.flush();
  await using here = await berlin().mesh();
  const before = (await here.jsm.streams.info("out_acme")).state.last_seq;
  const { id } = await start("acme", {
    to: { local: "audit" },
    from: 1,
    until: 10,
    subjects: ["acme.private.>"],
  });
  await until("acme", id, "done");
  await waitFor(() => heard.length >= 5);
  expect(heard).toEqual([2, 4, 6, 8, 10].map((n) => [`acme.replay.audit.private.x ${n}`, id]));
  expect((await here.jsm.streams.info("out_acme")).state.last_seq).toBe(before);
}, 60_000);

test("a replay is paused, goes on, is canceled, and ends when its export does", async () => {
  const slow = { to: { peer: "austin" }, rate: 5 };
  const { id } = await start("acme", slow);
  await berlin().api("PATCH", `/v1/tenants/acme/replays/${id}`, { state: "paused" });
  const paused = await until("acme", id, "paused");
  await berlin().api("PATCH", `/v1/tenants/acme/replays/${id}`, { state: "running", rate: 50 });
  await waitFor(async () => (await show("acme", id)).forwarded > paused.forwarded, { deadlineMs: 20_000 });
  await berlin().api("DELETE", `/v1/tenants/acme/replays/${id}`);
  await until("acme", id, "canceled");
  expect((await berlin().api("PATCH", `/v1/tenants/acme/replays/${id}`, { state: "paused" })).status).toBe(
    409,
  );

  const second = await start("acme", slow);
  await waitFor(async () => (await show("acme", second.id)).forwarded > 0, { deadlineMs: 20_000 });
  const there = await berlin().api("GET", "/v1/tenants/acme/exports/orders");
  await berlin().api("DELETE", "/v1/tenants/acme/exports/orders", undefined, {
    "if-match": there.headers.get("etag") ?? "*",
  });
  expect((await until("acme", second.id, "failed")).why).toContain("no more");
  await using here = await berlin().mesh();
  await waitFor(
    async () => (await here.jsm.streams.info(`replay_acme_${second.id}`).catch(() => null)) === null,
  );
  expect(await untilAlarm("replay-failed", `acme/${second.id}`, true)).toContain("to austin has failed");

  // Another one to the same place makes up for it.
  await berlin().put("/v1/tenants/acme/exports/orders", EXPORTS.acme);
  const third = await start("acme", { to: { peer: "austin" }, from: 1, until: 10 });
  await untilAlarm("replay-failed", `acme/${second.id}`, false);
  await until("acme", third.id, "done");
}, 90_000);
