/** What is noted of a store, and when, against a real server. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { readPositions, writePositions } from "../../../src/control/rollback/position_note.ts";
import { Rollbacks } from "../../../src/control/rollback/rollbacks.ts";
import { readTextFile } from "../../../src/nats/files.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const OUT = "out_acme";
const AT = new Date("2026-01-01T00:00:00Z");
const state = berlin([{ tenant: "acme" }]);

let server: TestJetStream;
let folder: TempFolder;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

/** The stream has two events, and what was noted says five. */
beforeEach(async () => {
  folder = await tempFolder();
  const { js, jsm } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ storage: "memory", name: OUT, subjects: ["berlin.acme.>"] });
  await js.publish("berlin.acme.x");
  await js.publish("berlin.acme.x");
  const { created } = await jsm.streams.info(OUT);
  await writePositions(folder.path, {
    at: AT.toISOString(),
    streams: { [OUT]: { created: String(created), last: 5 } },
  });
});

const alarms: string[] = [];
async function open(mesh = server.jsm): Promise<Rollbacks> {
  alarms.length = 0;
  return await Rollbacks.open({
    folder: folder.path,
    mesh,
    raise: (name, { target }) => alarms.push(`${name} ${target}`),
    tell: async () => {},
    now: () => AT,
    log: () => {},
  });
}
const noted = async () => (await readPositions(folder.path))?.streams[OUT]?.last;
const ROLLED_BACK = [`exporter-rolled-back ${OUT}`];

test("a leadership that ends before it has looked leaves the note to the next one", async () => {
  await (await open())[Symbol.asyncDispose]();
  expect(await noted()).toBe(5);
  const next = await open();
  expect([await next.look(state), alarms]).toEqual([1, ROLLED_BACK]);
  await next[Symbol.asyncDispose]();
  expect(await noted()).toBe(2);
});

test("look() that cannot do what must be done first leaves the note, and is done again", async () => {
  const failing = await open();
  const hold = async () => await Promise.reject(new Error("no route is held"));
  await expect(failing.look(state, hold)).rejects.toThrow("no route is held");
  await failing[Symbol.asyncDispose]();
  expect(await noted()).toBe(5);
  await using next = await open();
  let held = 0;
  expect([await next.look(state, async () => held++), held, alarms]).toEqual([1, 1, ROLLED_BACK]);
  // Once is enough.
  expect([await next.look(state, async () => held++), held]).toEqual([0, 1]);
});

test("nothing is noted between a restart of the server and the next look", async () => {
  const rollbacks = await open();
  await rollbacks.look(state);
  await server.js.publish("berlin.acme.x");
  const before = await readTextFile(join(folder.path, "positions.json"));
  rollbacks.watch();
  // What is asked of the server by now is answered after the restart has begun.
  rollbacks.restarting();
  await rollbacks[Symbol.asyncDispose]();
  expect(await readTextFile(join(folder.path, "positions.json"))).toBe(before);
});

test("where a stream ended that is gone is known to each start until it is made anew", async () => {
  await server.jsm.streams.delete(OUT);
  for (const _ of ["first", "second"]) {
    const rollbacks = await open();
    await rollbacks.look(state);
    expect([rollbacks.firstSequence(OUT), alarms]).toEqual([1_000_000_005, [`stream-made-anew ${OUT}`]]);
    await rollbacks[Symbol.asyncDispose]();
  }
  const rollbacks = await open();
  await rollbacks.look(state);
  await server.jsm.streams.add({
    storage: "memory",
    name: OUT,
    subjects: ["berlin.acme.>"],
    first_seq: rollbacks.firstSequence(OUT),
  } as Parameters<typeof server.jsm.streams.add>[0]);
  await rollbacks[Symbol.asyncDispose]();
  await using next = await open();
  expect([await next.look(state), alarms, await noted()]).toEqual([0, [], 1_000_000_004]);
});

test("a server that has not answered in time is asked again soon: the longer nothing is noted, the more an older copy may hide", async () => {
  let late = 0;
  const { jsm } = server;
  const list = () => {
    if (late++ > 0) return jsm.streams.list();
    return (async function* () {
      await Bun.sleep(1000);
      yield* [];
      throw new Error("timeout");
    })();
  };
  const slow = Object.create(jsm, {
    streams: { value: Object.create(jsm.streams, { list: { value: list } }) },
  });
  await writePositions(folder.path, { at: AT.toISOString(), streams: {} });
  await using rollbacks = await open(slow);
  rollbacks.watch();
  await waitFor(async () => (await noted()) === 2, { what: "a note", deadlineMs: 12_000 });
});
