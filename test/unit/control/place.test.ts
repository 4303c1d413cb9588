/** Routes that were held, against a real server whose view has decided again what an older copy lacked. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ConsumerConfig } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { type ApplyContext, applyStep, type PeerPosition } from "../../../src/control/apply.ts";
import type { ConsumerSpec } from "../../../src/control/assets.ts";
import { heldAt, noteHeld } from "../../../src/control/rollback/held.ts";
import { HoldNote } from "../../../src/control/rollback/hold_note.ts";
import { type PeerAhead, placeRoute } from "../../../src/control/rollback/place.ts";
import { positionsNow, writePositions } from "../../../src/control/rollback/position_note.ts";
import type { RewindAsk } from "../../../src/control/rollback/rewind.ts";
import { Rollbacks } from "../../../src/control/rollback/rollbacks.ts";
import { SetbackNote } from "../../../src/control/rollback/setback_note.ts";
import { type OutRoute, planExports } from "../../../src/control/routes.ts";
import type { Step } from "../../../src/control/step.ts";
import { Waiting } from "../../../src/control/waiting.ts";
import { POLICY_HEADER, POSITION_HEADER, peerConsumer } from "../../../src/model/names.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const MEMORY = { storage: "memory" } as const;
const OUT = "out_acme";
const VIEW = "view_acme_orders";
const CONSUMER = peerConsumer("austin");
const state = berlin([
  {
    tenant: "acme",
    exports: [{ name: "orders", to: ["austin"], rules: [{ subjects: ["acme.>"], when: "size > 1" }] }],
  },
]);
const plan = planExports(state)[0]!;
const route = { peer: "austin", export: plan } as OutRoute;

let server: TestJetStream;
let folder: TempFolder;
beforeAll(async () => {
  server = await startJetStream();
  folder = await tempFolder();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** The copy had six events in the source and, as its worker was behind, two in the view; the others were decided again. */
const HELD = { last: 2, source: 6 };
beforeEach(async () => {
  const { jsm, js } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ ...MEMORY, name: OUT, subjects: ["berlin.acme.>"] });
  await jsm.streams.add({ ...MEMORY, name: VIEW, subjects: ["berlin~orders.acme.>"] });
  await jsm.consumers.add(OUT, { durable_name: "view_orders", ack_policy: "all" });
  await jsm.consumers.add(VIEW, {
    durable_name: CONSUMER,
    ack_policy: "all",
    pause_until: "2200-01-01T00:00:00Z",
  } as ConsumerConfig);
  for (const position of [2, 3, 5, 6, 7]) {
    const header = headers();
    header.set(POSITION_HEADER, String(position));
    await js.publish("berlin~orders.acme.x", "", { headers: header });
  }
});

/** The identity of the view. */
const OURS = "ours";

/** A site whose peer is at `peer`, which `rewind` may change. */
async function contextOf(peer: { at: PeerPosition }, rewind: (ask: RewindAsk) => void, more = {}) {
  const resets: (number | null)[] = [];
  const context = {
    mesh: server.jsm,
    holds: await HoldNote.open(folder.path),
    peerPosition: async () => peer.at,
    peerAhead: () => {},
    setbacks: await SetbackNote.open(folder.path),
    resetHere: async (_stream: string, _consumer: string, sequence: number | null) => {
      resets.push(sequence);
      return OURS;
    },
    letGo: async () => true,
    rewindPeer: async (_peer: string, ask: RewindAsk) => {
      // As rewindSource() does.
      if (ask.after >= ask.has) throw new Error(`${ask.after} is not before ${ask.has}`);
      rewind(ask);
    },
    ...more,
  } as unknown as ApplyContext;
  return { context, resets };
}

async function heldBy(...args: Parameters<typeof contextOf>) {
  const site = await contextOf(...args);
  await noteHeld(site.context, VIEW, CONSUMER, HELD);
  return site;
}

async function expectPlaced(): Promise<void> {
  const { config, paused } = await server.jsm.consumers.info(VIEW, CONSUMER);
  expect({ held: heldAt(config), paused: paused ?? false }).toEqual({ held: null, paused: false });
}

test("a route goes on whose peer has gone back, and whose answer was lost", async () => {
  const peer = { at: { attached: true, sequence: 50, position: 60 } };
  const { context, resets } = await heldBy(peer, ({ after }) => {
    peer.at = { attached: false, sequence: after, position: 60 };
    throw new Error("the sidecar of austin did not answer within 4000 ms");
  });
  await expect(placeRoute(context, route)).rejects.toThrow(Waiting);
  expect(peer.at.sequence).toBe(4);
  await placeRoute(context, route);
  expect(resets).toEqual([5, 5]);
  await expectPlaced();
});

