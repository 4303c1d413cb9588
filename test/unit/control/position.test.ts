/** Positions against a real server: streams with holes, views behind their source, peers in the middle of a switch. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { headers } from "@nats-io/transport-node";
import type { PeerPosition } from "../../../src/control/apply.ts";
import { importPosition } from "../../../src/control/import_position.ts";
import { observeMesh } from "../../../src/control/observe.ts";
import { positionAt, sequenceAfter, sequenceAt } from "../../../src/control/position.ts";
import { rewoundMetadata } from "../../../src/control/rollback/rewound.ts";
import { planExports, planInRoutes } from "../../../src/control/routes.ts";
import { CUT, CUT_DELIVERED, restToTake, setBackWith, switchPosition } from "../../../src/control/switch.ts";
import { POSITION_HEADER } from "../../../src/model/names.ts";
import { waitFor } from "../../support/wait_for.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

let server: TestJetStream;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => await server[Symbol.asyncDispose]());

/** A stream on disk that is deleted and made again at once may come back with its old events. */
const MEMORY = { storage: "memory" } as const;
const OUT = "out_acme";
const VIEW = "view_acme_orders";
const plan = planExports(
  berlin([
    {
      tenant: "acme",
      exports: [
        {
          name: "orders",
          to: ["austin"],
          rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.a", with: "remove" }] }],
        },
      ],
    },
  ]),
)[0]!;

/** Empty streams; the view's worker has a consumer that has decided nothing yet. */
beforeEach(async () => {
  const { jsm } = server;
  const names: string[] = [];
  for await (const { config } of jsm.streams.list()) names.push(config.name);
  for (const name of names) await jsm.streams.delete(name);
  await jsm.streams.add({ ...MEMORY, name: OUT, subjects: ["berlin.acme.>"], allow_direct: true });
  await jsm.streams.add({ ...MEMORY, name: VIEW, subjects: ["berlin~orders.acme.>"], allow_direct: true });
  await jsm.consumers.add(OUT, { durable_name: "view_orders", ack_policy: "all" });
});

async function publish(count: number, subject = "berlin.acme.orders.x"): Promise<void> {
  for (let n = 0; n < count; n++) await server.js.publish(subject);
}

/** Fills the view with events of these positions: sequences 1, 2, 3, … */
async function fillView(...positions: number[]): Promise<void> {
  for (const position of positions) {
    const header = headers();
    header.set(POSITION_HEADER, String(position));
    await server.js.publish("berlin~orders.acme.orders.x", "", { headers: header });
  }
}

/** Has a pull consumer take and acknowledge everything up to a sequence. */
async function acknowledge(stream: string, name: string, upTo: number): Promise<void> {
  const consumer = await server.js.consumers.get(stream, name);
  for (let done = 0; done < upTo; ) {
    const message = await consumer.next();
    if (message === null) throw new Error(`${stream}/${name} has nothing more`);
    done = message.seq;
    message.ack();
  }
  await waitFor(async () => (await consumer.info()).ack_floor.stream_seq >= upTo);
}

const positionIn = (sequence: number, stream = VIEW) => positionAt(server.jsm, stream, OUT, sequence);
const after = (position: number) => sequenceAfter(server.jsm, plan, position);

describe("positionAt()", () => {
  test("is the sequence itself when the stream is the source", async () => {
    expect(await positionIn(17, OUT)).toBe(17);
  });

  test("is what the view's event carries", async () => {
    await fillView(3, 5, 9);
    expect([await positionIn(0), await positionIn(1), await positionIn(3)]).toEqual([0, 3, 9]);
  });

  test("is just before the first event that is left when retention has dropped it", async () => {
    await fillView(3, 5, 9);
    await server.jsm.streams.purge(VIEW, { seq: 3 });
    expect(await positionIn(1)).toBe(8);
  });

  test("is that of the last event before it when one was deleted from the middle", async () => {
    await fillView(3, 5, 9);
    await server.jsm.streams.deleteMessage(VIEW, 2);
    expect(await positionIn(2)).toBe(3);
  });

  test("is 0 when nothing is left or ever was", async () => {
    expect(await positionIn(4)).toBe(0);
    await fillView(3);
    await server.jsm.streams.purge(VIEW);
    expect(await positionIn(1)).toBe(0);
  });
});

