/** Consumers that are made where the peer may have had one before, against a real server. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import { type HeldAt, heldAt, holdRoutes } from "../../../src/control/rollback/held.ts";
import { HoldNote } from "../../../src/control/rollback/hold_note.ts";
import type { PeerAhead } from "../../../src/control/rollback/place.ts";
import type { RewindAsk } from "../../../src/control/rollback/rewind.ts";
import { SetbackNote } from "../../../src/control/rollback/setback_note.ts";
import type { Step } from "../../../src/control/step.ts";
import { Waiting } from "../../../src/control/waiting.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const IN = "in_acme";
const EPOCH = new Date(0).toISOString();
let server: TestJetStream;
let folder: TempFolder;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await tempFolder();
  const { jsm } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ storage: "memory", name: IN, subjects: ["austin.acme.>"] });
  await publish(3);
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

async function publish(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await server.js.publish("austin.acme.x");
}

const PLAN = { stream: IN, source: IN, origin: "austin", tenant: { name: "acme" } };
const ROUTE = { peer: "tokyo", export: PLAN };

/** Makes a consumer for tokyo where there was one before. */
async function makeAgain(over: Partial<ApplyContext>, begin: object = {}): Promise<void> {
  const context = {
    mesh: server.jsm,
    setbacks: await SetbackNote.open(folder.path),
    holds: await HoldNote.open(folder.path),
    peerPosition: async () => ({ attached: true, sequence: 2 }),
    poke: () => {},
    ...over,
  } as unknown as ApplyContext;
  const start = { type: "new", since: EPOCH, version: "", fresh: false, route: ROUTE, ...begin };
  const step = { type: "create-consumer", stream: IN, spec: SPEC, paused: false };
  await applyStep(context, { ...step, start } as unknown as Step);
}

const SPEC = { durable_name: "tokyo", ack_policy: "explicit" };
const isPaused = async () => (await server.jsm.consumers.info(IN, "tokyo")).paused === true;

test("a consumer that is made again delivers nothing before its peer has let go of the one before", async () => {
  const seen: unknown[] = [];
  await makeAgain({ letGo: async () => seen.push(await isPaused()) > 0 });
  expect([...seen, await isPaused()]).toEqual([true, false]);
  expect((await server.jsm.consumers.info(IN, "tokyo")).config.opt_start_seq).toBe(3);
});

test("nor where the sidecar that made it died before its peer had let go, and once it has, it is not asked again", async () => {
  const { jsm } = server;
  const died = makeAgain({ letGo: () => Promise.reject(new Error("killed")) });
  expect(await died.catch(String)).toContain("killed");
  const seen: unknown[] = [];
  const next = {
    mesh: jsm,
    letGo: async () => seen.push(await isPaused()) > 0,
  } as unknown as ApplyContext;
  for (let starts = 0; starts < 2; starts++) {
    await applyStep(next, { type: "resume-consumer", stream: IN, consumer: "tokyo" });
    expect([...seen, await isPaused()]).toEqual([true, false]);
    await jsm.consumers.pause(IN, "tokyo", new Date("2200-01-01T00:00:00Z"));
  }
});

test("a consumer that is made on an older copy is held from its beginning, whenever its sidecar dies", async () => {
  const setbacks = { lastOf: () => 3 } as unknown as SetbackNote;
  const holds = await HoldNote.open(folder.path);
  const consumers = Object.create(server.jsm.consumers, {
    update: { value: () => Promise.reject(new Error("killed")) },
  });
  const mesh = Object.create(server.jsm, { consumers: { value: consumers } });
  await makeAgain({ mesh, setbacks, holds }).catch(() => {});
  const { config, paused } = await server.jsm.consumers.info(IN, "tokyo");
  expect(paused).toBe(true);
  expect(heldAt(config)).toEqual({ last: 3, source: 3 });
  expect((await HoldNote.open(folder.path)).knows(IN, "tokyo", 3)).toBe(true);
});

const infoOf = async () => await server.jsm.consumers.info(IN, "tokyo");

