/** Where a source goes on that is attached to an older copy, against a real server; and which routes are known as those of a copy. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import { heldAt } from "../../../src/control/rollback/held.ts";
import { HoldNote } from "../../../src/control/rollback/hold_note.ts";
import { SetbackNote } from "../../../src/control/rollback/setback_note.ts";
import type { Step } from "../../../src/control/step.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { berlin } from "./fake_server.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const IN = "in_acme";
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
  const { jsm, js } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ storage: "memory", name: IN, subjects: ["austin.acme.>"] });
  for (let n = 0; n < 3; n++) await js.publish("austin.acme.x");
});

const tenants = berlin([
  {
    tenant: "acme",
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [
      { from: "tokyo", subjects: ["acme.>"] },
      { from: "austin", subjects: ["acme.>"] },
    ],
  },
]).tenants;
const found = (stream: string, last: number) => [{ stream, last, tenant: tenants[0]! }];

/** Where the consumer of tokyo's stream was told to go on. */
async function attachTokyo(setbacks: SetbackNote): Promise<unknown[]> {
  const told: unknown[] = [];
  const context = {
    mesh: server.jsm,
    setbacks,
    waits: { requireFree: () => {} },
    resetSource: async (_peer: string, _stream: string, to: unknown) => {
      told.push(to);
      return "";
    },
  } as unknown as ApplyContext;
  const route = { peer: "tokyo", origin: "tokyo", tenant: { name: "acme" } };
  const { config } = await server.jsm.streams.info(IN);
  const source = { name: "elsewhere" };
  await applyStep(context, { type: "attach-source", route, spec: config, source } as unknown as Step);
  return told;
}

test("a source that the copy of its stream had nothing of begins where its consumer began", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.add(found(IN, 3));
  expect(await attachTokyo(setbacks)).toEqual(["begin"]);
  expect(setbacks.lastOf(IN, "from tokyo")).toBeNull();
  expect(setbacks.lastOf(IN, "from austin")).toBe(3);
});

test("a source goes on where its consumer is in a stream that is no copy, or has lost some to retention", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  expect(await attachTokyo(setbacks)).toEqual([]);
  await setbacks.add(found(IN, 3));
  await server.jsm.streams.update(IN, { ...(await server.jsm.streams.info(IN)).config, sources: [] });
  await server.jsm.streams.purge(IN, { seq: 2 });
  expect(await attachTokyo(setbacks)).toEqual([]);
});

test("a route that was taken away is not known as one of the copy when it comes again", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.add([...found("out_acme", 50), ...found(IN, 3)]);
  await setbacks.keep(tenants);
  expect(setbacks.lastOf("out_acme", "to austin")).toBe(50);
  expect(setbacks.lastOf(IN, "from tokyo")).toBe(3);
  await setbacks.keep([{ ...tenants[0]!, exports: [], imports: [] }]);
  await setbacks.keep(tenants);
  expect(setbacks.lastOf("out_acme", "to austin")).toBeNull();
  expect((await SetbackNote.open(folder.path)).last(IN)).toBeNull();
});

/** Makes a consumer for tokyo where there was one before. */
async function makeAgain(over: Partial<ApplyContext>): Promise<void> {
  const context = {
    mesh: server.jsm,
    setbacks: await SetbackNote.open(folder.path),
    peerPosition: async () => ({ attached: true, sequence: 2 }),
    poke: () => {},
    ...over,
  } as unknown as ApplyContext;
  const plan = { stream: IN, source: IN, tenant: { name: "acme" } };
  const start = { type: "new", since: new Date(0).toISOString(), version: "", fresh: false };
  const step = { type: "create-consumer", stream: IN, spec: SPEC, paused: false };
  const route = { peer: "tokyo", export: plan };
  await applyStep(context, { ...step, start: { ...start, route } } as unknown as Step);
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
  const setbacks = { lastOf: () => 3, last: () => 3 } as unknown as SetbackNote;
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
