/** Kinds of routes: mirror, transit, log only; and what a peer may not do. */
import { expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { createSigningKey } from "../../src/nats/keys.ts";
import { startMesh, startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

test("mirror: true keeps an exact copy with the same sequences, and republishes nothing", async () => {
  await using mesh = await startPair({
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"], mirror: true }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const far = await austin.app("acme");
  const live: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void live.push(message.subject) });
  for (let n = 0; n < 10; n++) await js.publish(n % 2 === 0 ? "acme.orders.x" : "acme.private.x", `${n}`);
  await using mine = await austin.mesh();
  await using theirs = await berlin.mesh();
  await waitFor(async () => (await mine.jsm.streams.info("mirror_acme_berlin")).state.messages === 5);
  for (const seq of [1, 3, 5, 7, 9]) {
    const copy = await mine.jsm.streams.getMessage("mirror_acme_berlin", { seq });
    const original = await theirs.jsm.streams.getMessage("out_acme", { seq });
    expect(copy?.string()).toBe(original?.string() ?? "?");
    expect(copy?.subject).toBe(original?.subject ?? "?");
  }
  expect(live).toEqual([]);
}, 30_000);

test("transit: a site passes on another's events only where its export and the importer name the origin", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: ["tokyo"], tokyo: [] },
    tenants: (site) => {
      switch (site) {
        case "berlin":
          return [
            { tenant: "acme", exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }] },
          ];
        case "austin":
          return [
            {
              tenant: "acme",
              imports: [{ from: "berlin", subjects: ["acme.>"] }],
              exports: [
                {
                  name: "through",
                  to: ["tokyo"],
                  origin: "berlin",
                  rules: [{ subjects: ["acme.orders.>"] }],
                },
              ],
            },
          ];
        default:
          return [{ tenant: "acme", imports: [{ from: "austin", origin: "berlin", subjects: ["acme.>"] }] }];
      }
    },
  });
  await mesh.flowing();
  const js = jetstream(await mesh.site("berlin").app("acme"));
  const atAustin = jetstream(await mesh.site("austin").app("acme"));
  const far = await mesh.site("tokyo").app("acme");
  const live: string[] = [];
  far.subscribe("acme.>", {
    callback: (_error, message) => void live.push(`${message.subject} ${message.string()}`),
  });
  await far.flush();
  await js.publish("acme.orders.x", "from berlin");
  await js.publish("acme.private.x", "stays with austin");
  await atAustin.publish("acme.orders.x", "austin's own stays");
  await js.publish("acme.orders.y", "last");
  await waitFor(() => live.length >= 2);
  expect(live).toEqual(["acme.orders.x from berlin", "acme.orders.y last"]);
  await using there = await mesh.site("tokyo").mesh();
  const stored = await there.jsm.streams.getMessage("in_acme", { seq: 1 });
  expect(stored?.subject).toBe("berlin.acme.orders.x");
}, 30_000);

test("live: false fills the log and tells no core subscriber", async () => {
  await using mesh = await startPair({
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.orders.>"], live: false }],
  });
  await mesh.flowing();
  const js = jetstream(await mesh.site("berlin").app("acme"));
  const far = await mesh.site("austin").app("acme");
  const live: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void live.push(message.subject) });
  await js.publish("acme.other.x", "not accepted");
  await js.publish("acme.orders.x", "accepted");
  const jsm = await jetstreamManager(far);
  await waitFor(async () => (await jsm.streams.info("acme")).state.messages === 1);
  expect((await jsm.streams.getMessage("acme", { seq: 1 }))?.subject).toBe("berlin.acme.orders.x");
  expect(live).toEqual([]);
}, 30_000);

test("a peer that is another site than it says gets nothing, and the link says who answered", async () => {
  // austin's sidecar runs with a key that berlin does not expect; berlin dials it.
  await using mesh = await startPair(
    {
      exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
      imports: [{ from: "berlin", subjects: ["acme.>"] }],
    },
    (file) =>
      file.site !== "berlin"
        ? file
        : {
            ...file,
            peers: (file.peers ?? []).map((peer) => ({ ...peer, key: createSigningKey().publicKey })),
          },
  );
  const berlin = mesh.site("berlin");
  const link = await waitFor(async () => {
    const [found] = await berlin.links();
    return found?.verified === "no" ? found : null;
  });
  expect(link.why).toMatch(/signs as austin with key U[A-Z2-7]{55}; expected U[A-Z2-7]{55}/);
  const js = jetstream(await berlin.app("acme"));
  const far = await mesh.site("austin").app("acme");
  const live: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void live.push(message.subject) });
  await js.publish("acme.orders.x", "secret");
  await using there = await mesh.site("austin").mesh();
  await using here = await berlin.mesh();
  // Even a source that austin attaches by hand gets nothing: berlin's consumer is paused.
  const { config } = await there.jsm.streams.info("in_acme");
  await there.jsm.streams.update("in_acme", {
    ...config,
    sources: [
      {
        name: "out_acme",
        external: { api: "mesh.berlin.API", deliver: "" },
        consumer: { name: "austin", deliver_subject: "mesh.berlin.deliver.austin.out_acme" },
      },
    ],
    duplicate_window: 0,
  });
  await new Promise((resolve) => setTimeout(resolve, 4000));
  const consumer = await here.jsm.consumers.info("out_acme", "austin");
  expect(consumer.paused).toBe(true);
  expect(consumer.delivered.stream_seq).toBe(0);
  expect((await there.jsm.streams.info("in_acme")).state.messages).toBe(0);
  expect(live).toEqual([]);
}, 40_000);

test("a site whose key is not the one configured cannot dial in, and links say why", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: () => [{ tenant: "acme" }],
    edit: (file) =>
      file.site !== "austin"
        ? file
        : {
            ...file,
            peers: (file.peers ?? []).map((peer) => ({ ...peer, key: createSigningKey().publicKey })),
          },
  });
  const [link] = await mesh.site("austin").links();
  expect(link).toMatchObject({ connected: false, verified: "unknown" });
  expect(link?.why).toMatch(/berlin has not dialled us, or with another key than U/);
  const [dialler] = await mesh.site("berlin").links();
  expect(dialler?.why).toMatch(/does not know our key/);
}, 30_000);