test("a route goes on whose peer has what was decided again here, and no more", async () => {
  const { context, resets } = await heldBy({ at: { attached: true, sequence: 3, position: 5 } }, () => {});
  await placeRoute(context, route);
  expect(resets).toEqual([4]);
  await expectPlaced();
});

test("a route that is to be made anew stays paused when its peer has said what it has", async () => {
  const { context } = await heldBy({ at: { attached: true, sequence: 2, position: 3 } }, () => {});
  await applyStep(context, { type: "place-route", route, paused: true });
  const { config, paused } = await server.jsm.consumers.info(VIEW, CONSUMER);
  expect({ held: heldAt(config), paused }).toEqual({ held: null, paused: true });
});

test("a peer that has more goes back first", async () => {
  const peer = { at: { attached: true, sequence: 50, position: 60 } };
  const asked: number[] = [];
  const { context } = await heldBy(peer, ({ after }) => {
    asked.push(after);
    peer.at = { attached: false, sequence: after, position: 60 };
  });
  await expect(placeRoute(context, route)).rejects.toThrow("goes back to 4");
  await placeRoute(context, route);
  expect(asked).toEqual([4]);
  await expectPlaced();
});

/** Of the five of the view, the peer has acknowledged four. */
async function acknowledgeFour(): Promise<void> {
  const { jsm, js } = server;
  await jsm.consumers.resume(VIEW, CONSUMER);
  const consumer = await js.consumers.get(VIEW, CONSUMER);
  for (let n = 1; n <= 4; n++) {
    const message = await consumer.next({ expires: 5000 });
    if (n === 4) await message?.ackAck();
  }
  await jsm.consumers.pause(VIEW, CONSUMER, new Date("2200-01-01T00:00:00Z"));
}

test("a peer that has stored less than is acknowledged takes it up again, and is asked for that once", async () => {
  await acknowledgeFour();
  const asked: unknown[] = [];
  const peer = { at: { attached: true, sequence: 2, goesOnAfter: 2, identity: OURS } as PeerPosition };
  const takeUpAgain = async (name: string, ask: unknown) => asked.push([name, ask]);
  const { context, resets } = await heldBy(peer, () => {}, { takeUpAgain });
  await expect(placeRoute(context, route)).rejects.toThrow("austin takes view_acme_orders up again after 2");
  expect([asked, resets]).toEqual([[["austin", { tenant: "acme", stream: VIEW }]], [null]]);
  // It could not: its consumer begins later, or it cannot tell any more.
  await placeRoute(context, route);
  expect(asked.length).toBe(1);
  await expectPlaced();
});

test("and is asked again where it did not answer", async () => {
  await acknowledgeFour();
  let asked = 0;
  const peer = { at: { attached: true, sequence: 2, goesOnAfter: 2, identity: "" } as PeerPosition };
  const takeUpAgain = async () => {
    if (++asked === 1) throw new Error("timeout");
    peer.at = { attached: false, sequence: 2 };
  };
  const { context } = await heldBy(peer, () => {}, { takeUpAgain });
  await expect(placeRoute(context, route)).rejects.toThrow(
    "austin must take view_acme_orders up again after 2",
  );
  await expect(placeRoute(context, route)).rejects.toThrow("austin takes view_acme_orders up again after 2");
  await placeRoute(context, route);
  expect(asked).toBe(2);
  await expectPlaced();
});

test("not a peer that has all that is acknowledged, or what it has is of another stream", async () => {
  await acknowledgeFour();
  const asked: unknown[] = [];
  const takeUpAgain = async () => asked.push(1);
  for (const says of [
    { goesOnAfter: 4, identity: OURS },
    { goesOnAfter: 2, identity: "of one before" },
    {},
  ]) {
    const { context } = await heldBy({ at: { attached: true, sequence: 2, ...says } }, () => {}, {
      takeUpAgain,
    });
    await placeRoute(context, route);
    await expectPlaced();
    await server.jsm.consumers.pause(VIEW, CONSUMER, new Date("2200-01-01T00:00:00Z"));
  }
  expect(asked).toEqual([]);
});

