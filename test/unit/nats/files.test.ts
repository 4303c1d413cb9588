import { expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadRemembered, rememberState } from "../../../src/control/remembered.ts";
import { HoldNote } from "../../../src/control/rollback/hold_note.ts";
import { writePositions } from "../../../src/control/rollback/position_note.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { DataFolder } from "../../../src/nats/data_folder.ts";
import { writeSecretFile } from "../../../src/nats/files.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { SitePki } from "../../../src/nats/pki/site_pki.ts";
import { SiteKeyFiles } from "../../../src/nats/site_key_files.ts";
import { TenantKeys } from "../../../src/nats/tenant_keys.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const no = async () => {
  throw new LeafmeshError("no_leader", "This sidecar leads no more (epoch 1)");
};

async function contents(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !entry.name.endsWith(".new")) found[path] = await readFile(path, "latin1");
  }
  return found;
}

test("writeSecretFile() leaves the old content, and nothing beside it, when it may not change the file", async () => {
  await using temp = await tempFolder();
  const path = join(temp.path, "file");
  await writeSecretFile(path, "old", "replace");
  await expect(writeSecretFile(path, "new", "replace", no)).rejects.toThrow("leads no more");
  await expect(writeSecretFile(join(temp.path, "other"), "new", "keep", no)).rejects.toThrow("leads no more");
  expect(await contents(temp.path)).toEqual({ [path]: "old" });
});

test("one that leads no more changes no file of the site", async () => {
  await using temp = await tempFolder();
  const folder = temp.path;
  const pki = await SitePki.load(folder, { site: "berlin" });
  await pki.prepareCa();
  await new SiteKeyFiles(folder, createSigningKey(), false).prepare();
  await new TenantKeys(folder).load("acme");
  const state = { site: "berlin", tenants: [], peers: [] };
  await rememberState(folder, { state, retired: [] });
  await writePositions(folder, { at: "2026-01-01T00:00:00Z", streams: {} });
  await (await HoldNote.open(folder)).put("out_acme", "tokyo", 7);
  const before = await contents(folder);
  const { fingerprint } = pki.link;

  pki.guard(no);
  const key = new SiteKeyFiles(folder, createSigningKey(), false, no);
  const next = await key.next();
  if (next === null) throw new Error("There is no next key");
  const tries = [
    () => pki.renewLink(),
    () => pki.prepareCa(),
    () => pki.replaceCa(),
    () => key.prepare(),
    () => key.replace(next),
    () => new TenantKeys(folder, no).rotate("acme", "pseudonym"),
    () => rememberState(folder, { state, retired: ["acme"] }, no),
    () => writePositions(folder, { at: "2026-01-02T00:00:00Z", streams: {} }, no),
    async () => (await HoldNote.open(folder, no)).put("out_acme", "tokyo", null),
  ];
  for (const work of tries) await expect(work()).rejects.toThrow("leads no more");
  expect(await contents(folder)).toEqual(before);
  // What it shows is what stands in the files.
  expect(pki.link.fingerprint).toBe(fingerprint);
});

test("one that leads no more does not put its own words in the place of those of another that is writing", async () => {
  await using temp = await tempFolder();
  const state = { site: "berlin", tenants: [], peers: [] };
  await rememberState(temp.path, { state, retired: ["new"] }, async () => {
    await expect(rememberState(temp.path, { state, retired: ["old"] }, no)).rejects.toThrow("leads no more");
  });
  expect((await loadRemembered(temp.path))?.retired).toEqual(["new"]);
  await using a = await DataFolder.open(temp.path, "a");
  await using b = await DataFolder.open(temp.path, "b");
  expect(a.candidate).not.toBe(b.candidate);
});
