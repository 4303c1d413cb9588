/** Tenants, peers, exports and imports that come and go while the mesh runs. */
import { expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { createSigningKey } from "../../src/nats/keys.ts";
import { Load } from "../support/ledger.ts";
import { letIn } from "../support/let_in.ts";
import { startMesh, startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const RING = { berlin: ["austin"], austin: ["tokyo"], tokyo: ["berlin"] };
/** Within a second or two on a quiet machine. */
const SOON = { deadlineMs: 15_000, pollMs: 50 };

test("a tenant added at run time publishes, crosses and reads back, and drops no client", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: () => [{ tenant: "acme" }],
  });
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const before = await berlin.app("acme");
  let dropped = 0;
  void (async () => {
    for await (const status of before.status()) if (status.type === "disconnect") dropped++;
  })();

  const app = createSigningKey();
  const users = [{ name: "app", key: app.publicKey }];
  for (const site of [berlin, austin]) await site.put("/v1/tenants/initech", { users });
  await berlin.put("/v1/tenants/initech/exports/all", {
    to: ["austin"],
    rules: [{ subjects: ["initech.>"] }],
  });
  await austin.put("/v1/tenants/initech/imports/berlin", { subjects: ["initech.>"] });
  const open = (site: typeof berlin) =>
    letIn(
      { servers: site.file.server?.listen ?? "", authenticator: app.authenticator, reconnect: false },
      { what: "the new user to be let in" },
    );
  const [here, there] = [await open(berlin), await open(austin)];
  try {
    const got: string[] = [];
    there.subscribe("initech.>", { callback: (_error, message) => void got.push(message.subject) });
    await there.flush();
    const ack = await waitFor(() => jetstream(here).publish("initech.hello", "x"), { what: "a PubAck" });
    expect(ack.stream).toBe("out_initech");
    await waitFor(() => got.length > 0, { what: "the event at the far site" });
    await waitFor(
      async () => (await (await jetstreamManager(there)).streams.info("initech")).state.messages === 1,
      {
        what: "the event in the far log",
      },
    );
  } finally {
    await Promise.all([here.close(), there.close()]);
  }
  expect(dropped).toBe(0);

  // Removed: its users are out at once; added again, it goes on with what it had.
  const etag = (await berlin.api("GET", "/v1/tenants/initech")).headers.get("etag") ?? "";
  expect((await berlin.api("DELETE", "/v1/tenants/initech", undefined, { "if-match": etag })).status).toBe(
    204,
  );
  await waitFor(
    async () => {
      const nc = await open(berlin).catch(() => null);
      await nc?.close();
      return nc === null;
    },
    { deadlineMs: 15_000, what: "the removed tenant's user to be refused" },
  );
  await berlin.put("/v1/tenants/initech", { users });
  const again = await open(berlin);
  const ack = await waitFor(() => jetstream(again).publish("initech.again", "x"), SOON);
  expect(ack.seq).toBe(2);
  await again.close();
}, 60_000);