test("a route that was placed is forgotten as one of a copy, wherever its sidecar dies", async () => {
  const peer = { at: { attached: true, sequence: 2, position: 3 } };
  const found = [VIEW, OUT].map((stream) => ({ stream, last: 2 }));
  const noted = async () => {
    const note = await SetbackNote.open(folder.path);
    return [note.lastOf(VIEW, "to austin"), note.lastOf(OUT, `to austin by ${VIEW}`)];
  };
  const killed = () => Promise.reject(new Error("killed"));
  const consumers = Object.create(server.jsm.consumers, { update: { value: killed } });
  const deaths = [
    // While the note is written.
    async () => ({ setbacks: Object.assign(await noteOf(), { placed: killed }) }),
    // After it, while the consumer still says that it is held.
    async () => ({ mesh: Object.create(server.jsm, { consumers: { value: consumers } }) }),
    async () => ({}),
  ];
  const noteOf = () => SetbackNote.open(folder.path);
  const { context, resets } = await heldBy(peer, () => {});
  await (await noteOf()).add(found, state);
  expect(await noted()).toEqual([2, 2]);
  for (const death of deaths) {
    const next = { ...context, setbacks: await noteOf(), ...(await death()) } as ApplyContext;
    await placeRoute(next, route).catch((error: unknown) => expect(String(error)).toContain("killed"));
    const { config } = await server.jsm.consumers.info(VIEW, CONSUMER);
    // Nothing would look at the note again.
    if (heldAt(config) === null) expect(await noted()).toEqual([null, null]);
  }
  expect([await noted(), resets]).toEqual([[null, null], []]);
  await expectPlaced();
});

test("a consumer that is made on an older copy of a view is held: its peer may have had one", async () => {
  const { jsm } = server;
  await jsm.consumers.delete(VIEW, CONSUMER);
  await jsm.streams.update(VIEW, {
    ...(await jsm.streams.info(VIEW)).config,
    metadata: { "leafmesh-version": "v1", "leafmesh-version-after": "0" },
  });
  const exports = [{ name: "orders", to: ["austin"], rules: [{ subjects: ["acme.>"], when: "size > 1" }] }];
  const state = berlin([{ tenant: "acme", exports, imports: [{ from: "tokyo", subjects: ["acme.>"] }] }]);
  const noted = await positionsNow(jsm, new Date());
  const streams = Object.fromEntries(
    Object.entries(noted.streams).map(([name, { created }]) => [name, { created, last: 90 }]),
  );
  await writePositions(folder.path, { ...noted, streams });
  await using rollbacks = await Rollbacks.open({
    folder: folder.path,
    mesh: jsm,
    raise: () => {},
    tell: async () => {},
    now: () => new Date(),
    log: () => {},
  });
  expect(await rollbacks.look(state)).toBe(2);
  const { context } = await contextOf({ at: { attached: true, sequence: 50, position: 60 } }, () => {}, {
    setbacks: rollbacks.setbacks,
    poke: () => {},
  });
  await applyStep(context, {
    type: "create-consumer",
    stream: VIEW,
    spec: { durable_name: CONSUMER } as ConsumerSpec,
    start: { type: "new", route, since: new Date(0).toISOString(), version: "v1", fresh: false },
    paused: false,
  });
  const { config, paused } = await jsm.consumers.info(VIEW, CONSUMER);
  expect({ held: heldAt(config), paused }).toEqual({ held: { last: 5, source: 0 }, paused: true });

  // Each route once: what is made later has nothing to do with the copy. Another start knows it.
  const { setbacks } = rollbacks;
  expect([
    setbacks.lastOf(VIEW, "to austin"),
    setbacks.lastOf(VIEW, "from tokyo"),
    setbacks.lastOf(VIEW, "to tokyo"),
  ]).toEqual([5, null, null]);
  await setbacks.placed(VIEW, "to austin");
  const again = await SetbackNote.open(folder.path);
  expect([
    again.lastOf(VIEW, "to austin"),
    again.lastOf(VIEW, "from tokyo"),
    again.lastOf(OUT, "to austin by view_acme_orders"),
  ]).toEqual([null, null, 0]);
});

/** Three events in the source and in the view, and austin still sources from the first. @param held whether the server has started anew */
async function beforeMove(held: boolean): Promise<void> {
  const { jsm, js } = server;
  await jsm.streams.purge(VIEW);
  await jsm.streams.delete(VIEW);
  const metadata = { "leafmesh-version": "v1", "leafmesh-version-after": "0" };
  await jsm.streams.add({ ...MEMORY, name: VIEW, subjects: ["berlin~orders.acme.>"], metadata });
  for (const position of [1, 2, 3]) {
    await js.publish("berlin.acme.x");
    const header = headers();
    header.set(POSITION_HEADER, String(position));
    header.set(POLICY_HEADER, "v1");
    await js.publish("berlin~orders.acme.x", "", { headers: header });
  }
  await jsm.consumers.delete(OUT, "view_orders");
  await jsm.consumers.add(OUT, { durable_name: "view_orders", ack_policy: "all", deliver_policy: "new" });
  const paused = { pause_until: "2200-01-01T00:00:00Z" };
  await jsm.consumers.add(OUT, { durable_name: CONSUMER, ack_policy: "all", ...paused } as ConsumerConfig);
  const { context } = await contextOf({ at: { attached: false, sequence: 0 } }, () => {});
  if (held) await noteHeld(context, OUT, CONSUMER, { last: 3, source: 3 });
}

