/** A site that is backed up and restored has all that it had, and gets from its peers what came since. */
import { expect, test } from "bun:test";
import { cp, mkdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { backupSite, restoreSite } from "../../src/sidecar.ts";
import { type MeshSite, startPair } from "../support/mesh.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

const PASSPHRASE = "correct horse battery";

test("a restored importer has its events, exactly, and goes on after them", async () => {
  await using mesh = await startPair({
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  for (let n = 1; n <= 100; n++) await js.publish("acme.x", `${n}`);
  await waitFor(async () => (await held(austin, "in_acme")).length === 100);
  const file = join(austin.folder, "austin.backup");
  const { dataFolder: data } = austin;
  await expect(backupSite({ data, file, passphrase: null })).rejects.toThrow(/in use|holds|process/i);
  await austin.end("SIGTERM");
  const report = await backupSite({ data, file, passphrase: PASSPHRASE });
  expect(report).toMatchObject({ site: "austin", keys: true });
  await expect(backupSite({ data, file, passphrase: null })).rejects.toThrow("cannot be made");

  await austin.start();
  for (let n = 101; n <= 150; n++) await js.publish("acme.x", `${n}`);
  await waitFor(async () => (await held(austin, "in_acme")).length === 150);
  await austin.end("SIGTERM");

  const all = { data, file, passphrase: PASSPHRASE, withoutKeys: false, site: null };
  await expect(restoreSite(all)).rejects.toThrow("has a site");
  await rename(data, `${data}.lost`);
  await mkdir(data, { mode: 0o700 });
  // Nothing of what is refused leaves anything.
  const bad = join(austin.folder, "bad.backup");
  const refused: [string, (text: string) => Promise<void>, RegExp][] = [
    ["cut", async () => await truncate(bad, report.bytes), /is cut/],
    ["another file", async () => await writeFile(bad, "hello"), /no backup of Leafmesh/],
    ["a later version", async () => await writeFile(bad, "LEAFMESH-BACKUP 9\n{}\n"), /later version/],
    ["changed", async () => await flip(bad), /was changed/],
  ];
  for (const [, spoil, message] of refused) {
    await cp(file, bad);
    await spoil(bad);
    await expect(restoreSite({ ...all, file: bad })).rejects.toThrow(message);
  }
  await expect(restoreSite({ ...all, site: "berlin" })).rejects.toThrow("of site 'austin', not of 'berlin'");
  await expect(restoreSite({ ...all, passphrase: null })).rejects.toThrow("holds keys");
  await expect(restoreSite({ ...all, passphrase: "wrong passphrase" })).rejects.toThrow("does not open");
  await restoreSite(all);
  const key = join("keys", "site.nk");
  expect(await readFile(join(data, key))).toEqual(await readFile(join(`${data}.lost`, key)));

  await austin.start();
  await waitFor(async () => (await held(austin, "in_acme")).length >= 150, { deadlineMs: 60_000 });
  const expected = Array.from({ length: 150 }, (_, n) => `${n + 1}`);
  expect(await held(austin, "in_acme")).toEqual(expected);
  await js.publish("acme.x", "151");
  await waitFor(async () => (await held(austin, "in_acme")).length === 151);
  const log = await jetstream(await austin.app("acme")).jetstreamManager();
  await waitFor(async () => (await log.streams.info("acme")).state.messages === 151);
  await rm(`${data}.lost`, { recursive: true });
}, 120_000);

async function held(site: MeshSite, stream: string): Promise<string[]> {
  await using mesh = await site.mesh();
  return (await readAll(mesh.jsm, stream)).map((one) => one.string());
}

/** Turns one bit of the last file's bytes. */
async function flip(file: string): Promise<void> {
  const bytes = await readFile(file);
  const at = bytes.length - 200;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}
