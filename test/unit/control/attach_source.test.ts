/** Where a source goes on that is attached to an older copy, against a real server; and which routes are known as those of a copy. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { headers } from "@nats-io/transport-node";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import type { Missed } from "../../../src/control/apply_sources.ts";
import { SetbackNote } from "../../../src/control/rollback/setback_note.ts";
import type { Step } from "../../../src/control/step.ts";
import { Waiting } from "../../../src/control/waiting.ts";
import { POSITION_HEADER } from "../../../src/model/names.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { waitFor } from "../../support/wait_for.ts";
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
async function attachTokyo(
  setbacks: SetbackNote,
  { identity, beginsAfter } = { identity: "", beginsAfter: 0 },
  missed: Missed[] = [],
  name = "elsewhere",
  why: () => string | null = () => null,
): Promise<unknown[]> {
  const told: unknown[] = [];
  const context = {
    mesh: server.jsm,
    setbacks,
    waits: {
      why,
      requireFree: () => {
        const text = why();
        if (text !== null) throw new Waiting(text);
      },
    },
    missed: (found: Missed) => missed.push(found),
    resetSource: async (_peer: string, _stream: string, to: unknown) => {
      told.push(to);
      return { identity, beginsAfter: typeof to === "object" && to !== null ? beginsAfter : null };
    },
  } as unknown as ApplyContext;
  const route = { peer: "tokyo", origin: "tokyo", tenant: { name: "acme" } };
  const { config } = await server.jsm.streams.info(IN);
  const source = { name };
  await applyStep(context, { type: "attach-source", route, spec: config, source } as unknown as Step);
  return told;
}

test("a source that the copy of its stream had nothing of begins where its consumer began", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.add(found(IN, 3), state);
  expect(await attachTokyo(setbacks)).toEqual([{ least: 0 }]);
  expect(setbacks.lastOf(IN, "from tokyo")).toBeNull();
  expect(setbacks.lastOf(IN, "from austin")).toBe(3);
});

/** Has a stream of this name give an event of tokyo. @returns the identity of that stream */
async function take(name: string, sequence: number, position = 0): Promise<string> {
  const { jsm, js } = server;
  const subject = `${name}.acme.x`;
  await jsm.streams.add({ storage: "memory", name, subjects: [subject], first_seq: sequence });
  const given = headers();
  if (position > 0) given.set(POSITION_HEADER, String(position));
  await js.publish(subject, "", { headers: given });
  const { config } = await jsm.streams.info(IN);
  const subject_transforms = [{ src: `${name}.acme.>`, dest: "tokyo.acme.>" }];
  await jsm.streams.update(IN, { ...config, sources: [{ name, subject_transforms }] });
  const message = await waitFor(() => jsm.streams.getMessage(IN, { last_by_subj: "tokyo.acme.x" }));
  await jsm.streams.update(IN, config);
  return message?.header.get("Nats-Stream-Source").split(" ").at(-1) ?? "";
}

const MISSED = { tenant: "acme", peer: "tokyo", origin: "tokyo", stream: "elsewhere" };
for (const [what, event, to, begins, missed] of [
  ["goes on after what is stored of it", ["elsewhere", 7], [null, { least: 7 }], 3, []],
  [
    "that begins later now names what it does not give again",
    ["view_acme_out", 7, 9],
    [null, { least: 7 }],
    12,
    [{ ...MISSED, stream: "view_acme_out", first: 10, last: 12 }],
  ],
  [
    "that no view fills goes by no position that an app has given its event",
    ["elsewhere", 7, 900],
    [null, { least: 7 }],
    12,
    [{ ...MISSED, first: 8, last: 12 }],
  ],
  ["of another stream begins where its consumer began", ["before", 7], [{ least: 0 }], 7, []],
  [
    "of another stream, and of another again since, names that, too",
    ["before", 7],
    [{ least: 0 }],
    9,
    [{ ...MISSED, first: 8, last: 9 }],
  ],
  [
    "that was made anew begins where its consumer began",
    ["elsewhere", 7, 0, "another"],
    [null, { least: 0 }],
    7,
    [],
  ],
] as const) {
  test(`in an older copy a source ${what}`, async () => {
    const [stream, sequence, position = 0, another] = event;
    const taken = await take(stream, sequence, position);
    const from = { identity: another ?? taken, beginsAfter: begins };
    const setbacks = await SetbackNote.open(folder.path);
    await setbacks.add(found(IN, 3), state);
    const named: Missed[] = [];
    const name = stream === "before" ? "elsewhere" : stream;
    expect(await attachTokyo(setbacks, from, named, name)).toEqual([...to]);
    expect(named).toEqual([...missed]);
    // In one that is none, its consumer knows.
    await server.jsm.streams.update(IN, { ...(await server.jsm.streams.info(IN)).config, sources: [] });
    const told = await attachTokyo(setbacks, from, named, name);
    expect(told).toEqual(stream === "before" ? [] : to[1]?.least === 0 ? [null] : [null, 8]);
    expect(named.length).toBe(missed.length);
  });
}

test("a source goes on where its consumer is in a stream that is no copy, or has lost some to retention", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  expect(await attachTokyo(setbacks)).toEqual([]);
  await setbacks.add(found(IN, 3), state);
  await server.jsm.streams.update(IN, { ...(await server.jsm.streams.info(IN)).config, sources: [] });
  await server.jsm.streams.purge(IN, { seq: 2 });
  expect(await attachTokyo(setbacks)).toEqual([]);
});

test("a source is not put in that may not be any more when its peer has answered", async () => {
  const setbacks = await SetbackNote.open(folder.path);
  await setbacks.add(found(IN, 3), state);
  let asked = 0;
  const why = () => (++asked > 1 ? "in 2 s" : null);
  const attached = attachTokyo(setbacks, undefined, [], undefined, why);
  expect(await attached.catch(String)).toContain("in 2 s");
  expect((await server.jsm.streams.info(IN)).config.sources ?? []).toEqual([]);
  expect(setbacks.lastOf(IN, "from tokyo")).toBe(3);
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