const SWITCH = {
  type: "switch-route",
  route,
  from: { stream: OUT, consumer: CONSUMER, source: OUT },
  drain: false,
  spec: { durable_name: CONSUMER } as ConsumerSpec,
  paused: false,
  version: "v1",
} satisfies Step;

/** Moves austin to the view, and lets it go on. @param says what it says of a stream */
async function move(says: Record<string, PeerPosition>) {
  const told: PeerAhead[] = [];
  const asked: RewindAsk[] = [];
  const letGo: unknown[] = [];
  const peer = { ...says };
  const { context, resets } = await contextOf(
    { at: peer[OUT]! },
    (ask) => {
      asked.push(ask);
      peer[VIEW] = { ...peer[VIEW]!, sequence: ask.after };
    },
    {
      poke: () => {},
      peerPosition: async (_peer: string, _tenant: string, stream: string) => peer[stream],
      peerAhead: (found: PeerAhead) => told.push(found),
      letGo: async (stream: string, _consumer: string, options: unknown) => {
        const { paused } = await server.jsm.consumers.info(stream, CONSUMER);
        return letGo.push({ stream, paused, options }) > 0;
      },
    },
  );
  await applyStep(context, SWITCH);
  const { config, paused } = await server.jsm.consumers.info(VIEW, CONSUMER);
  const made = { begin: config.opt_start_seq, held: heldAt(config), paused: paused ?? false };
  for (let tries = 0; made.held !== null && tries < 3; tries++) {
    const waits = await placeRoute(context, route).catch((error: unknown) => error);
    if (waits === undefined) break;
    if (!(waits instanceof Waiting)) throw waits;
  }
  await expectPlaced();
  return { made, told, asked, resets, letGo };
}

test("a route that moves is forgotten as one of a copy, and its peer, which has no more than there was, goes on after that", async () => {
  await beforeMove(true);
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.addAll([OUT, VIEW].map((stream) => ({ stream, last: 3 })));
  const has = { attached: false, sequence: 2, position: 2 };
  const { made, told, asked } = await move({ [OUT]: has, [VIEW]: { ...has, attached: true } });
  expect(made).toEqual({ begin: 3, held: { last: 3, source: 3, after: 2 }, paused: true });
  expect([told, asked]).toEqual([[], []]);
  const again = await SetbackNote.open(folder.path);
  expect([OUT, VIEW].map((stream) => again.lastOf(stream, "to austin"))).toEqual([null, null]);
  expect(again.lastOf(OUT, `to austin by ${VIEW}`)).toBeNull();
});

test("a peer goes back that made the move which is made again, as far as the copy goes", async () => {
  await beforeMove(true);
  const { made, told, asked, letGo } = await move({
    [OUT]: { attached: false, sequence: 2, position: 60 },
    [VIEW]: { attached: true, sequence: 50, position: 60 },
  });
  expect(made).toEqual({ begin: 4, held: { last: 3, source: 3, after: 3, ahead: true }, paused: true });
  expect(asked).toEqual([{ tenant: "acme", origin: "berlin", stream: VIEW, has: 50, after: 3, position: 3 }]);
  const positions = { first: 4, last: 60 };
  expect(told).toEqual([
    { tenant: "acme", peer: "austin", stream: VIEW, first: 4, last: 50, positions, after: 3 },
  ]);
  expect(letGo).toEqual([{ stream: VIEW, paused: true, options: undefined }]);
});

test("so does one whose copy was not known as one: it has more than there is", async () => {
  await beforeMove(false);
  const { made, asked } = await move({
    [OUT]: { attached: false, sequence: 2, position: 60 },
    [VIEW]: { attached: true, sequence: 50, position: 60 },
  });
  expect(made.held).toEqual({ last: 2, source: 2, after: 2 });
  expect(asked).toMatchObject([{ has: 50, after: 2 }]);
});

test("a peer that has more of its old stream than the copy is told of, and goes on with what is new", async () => {
  await beforeMove(true);
  const { made, told, asked } = await move({
    [OUT]: { attached: false, sequence: 60, position: 60 },
    [VIEW]: { attached: false, sequence: 0, position: 60 },
  });
  expect(made).toMatchObject({ begin: 4, held: { after: 3 } });
  expect(told).toMatchObject([{ stream: OUT, first: 4, last: 60, after: 3 }]);
  expect(asked).toEqual([]);
});