test("a removed peer is cut at once, and nothing of later events reaches it", async () => {
  await using mesh = await startMesh({
    sites: RING,
    tenants: (site) => {
      const others = Object.keys(RING).filter((other) => other !== site);
      return [
        {
          tenant: "acme",
          exports: [{ name: "all", to: others, rules: [{ subjects: ["acme.>"] }] }],
          imports: others.map((from) => ({ from, subjects: ["acme.>"] })),
        },
      ];
    },
  });
  await mesh.flowing();
  const [berlin, austin, tokyo] = [mesh.site("berlin"), mesh.site("austin"), mesh.site("tokyo")];
  const app = await berlin.app("acme");
  const load = new Load(app, { subject: () => "acme.orders.x" });
  const [atAustin, atTokyo] = [await austin.app("acme"), await tokyo.app("acme")];
  await waitFor(async () => (await readLog(atTokyo, "acme", "berlin.acme.>")).length > 100);
  // The export must name only peers that are there.
  await berlin.put("/v1/tenants/acme/exports/all", { to: ["austin"], rules: [{ subjects: ["acme.>"] }] });
  const remove = async (path: string) => {
    const etag = (await berlin.api("GET", path)).headers.get("etag") ?? "";
    const response = await berlin.api("DELETE", path, undefined, { "if-match": etag });
    expect(response.status).toBe(204);
  };
  await remove("/v1/tenants/acme/imports/tokyo");
  await remove("/v1/peers/tokyo");
  await waitFor(
    async () => (await tokyo.links()).find((link) => link.peer === "berlin")?.connected === false,
    {
      ...SOON,
      what: "the leaf to be cut",
    },
  );
  const stopped = (await readLog(atTokyo, "acme", "berlin.acme.>")).length;
  const more = load.count + 500;
  await waitFor(() => load.count > more, { what: "more events" });
  await load.stop();
  await waitFor(async () => (await readLog(atAustin, "acme", "berlin.acme.>")).length === load.count, {
    deadlineMs: 15_000,
    what: "all events at the peer that stays",
  });
  expect((await readLog(atTokyo, "acme", "berlin.acme.>")).length).toBe(stopped);
}, 60_000);

test("drift is repaired: a deleted consumer goes on where its peer is, a changed stream is set back", async () => {
  await using mesh = await startPair({
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), { subject: () => "acme.orders.x" });
  const far = await austin.app("acme");
  await waitFor(async () => (await readLog(far, "acme", "berlin.acme.>")).length > 100);

  await using mine = await berlin.mesh();
  const { jsm } = mine;
  await jsm.consumers.delete("out_acme", "austin");
  const { config } = await jsm.streams.info("out_acme");
  await jsm.streams.update("out_acme", { ...config, max_age: config.max_age * 2 });
  await waitFor(
    async () =>
      (await jsm.streams.info("out_acme")).config.max_age === config.max_age &&
      (await jsm.consumers.info("out_acme", "austin")).push_bound === true,
    { deadlineMs: 30_000, what: "the repair" },
  );
  await load.stop();
  const events = await waitFor(
    async () => {
      const found = await readLog(far, "acme", "berlin.acme.>");
      return found.length >= load.count ? found : null;
    },
    { deadlineMs: 20_000, what: `${load.count} events` },
  );
  expect(new Set(events.map((event) => event.n)).size).toBe(load.count);
  expect(events.length).toBe(load.count);
}, 60_000);

test("an import decides what apps hear, also those that listen already, and whatever the peer sends", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }] }
        : { tenant: "acme" },
    ],
  });
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const far = await austin.app("acme");
  const heard: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void heard.push(message.subject) });
  await far.flush();
  const publish = jetstream(await berlin.app("acme"));
  await austin.put("/v1/tenants/acme/imports/berlin", { subjects: ["acme.orders.>"] });
  await waitFor(
    async () => {
      await publish.publish("acme.orders.x", "x");
      await publish.publish("acme.other.x", "x");
      return heard.length > 0;
    },
    { ...SOON, what: "an accepted event" },
  );
  await austin.put("/v1/tenants/acme/imports/berlin", { subjects: ["acme.other.>"] });
  await waitFor(
    async () => {
      await publish.publish("acme.orders.x", "x");
      await publish.publish("acme.other.x", "x");
      return heard.includes("acme.other.x");
    },
    { ...SOON, what: "an event that is accepted now" },
  );
  const orders = heard.filter((subject) => subject === "acme.orders.x").length;
  await publish.publish("acme.orders.x", "late");
  await publish.publish("acme.other.last", "x");
  await waitFor(() => heard.includes("acme.other.last"));
  expect(heard.filter((subject) => subject === "acme.orders.x").length).toBe(orders);
  expect(heard.every((subject) => subject.startsWith("acme.o"))).toBe(true);
}, 40_000);