describe("sequenceAfter()", () => {
  test("is the position itself when peers source from the stream that the policy reads", async () => {
    expect(await sequenceAfter(server.jsm, { ...plan, stream: OUT }, 17)).toBe(17);
  });

  test("finds the last event at or below every position", async () => {
    await publish(20);
    await fillView(2, 3, 5, 8, 13);
    await acknowledge(OUT, "view_orders", 20);
    const found: (number | null)[] = [];
    for (const position of [0, 1, 2, 4, 5, 7, 8, 12, 13, 99]) found.push(await after(position));
    expect(found).toEqual([0, 0, 1, 2, 3, 3, 4, 4, 5, 5]);
  });

  test("waits while the view's worker has not got that far", async () => {
    await publish(10);
    await fillView(2, 4);
    await acknowledge(OUT, "view_orders", 5);
    expect(await after(6)).toBeNull();
    expect(await after(5)).toBe(2);
    expect(await after(2)).toBe(1);
  });

  test("begins with what retention has left", async () => {
    await publish(10);
    await fillView(2, 4, 6, 8);
    await acknowledge(OUT, "view_orders", 10);
    await server.jsm.streams.purge(VIEW, { seq: 3 });
    expect([await after(1), await after(4), await after(6)]).toEqual([2, 2, 3]);
    await server.jsm.streams.purge(VIEW);
    expect(await after(6)).toBe(4);
  });

  test("skips no event when others were deleted from the middle", async () => {
    await publish(10);
    await fillView(1, 2, 3, 4, 5, 6, 7, 8);
    await acknowledge(OUT, "view_orders", 10);
    for (const sequence of [4, 5, 6]) await server.jsm.streams.deleteMessage(VIEW, sequence);
    expect(await after(2)).toBe(2);
    expect([3, 4, 5, 6]).toContain((await after(4)) ?? -1);
    expect(await after(7)).toBe(7);
  });
});

describe("restToTake()", () => {
  const old = { stream: VIEW, consumer: "austin", source: OUT };
  const rest = (stored: number) => restToTake(server.jsm, old, async () => stored);

  test("is nothing when the peer has all that its filters let pass, acknowledged or by its own word", async () => {
    await publish(6);
    await fillView(1, 2, 3);
    await server.jsm.consumers.add(VIEW, { durable_name: "austin", ack_policy: "all" } as never);
    expect(await rest(0)).toContain("3 events of view_acme_orders are still to be taken");
    const consumer = await server.js.consumers.get(VIEW, "austin");
    const taken = [await consumer.next(), await consumer.next(), await consumer.next()];
    expect(await rest(2)).toContain("on their way");
    expect(await rest(3)).toBeNull();
    // Such a peer speaks of an earlier view of this name.
    expect(await rest(4)).toContain("on their way");
    taken[2]?.ack();
    await waitFor(async () => (await rest(0)) === null, { what: "the acknowledgement" });
  });

  test("counts nothing that the filters do not let pass any more", async () => {
    await publish(6);
    await fillView(1, 2, 3);
    const filter_subjects = ["berlin~orders.acme.catalog.>"];
    await server.jsm.consumers.add(VIEW, {
      durable_name: "austin",
      ack_policy: "all",
      filter_subjects,
    } as never);
    expect(await rest(0)).toBeNull();
  });
});