/** Lets the route go on, as often as it waits for its peer, which is at `sequence`. */
async function place(sequence: number) {
  const asked: RewindAsk[] = [];
  const ahead: PeerAhead[] = [];
  let at = sequence;
  const context = {
    mesh: server.jsm,
    setbacks: await SetbackNote.open(folder.path),
    holds: await HoldNote.open(folder.path),
    peerPosition: async () => ({ attached: true, sequence: at }),
    peerAhead: (found: PeerAhead) => ahead.push(found),
    letGo: async () => true,
    resetHere: async () => {},
    rewindPeer: async (_peer: string, ask: RewindAsk) => {
      asked.push(ask);
      at = ask.after;
    },
  } as unknown as ApplyContext;
  for (let tries = 0; tries < 3; tries++) {
    const placed = await applyStep(context, { type: "place-route", route: ROUTE } as unknown as Step).then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof Waiting)) throw error;
        return false;
      },
    );
    if (placed) break;
  }
  const { config, paused } = await infoOf();
  expect({ held: heldAt(config), paused: paused ?? false }).toEqual({ held: null, paused: false });
  return { asked, ahead };
}

async function expectHeld(held: HeldAt): Promise<void> {
  const { config, paused } = await infoOf();
  expect({ held: heldAt(config), paused, begin: config.opt_start_seq }).toEqual({
    held,
    paused: true,
    begin: (held.after ?? 0) + 1,
  });
}

test("a policy that was written after a copy was found begins where it was written, and not where the copy ended", async () => {
  await server.jsm.streams.purge(IN);
  await publish(1);
  const { time } = (await server.jsm.streams.getMessage(IN, { seq: 4 }))!;
  const after = time.getTime() + 1;
  await waitFor(() => Date.now() > after);
  await publish(1);
  const setbacks = await SetbackNote.open(folder.path);
  const to = { name: "all", to: ["tokyo"], origin: "austin", rules: [{ subjects: ["acme.>"] }] };
  const imports = [{ from: "austin", subjects: ["acme.>"] }];
  await setbacks.add([{ stream: IN, last: 3 }], berlin([{ tenant: "acme", exports: [to], imports }]));
  await makeAgain({ setbacks }, { since: new Date(after).toISOString() });
  const { config } = await infoOf();
  expect(config.opt_start_seq).toBe(5);
  expect(heldAt(config)).toEqual({ last: 3, source: 3 });
  expect((await place(50)).asked).toMatchObject([{ has: 50, after: 3 }]);
  expect((await SetbackNote.open(folder.path)).lastOf(IN, "to tokyo")).toBeNull();
});

test("a peer that has more than there is goes back before it gets anything: what is new has sequences that it has", async () => {
  const since = new Date(Date.now() + 60_000).toISOString();
  await makeAgain({ peerPosition: async () => ({ attached: true, sequence: 50 }) }, { since });
  await expectHeld({ last: 3, source: 3, after: 3 });
  await publish(2);
  const { asked, ahead } = await place(50);
  expect(asked).toMatchObject([{ origin: "austin", stream: IN, has: 50, after: 3 }]);
  expect(ahead).toMatchObject([{ peer: "tokyo", stream: IN, first: 4, last: 50, after: 3 }]);
});

test("of a stream that was made anew such a peer gets all that the policy lets it have", async () => {
  await makeAgain({ peerPosition: async () => ({ attached: true, sequence: 50 }) });
  await expectHeld({ last: 3, source: 0, after: 0 });
  // Another start holds it where it was.
  await holdRoutes(server.jsm, await HoldNote.open(folder.path));
  await expectHeld({ last: 3, source: 0, after: 0 });
  expect((await place(50)).asked).toMatchObject([{ has: 50, after: 0 }]);
});

const gone = () => Promise.reject(new Error("tokyo does not answer"));
const young = () => ({ since: new Date(Date.now() - 1000).toISOString() });
for (const [what, begin] of [
  ["a policy that was just written", young],
  ["a policy that lets it have all", () => ({ type: "first", since: undefined })],
] as const) {
  test(`a peer that cannot be asked is asked later, by ${what}: it may have more than there is`, async () => {
    for (const [sequence, asked] of [
      [2, []],
      [50, [{ has: 50 }]],
    ] as const) {
      await makeAgain({ peerPosition: gone }, begin());
      expect(heldAt((await infoOf()).config)?.last).toBe(3);
      expect((await place(sequence)).asked).toMatchObject(asked as never);
      await server.jsm.consumers.delete(IN, "tokyo");
    }
  });
}

test("a peer that cannot be asked is waited for where its policy is older: it may have had a consumer", async () => {
  await expect(makeAgain({ peerPosition: gone })).rejects.toThrow(Waiting);
});

test("an export of all that is stored begins there also where its peer has some, and asks for no more", async () => {
  await makeAgain({ letGo: async () => true }, { type: "first" });
  const { config, paused } = await infoOf();
  expect([config.opt_start_seq, paused ?? false, heldAt(config)]).toEqual([1, false, null]);
});
