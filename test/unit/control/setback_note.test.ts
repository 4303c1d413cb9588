/** Which routes are known as those of an older copy, and for how long. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { LEFT, SetbackNote } from "../../../src/control/rollback/setback_note.ts";
import type { ExportPolicy, ImportPolicy } from "../../../src/model/schema/policy.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";
import { berlin } from "./fake_server.ts";

let folder: TempFolder;
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

const RULES = [{ subjects: ["acme.>"] }];
const OWN: ExportPolicy = { name: "own", to: ["tokyo"], rules: RULES };
const TRANSIT: ExportPolicy = { name: "transit", to: ["tokyo"], origin: "austin", rules: RULES };
const VIEWED = { ...OWN, rules: [{ subjects: ["acme.>"], when: "size > 1" }] };
const VIEW = "view_acme_own";
const acme = (exports: ExportPolicy[], live = true) => {
  const imports: ImportPolicy[] = [{ from: "austin", subjects: ["acme.>"], live }];
  return berlin([{ tenant: "acme", exports, imports }]);
};
const copies = (last: number, ...streams: string[]) => streams.map((stream) => ({ stream, last }));

/** What is known of tokyo's routes, also by the next start. */
async function toTokyo(note: SetbackNote): Promise<Record<string, number | null>> {
  const read = (one: SetbackNote) => ({
    out: one.lastOf("out_acme", "to tokyo"),
    in: one.lastOf("in_acme", "to tokyo"),
    view: one.lastOf(VIEW, "to tokyo"),
    source: one.lastOf("out_acme", `to tokyo by ${VIEW}`),
  });
  expect(read(await SetbackNote.open(folder.path))).toEqual(read(note));
  return read(note);
}
const NONE = { out: null, in: null, view: null, source: null };

test("a view that no policy fills any more is noted until one does again", async () => {
  const note = await SetbackNote.open(folder.path);
  await note.add(copies(10, VIEW, "out_acme"), acme([OWN]));
  const left = () => note.lastOf(VIEW, LEFT);
  expect([left(), note.lastOf("out_acme", LEFT)]).toEqual([10, null]);
  await note.keep(acme([OWN]));
  expect(left()).toBe(10);
  await note.keep(acme([VIEWED]));
  expect(left()).toBeNull();
});

test("a route is noted with the streams that it reads, and with no others", async () => {
  const note = await SetbackNote.open(folder.path);
  const all = copies(10, "out_acme", "in_acme", "quiet_acme", VIEW);
  await note.add(all, acme([OWN]));
  expect(await toTokyo(note)).toEqual({ ...NONE, out: 10 });
  expect(note.lastOf("in_acme", "from austin")).toBe(10);
  await note.placed("out_acme", "to tokyo");
  expect(await toTokyo(note)).toEqual(NONE);

  await note.add(all, acme([TRANSIT]));
  expect(await toTokyo(note)).toEqual({ ...NONE, in: 10 });
  await note.keep(acme([TRANSIT], false));
  expect(await toTokyo(note)).toEqual(NONE);
  await note.add(all, acme([TRANSIT], false));
  expect(note.lastOf("quiet_acme", "to tokyo")).toBe(10);

  await note.add(all, acme([VIEWED]));
  expect(await toTokyo(note)).toEqual({ ...NONE, view: 10, source: 10 });
  await note.keep(acme([OWN]));
  expect(await toTokyo(note)).toEqual(NONE);
});

test("after a second copy, only what was not placed since the first is held where the first ended", async () => {
  const note = await SetbackNote.open(folder.path);
  const austin: ExportPolicy = { ...OWN, name: "more", to: ["austin"] };
  const both = acme([OWN, austin]);
  await note.add(copies(10, "out_acme"), both);
  await note.placed("out_acme", "to tokyo");
  await note.add(copies(5000, "out_acme"), both);
  expect(note.lastOf("out_acme", "to tokyo")).toBe(5000);
  expect(note.lastOf("out_acme", "to austin")).toBe(10);
  await note.add(copies(7, "out_acme"), both);
  expect(note.lastOf("out_acme", "to tokyo")).toBe(7);
  expect(note.lastOf("out_acme", "to austin")).toBe(7);
});

test("two views of one source are placed each on its own", async () => {
  const note = await SetbackNote.open(folder.path);
  const viewOf = (name: string): ExportPolicy => ({ ...VIEWED, name, origin: "austin" });
  const state = acme([viewOf("one"), { ...viewOf("two"), to: ["austin"] }]);
  await note.add(copies(3, "in_acme", "view_acme_one", "view_acme_two"), state);
  await note.placed("in_acme", "to tokyo by view_acme_one");
  expect(note.lastOf("in_acme", "to tokyo by view_acme_one")).toBeNull();
  expect(note.lastOf("in_acme", "to austin by view_acme_two")).toBe(3);
});

test("of a data folder that was put back every route is one of the copy until it is placed, also one that comes later", async () => {
  const note = await SetbackNote.open(folder.path);
  await note.add(copies(10, "out_acme"), acme([OWN]));
  await note.addAll([...copies(100, "out_acme"), ...copies(30, "in_acme")]);
  expect(await toTokyo(note)).toEqual({ ...NONE, out: 10, in: 30, source: 100 });
  await note.placed("out_acme", "to tokyo");
  await note.keep(acme([]));
  expect(await toTokyo(note)).toEqual({ ...NONE, in: 30, source: 100 });
  expect([note.lastOf("out_acme", "to austin"), note.lastOf("in_acme", "from austin")]).toEqual([100, 30]);
  // A copy of before, and one of after: who was placed is as far as the stream was.
  await note.add(copies(90, "out_acme"), acme([OWN]));
  expect([note.lastOf("out_acme", "to tokyo"), note.lastOf("out_acme", "to austin")]).toEqual([90, 90]);
  await note.placed("out_acme", "to tokyo");
  await note.add(copies(200, "out_acme"), acme([OWN]));
  expect([note.lastOf("out_acme", "to tokyo"), note.lastOf("out_acme", "to austin")]).toEqual([200, 90]);
  await note.addAll(copies(150, "out_acme"));
  expect([note.lastOf("out_acme", "to tokyo"), note.lastOf("out_acme", "to austin")]).toEqual([150, 90]);
  await note.keep(berlin([]));
  expect(note.lastOf("out_acme", "to tokyo")).toBeNull();
});