describe("sequenceAt()", () => {
  const at = async (sequence: number) =>
    (await server.jsm.streams.getMessage(OUT, { seq: sequence }))?.time ?? new Date(0);
  const find = (time: Date) => sequenceAt(server.jsm, OUT, time);

  /** Events that were stored in different milliseconds. */
  async function publishApart(count: number): Promise<void> {
    for (let n = 1; n <= count; n++) {
      await publish(1);
      const stored = (await at(n)).getTime();
      await waitFor(() => Date.now() > stored + 1, { pollMs: 1 });
    }
  }

  test("is 0 when the stream is empty or all of it is later", async () => {
    expect(await find(new Date())).toBe(0);
    await publish(3);
    expect(await find(new Date(0))).toBe(0);
  });

  test("is the last sequence when all of the stream is earlier", async () => {
    await publish(3);
    expect(await find(new Date(Date.now() + 60_000))).toBe(3);
  });

  test("is the last event before each time", async () => {
    await publishApart(6);
    for (let sequence = 1; sequence <= 6; sequence++) {
      const time = await at(sequence);
      expect(await find(time)).toBe(sequence - 1);
    }
  });

  test("skips no event when retention or somebody has deleted others", async () => {
    await publishApart(8);
    const times = new Map<number, Date>();
    for (const sequence of [3, 7]) times.set(sequence, await at(sequence));
    await server.jsm.streams.purge(OUT, { seq: 2 });
    for (const sequence of [4, 5, 6]) await server.jsm.streams.deleteMessage(OUT, sequence);
    expect(await find(times.get(3)!)).toBe(2);
    expect([3, 4, 5, 6]).toContain(await find(times.get(7)!));
  });
});

describe("switchPosition()", () => {
  const NATIVE = { stream: OUT, consumer: "austin", source: OUT };
  const FROM_VIEW = { stream: VIEW, consumer: "austin", source: OUT };
  const consume = (stream: string, more: object = {}) =>
    server.jsm.consumers.add(stream, { durable_name: "austin", ack_policy: "all", ...more } as never);
  const position = (old: typeof NATIVE, stored: number) => switchPosition(server.jsm, old, stored);

  test("is what the peer has stored, also when its acknowledgement was lost", async () => {
    await publish(10);
    await consume(OUT);
    await acknowledge(OUT, "austin", 4);
    expect(await position(NATIVE, 4)).toBe(4);
    expect(await position(NATIVE, 6)).toBe(6);
    expect(await position(NATIVE, 0)).toBe(4);
  });

  test("is where the old route began when the peer has nothing of it", async () => {
    await publish(10);
    await consume(OUT, { deliver_policy: "by_start_sequence", opt_start_seq: 8 });
    expect(await position(NATIVE, 0)).toBe(7);
  });

  test("goes on after what matched no filter when the peer has all that did", async () => {
    await publish(3);
    await publish(7, "berlin.acme.other");
    await consume(OUT, {
      filter_subjects: ["berlin.acme.orders.>"],
      metadata: { [CUT]: "10", [CUT_DELIVERED]: "3" },
    });
    await acknowledge(OUT, "austin", 3);
    expect(await position(NATIVE, 3)).toBe(10);
  });

  test("does not skip what was delivered and not stored, whatever was considered", async () => {
    await publish(5);
    await consume(OUT, { metadata: { [CUT]: "5", [CUT_DELIVERED]: "5" } });
    const consumer = await server.js.consumers.get(OUT, "austin");
    for (let n = 0; n < 5; n++) await consumer.next();
    expect(await position(NATIVE, 2)).toBe(2);
  });

  test("turns the place in a view into a position", async () => {
    await publish(10);
    await fillView(2, 5, 9);
    await consume(VIEW);
    await acknowledge(VIEW, "austin", 2);
    expect(await position(FROM_VIEW, 2)).toBe(5);
  });

  test("goes on after all that the view's worker has decided when the peer has the whole view", async () => {
    await publish(10);
    await fillView(2, 5);
    await acknowledge(OUT, "view_orders", 8);
    await consume(VIEW, { metadata: { [CUT]: "2", [CUT_DELIVERED]: "2" } });
    await acknowledge(VIEW, "austin", 2);
    expect(await position(FROM_VIEW, 2)).toBe(8);
    // An event that came after the cut has not been delivered.
    await fillView(9);
    expect(await position(FROM_VIEW, 2)).toBe(5);
  });

  test("stays with what the view says when its worker's consumer is gone", async () => {
    await publish(10);
    await fillView(2, 5);
    await server.jsm.consumers.delete(OUT, "view_orders");
    await consume(VIEW, { metadata: { [CUT]: "2", [CUT_DELIVERED]: "2" } });
    await acknowledge(VIEW, "austin", 2);
    expect(await position(FROM_VIEW, 2)).toBe(5);
  });
});

