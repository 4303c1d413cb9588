/** A native route that lets more pass than before, against a real server; the peer is what it answers. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ConsumerConfig } from "@nats-io/jetstream";
import type { ApplyContext, PeerPosition } from "../../../src/control/apply.ts";
import type { ConsumerSpec } from "../../../src/control/assets.ts";
import { filtersOfConsumer } from "../../../src/control/differences.ts";
import { type OutRoute, planExports } from "../../../src/control/routes.ts";
import { Waiting } from "../../../src/control/waiting.ts";
import { widenRoute } from "../../../src/control/widen_route.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { waitFor } from "../../support/wait_for.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const OUT = "out_acme";
const PEER = "austin";
const ORDERS = "berlin.acme.orders.>";
const CATALOG = "berlin.acme.catalog.>";
const plan = planExports(
  berlin([
    {
      tenant: "acme",
      exports: [{ name: "all", to: [PEER], rules: [{ subjects: ["acme.orders.>", "acme.catalog.>"] }] }],
    },
  ]),
)[0]!;
const route = { peer: PEER, export: plan } as OutRoute;
const spec = {
  durable_name: PEER,
  ack_policy: "all",
  filter_subjects: [ORDERS, CATALOG],
} as ConsumerSpec;

let server: TestJetStream;
let changed: string;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => await server[Symbol.asyncDispose]());

/** Two events of before the change, which the peer has, and a consumer that lets pass what it did before. */
beforeEach(async () => {
  const { jsm } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ storage: "memory", name: OUT, subjects: ["berlin.acme.>"] });
  await jsm.consumers.add(OUT, { ...spec, filter_subjects: [ORDERS] } as ConsumerConfig);
  await publish(2);
  const stored = (await jsm.streams.getMessage(OUT, { seq: 2 }))?.time.getTime() ?? 0;
  await waitFor(() => Date.now() > stored + 1, { pollMs: 1 });
  changed = new Date().toISOString();
});

async function publish(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await server.js.publish("berlin.acme.orders.x");
}

/** The peer takes all that there is for it, while its consumer delivers, and has acknowledged it or not yet. */
async function take(acknowledged = true): Promise<void> {
  const consumer = await server.js.consumers.get(OUT, PEER);
  const info = await consumer.info();
  if (info.paused === true) return;
  for (let left = info.num_pending; left > 0; left--) {
    const message = await consumer.next();
    if (acknowledged) message?.ack();
  }
  await waitFor(async () => !acknowledged || (await consumer.info()).num_ack_pending === 0);
}

/** @param ask what the peer answers */
function contextOf(ask: () => Promise<PeerPosition>) {
  const letGo: boolean[] = [];
  const context = {
    mesh: server.jsm,
    peerPosition: ask,
    letGo: async () => {
      letGo.push((await consumerNow()).paused === true);
      return true;
    },
    poke: () => {},
  } as unknown as ApplyContext;
  return { context, letGo };
}

const consumerNow = () => server.jsm.consumers.info(OUT, PEER);
const widen = (context: ApplyContext, rest = true) => {
  const start = { type: "new", route, since: changed, version: "v", fresh: false } as const;
  return widenRoute(context, { type: "widen-route", route, spec, start, rest });
};
const away = async (): Promise<PeerPosition> => {
  throw new LeafmeshError("peer_unreachable", "the sidecar of austin did not answer");
};

test("a route that was paused goes on when the sidecar of its peer is away, with what both policies allow", async () => {
  await take();
  await expect(widen(contextOf(async () => ({ attached: true, sequence: 2 })).context)).rejects.toThrow(
    "still takes events",
  );
  expect((await consumerNow()).paused).toBe(true);
  await expect(widen(contextOf(away).context)).rejects.toThrow(Waiting);
  const { paused, config } = await consumerNow();
  expect({ paused: paused ?? false, filters: filtersOfConsumer(config) }).toEqual({
    paused: false,
    filters: [ORDERS],
  });
});

test("a route stays paused whose consumer still lets pass what the policy does not, or nothing of what it may", async () => {
  const { jsm } = server;
  await take();
  await jsm.consumers.pause(OUT, PEER, new Date("2200-01-01T00:00:00Z"));
  await expect(widen(contextOf(away).context, false)).rejects.toThrow(Waiting);
  expect((await consumerNow()).paused).toBe(true);
  await jsm.consumers.update(OUT, PEER, { filter_subjects: ["berlin.acme.secret.>"] } as ConsumerConfig);
  await expect(widen(contextOf(away).context)).rejects.toThrow(Waiting);
  expect((await consumerNow()).paused).toBe(true);
});

test("a route is not paused for a peer whose sidecar is away", async () => {
  await take();
  await expect(widen(contextOf(away).context)).rejects.toThrow(Waiting);
  expect((await consumerNow()).paused ?? false).toBe(false);
});

test("what a peer takes between its answer and the pause counts as what it has", async () => {
  await take();
  await publish(3);
  let stored = 2;
  // Its source is out for a moment; it attaches and takes what there is while its answer is on its way.
  const { context } = contextOf(async () => {
    const says = { attached: false, sequence: stored };
    await take(false);
    stored = (await consumerNow()).delivered.stream_seq;
    return says;
  });
  await widen(context);
  expect(stored).toBe(5);
  expect((await consumerNow()).config.opt_start_seq).toBe(6);
});

test("a peer that has attached again while it was asked is not given events by a new consumer", async () => {
  await take();
  await publish(3);
  let asked = 0;
  const { context } = contextOf(async () => ({ attached: ++asked > 1, sequence: 2 }));
  await expect(widen(context)).rejects.toThrow("still takes events");
  const { config, paused } = await consumerNow();
  expect({ paused, filters: filtersOfConsumer(config) }).toEqual({ paused: true, filters: [ORDERS] });
});

test("who listens to the consumer that was made anew attaches again before it delivers", async () => {
  await take();
  const { context, letGo } = contextOf(async () => ({ attached: false, sequence: 2 }));
  await widen(context);
  expect(letGo).toEqual([true]);
  const { config, paused } = await consumerNow();
  expect({ paused: paused ?? false, begin: config.opt_start_seq }).toEqual({ paused: false, begin: 3 });
  expect(filtersOfConsumer(config).sort()).toEqual([CATALOG, ORDERS]);
});