for (const attached of [false, true]) {
  const what = attached ? "lets go of one before" : "is made at once where its peer listens to none";
  test(`the consumer of a route that moves ${what}`, async () => {
    await beforeMove(false);
    const says = { sequence: 2, position: 2 };
    const { made, letGo, told } = await move({
      [OUT]: { ...says, attached: false },
      [VIEW]: { attached, sequence: 0 },
    });
    expect(made).toEqual({ begin: 3, held: null, paused: false });
    const first = { stream: VIEW, paused: true, options: { since: "made" } };
    expect([letGo, told]).toEqual([attached ? [first] : [], []]);
  });
}

/** Austin sources from the view, held as the server has started anew; the export is native now. */
const BACK = {
  ...SWITCH,
  route: { ...route, export: { ...plan, stream: OUT } },
  from: { stream: VIEW, consumer: CONSUMER, source: OUT },
  drain: true,
} satisfies Step;

test("a peer that moves to the native route as its exporter starts anew takes the rest of the view first", async () => {
  const says = { attached: false, sequence: 2, position: 3 };
  await using none = await tempFolder();
  const setbacks = await SetbackNote.open(none.path);
  const { context } = await heldBy({ at: says }, () => {}, { poke: () => {}, setbacks });
  await expect(applyStep(context, BACK)).rejects.toThrow("austin takes what is left of its old route first");
  const { config } = await server.jsm.consumers.info(VIEW, CONSUMER);
  expect(heldAt(config)).toBeNull();
  await expect(applyStep(context, BACK)).rejects.toThrow(
    "5 events of view_acme_orders are still to be taken",
  );
});

for (const [what, says, noted] of [
  ["has more of the view", { sequence: 3, position: 5 }, false],
  ["has more by another stream", { sequence: 2, position: 7 }, false],
  ["was not asked yet since the copy was found", { sequence: 2, position: 3 }, "to austin"],
  ["has a view of which it is not known what it holds, more", { sequence: 2, position: 3 }, "left"],
] as const) {
  test(`a peer that ${what} than an older copy takes no more of its view`, async () => {
    await using notes = await tempFolder();
    const setbacks = await SetbackNote.open(notes.path);
    if (noted === "to austin") await setbacks.addAll([{ stream: VIEW, last: 2 }]);
    // No policy fills it any more.
    if (noted === "left") await setbacks.add([{ stream: VIEW, last: 2 }], berlin([{ tenant: "acme" }]));
    const at = { attached: false, ...says };
    const { context } = await heldBy({ at }, () => {}, { poke: () => {}, setbacks });
    await applyStep(context, BACK);
    const { config } = await server.jsm.consumers.info(OUT, CONSUMER);
    expect(heldAt(config)).not.toBeNull();
  });
}

for (const [what, ahead, held] of [
  [
    "goes back also when the route moves back to that at once",
    true,
    { last: 6, source: 6, after: 6, ahead: true },
  ],
  ["goes on after what it has where that is no copy", false, null],
] as const) {
  test(`a peer that has more by its stream of before ${what}`, async () => {
    const { jsm, js } = server;
    for (let n = 0; n < 9; n++) await js.publish("berlin.acme.x");
    await acknowledgeFour();
    const peer: Record<string, PeerPosition> = {
      [OUT]: { attached: false, sequence: 8, position: 8 },
      [VIEW]: { attached: false, sequence: 0, position: 8 },
    };
    const asked: RewindAsk[] = [];
    const { context } = await contextOf(
      { at: peer[OUT]! },
      (ask) => {
        asked.push(ask);
        peer[OUT] = { attached: false, sequence: ask.after, position: ask.after };
      },
      {
        poke: () => {},
        peerPosition: async (_peer: string, _tenant: string, stream: string) => peer[stream],
      },
    );
    // The copy had six of the source: the move that was made on it left this.
    await noteHeld(context, VIEW, CONSUMER, { last: 4, source: 6, after: 4, ahead });
    await applyStep(context, { ...BACK, drain: false });
    const { config } = await jsm.consumers.info(OUT, CONSUMER);
    expect([config.opt_start_seq, heldAt(config)]).toEqual([7, held]);
    const back = { ...route, export: { ...plan, stream: OUT } };
    if (held === null) return;
    await expect(placeRoute(context, back)).rejects.toThrow("austin goes back to 6 of out_acme");
    expect(asked).toMatchObject([{ stream: OUT, has: 8, after: 6 }]);
  });
}