/** A peer whose store is an older copy: it had acknowledged 10, and has 4. */
describe("setBackWith()", () => {
  const at = { stream: OUT, consumer: "austin", source: OUT };
  const says = { attached: false, sequence: 4, goesOnAfter: 4, identity: "ours", older: true };
  const setBack = async (peer: PeerPosition, begin = 1) => {
    await publish(12);
    await server.jsm.consumers.add(OUT, {
      durable_name: "austin",
      ack_policy: "all",
      deliver_policy: "by_start_sequence",
      opt_start_seq: begin,
    });
    await acknowledge(OUT, "austin", 10);
    const told: unknown[] = [];
    const resetHere = async (_stream: string, _consumer: string, to: number | null) => {
      if (to !== null) told.push(to);
      return "ours";
    };
    return { isBehind: await setBackWith({ mesh: server.jsm, resetHere }, at, peer), told };
  };

  test("sets its consumer back to what it has", async () => {
    expect(await setBack(says)).toEqual({ isBehind: true, told: [5] });
  });

  test("or to where it begins, where that is later", async () => {
    expect(await setBack(says, 8)).toEqual({ isBehind: true, told: [8] });
  });

  test("also where nobody has noticed that its store is an older copy", async () => {
    expect(await setBack({ ...says, older: false })).toEqual({ isBehind: true, told: [5] });
  });

  test("to the begin where what it has is of another stream, if it is known as an older copy", async () => {
    expect(await setBack({ ...says, identity: "another" })).toEqual({ isBehind: true, told: [1] });
    expect((await setBack({ ...says, identity: "another", older: false })).told).toEqual([]);
  });

  test("not where it has all that it has acknowledged", async () => {
    expect((await setBack({ ...says, goesOnAfter: 10, older: false })).told).toEqual([]);
  });

  test("not where it has all, or what it has does not tell", async () => {
    expect((await setBack({ ...says, goesOnAfter: 10 })).told).toEqual([]);
    expect((await setBack({ ...says, goesOnAfter: undefined })).told).toEqual([]);
  });
});

