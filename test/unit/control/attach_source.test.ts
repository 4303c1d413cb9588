/** Where a source goes on that is attached to an older copy, against a real server; and which routes are known as those of a copy. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
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

const state = berlin([
  {
    tenant: "acme",
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [
      { from: "tokyo", subjects: ["acme.>"] },
      { from: "austin", subjects: ["acme.>"] },
    ],
  },
]);
const found = (stream: string, last: number) => [{ stream, last }];

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
  await setbacks.add(found(IN, 3), state);
  expect(await attachTokyo(setbacks)).toEqual(["begin"]);
  expect(setbacks.lastOf(IN, "from tokyo")).toBeNull();
  expect(setbacks.lastOf(IN, "from austin")).toBe(3);
});

test("a source goes on where its consumer is in a stream that is no copy, or has lost some to retention", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  expect(await attachTokyo(setbacks)).toEqual([]);
  await setbacks.add(found(IN, 3), state);
  await server.jsm.streams.update(IN, { ...(await server.jsm.streams.info(IN)).config, sources: [] });
  await server.jsm.streams.purge(IN, { seq: 2 });
  expect(await attachTokyo(setbacks)).toEqual([]);
});

test("a route that was taken away is not known as one of the copy when it comes again", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.add([...found("out_acme", 50), ...found(IN, 3)], state);
  await setbacks.keep(state);
  expect(setbacks.lastOf("out_acme", "to austin")).toBe(50);
  expect(setbacks.lastOf(IN, "from tokyo")).toBe(3);
  await setbacks.keep(berlin([{ tenant: "acme" }]));
  await setbacks.keep(state);
  expect(setbacks.lastOf("out_acme", "to austin")).toBeNull();
  expect((await SetbackNote.open(folder.path)).lastOf(IN, "from tokyo")).toBeNull();
});