describe("importPosition()", () => {
  // The "peer" is a stream of the same server; what a source of it leaves behind is the same.
  const ask = { peer: "austin", tenant: "acme", stream: "out_far" };
  const imports = planInRoutes(
    berlin([
      {
        tenant: "acme",
        imports: [
          { from: "austin", subjects: ["acme.>"] },
          { from: "austin", origin: "paris", subjects: ["acme.>"] },
        ],
      },
    ]),
    new Map(),
  );
  const position = async () => importPosition(server.jsm, await observeMesh(server.jsm), imports, ask);
  /** Publishes to a stream of the peer until it has `upTo` events, and has in_acme take them as those of `origin`. */
  const take = async (from: string, origin: string, upTo: number) => {
    const { state } = await server.jsm.streams.info(from);
    for (let n = state.messages; n < upTo; n++) await server.js.publish(`${from}.x`);
    const { config } = await server.jsm.streams.info("in_acme");
    const transforms = [{ src: `${from}.>`, dest: `${origin}.acme.>` }];
    await server.jsm.streams.update("in_acme", {
      ...config,
      sources: [{ name: from, subject_transforms: transforms }],
    });
    await waitFor(async () => {
      const last = await server.jsm.streams.getMessage("in_acme", { last_by_subj: `${origin}.acme.>` });
      return last?.header.get("Nats-Stream-Source").includes(` ${upTo} `);
    });
    await server.jsm.streams.update("in_acme", { ...config, sources: [] });
  };

  beforeEach(async () => {
    await server.jsm.streams.add({ ...MEMORY, name: "out_far", subjects: ["out_far.>"] });
    await server.jsm.streams.add({ ...MEMORY, name: "view_far", subjects: ["view_far.>"] });
    await server.jsm.streams.add({ ...MEMORY, name: "in_acme" });
    await server.jsm.streams.add({ ...MEMORY, name: "quiet_acme" });
  });

  test("is nothing when nothing ever came", async () => {
    expect(await position()).toEqual({ attached: false, sequence: 0 });
  });

  test("is the last event that came from the stream when its source is gone", async () => {
    await take("out_far", "austin", 7);
    const identity = expect.stringMatching(/^.{8}$/);
    const all = { attached: false, sequence: 7, position: 7, goesOnAfter: 7, identity };
    expect(await position()).toEqual(all);
  });

  test("counts what came through the peer from another origin", async () => {
    await take("out_far", "austin", 5);
    await take("out_far", "paris", 9);
    expect((await position()).sequence).toBe(9);
  });

  test("counts no other site, and no other stream of the peer", async () => {
    await take("out_far", "tokyo", 9);
    await take("view_far", "austin", 8);
    expect(await position()).toMatchObject({ attached: false, sequence: 0 });
  });

  test("is where it was told to go back to while nothing came since, also for another stream of the exporter", async () => {
    await take("out_far", "austin", 7);
    const { config } = await server.jsm.streams.info("in_acme");
    const rewound = { generation: 1, at: 7, after: 4, position: 40 };
    const metadata = rewoundMetadata(config, { origin: "austin", stream: "out_far" }, rewound);
    await server.jsm.streams.update("in_acme", { ...config, metadata });
    const back = { attached: false, sequence: 4, position: 40, goesOnAfter: 4 };
    expect(await position()).toMatchObject(back);
    const of = { ...ask, stream: "view_far" };
    expect(await importPosition(server.jsm, await observeMesh(server.jsm), imports, of)).toEqual({
      attached: false,
      sequence: 0,
      position: 40,
    });
  });

  test("says of an older copy where each stream would go on", async () => {
    await take("out_far", "austin", 7);
    const streams = await observeMesh(server.jsm);
    const lastOf = (stream: string, end: string) =>
      stream === "in_acme" && end === "from austin" ? 7 : null;
    const says = (stream: string) =>
      importPosition(server.jsm, streams, imports, { ...ask, stream }, { lastOf });
    expect(await says("out_far")).toMatchObject({
      attached: false,
      sequence: 7,
      goesOnAfter: 7,
      older: true,
    });
    expect(await says("view_far")).toMatchObject({ sequence: 0, position: 7, goesOnAfter: 0, older: true });
    expect(await position()).not.toHaveProperty("older");
  });

  test("is attached while a source of the stream is there", async () => {
    const { config } = await server.jsm.streams.info("quiet_acme");
    await server.jsm.streams.update("quiet_acme", {
      ...config,
      sources: [{ name: "out_far", external: { api: "mesh.austin.API", deliver: "" } }],
    });
    expect(await position()).toEqual({ attached: true, sequence: 0 });
  });

  test("is the mirror's last sequence when the stream is mirrored", async () => {
    for (let n = 0; n < 3; n++) await server.js.publish("out_far.x");
    await server.jsm.streams.add({ ...MEMORY, name: "mirror_acme_austin", mirror: { name: "out_far" } });
    await waitFor(async () => (await position()).sequence === 3);
    expect(await position()).toEqual({ attached: true, sequence: 3 });
  });
});
