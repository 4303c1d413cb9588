/** An encrypted store shows no payload on disk; turning it on keeps all; a wrong key starts nothing and loses nothing. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { stringify } from "yaml";
import { type MeshSite, startMesh } from "../support/mesh.ts";

const PAYLOAD = "nobody-may-read-this-payload";
const ENTRY = fileURLToPath(new URL("../support/sidecar_process.ts", import.meta.url));

async function filesWith(folder: string, text: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const found = await Promise.all(
    files.map(async (file) => (await readFile(file).catch(() => Buffer.alloc(0))).includes(text)),
  );
  return files.filter((_, index) => found[index]);
}

async function setEncryption(site: MeshSite, encryption: object | undefined): Promise<void> {
  const { encryption: _old, ...server } = site.file.server ?? {};
  const file = { ...site.file, server: encryption === undefined ? server : { ...server, encryption } };
  await writeFile(site.siteFile, stringify(file));
}

/** Starts the sidecar and expects it to end by itself. @returns what it says */
async function failsToStart(site: MeshSite): Promise<string> {
  const child = spawn(process.execPath, [ENTRY, site.siteFile], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => {
    said += bytes.toString();
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code).not.toBe(0);
  return said;
}

async function stored(site: MeshSite): Promise<number> {
  const jsm = await jetstreamManager(await site.app("acme"));
  return (await jsm.streams.info("acme")).state.messages;
}

test("a store is encrypted from some start on, and with another key or none nothing starts and nothing is lost", async () => {
  await using mesh = await startMesh({ sites: { berlin: [] }, tenants: () => [{ tenant: "acme" }] });
  const berlin = mesh.site("berlin");
  const store = join(berlin.dataFolder, "store");
  const publish = async () => {
    await jetstream(await berlin.app("acme")).publish("acme.x", PAYLOAD);
  };
  for (let i = 0; i < 3; i++) await publish();
  const before = await berlin.json<{ revision: number }>("/v1/site");
  expect((await filesWith(store, PAYLOAD)).length).toBeGreaterThan(0);
  await berlin.end("SIGTERM");

  const keyFile = join(berlin.folder, "store.key");
  await writeFile(keyFile, "the-key-of-the-store-0123456789\n", { mode: 0o600 });
  await setEncryption(berlin, { cipher: "aes", key: { file: "store.key" } });
  await berlin.start();
  await publish();
  expect((await berlin.json<{ revision: number }>("/v1/site")).revision).toBe(before.revision);
  expect(await filesWith(store, PAYLOAD)).toEqual([]);
  // Nor is the key anywhere but where it belongs.
  const holders = await filesWith(berlin.dataFolder, "the-key-of-the-store");
  expect(holders).toEqual([join(berlin.dataFolder, "keys", "jetstream.conf")]);
  expect(await berlin.log()).not.toContain("the-key-of-the-store");
  await berlin.end("SIGTERM");

  await setEncryption(berlin, { cipher: "aes", key: { env: "NO_SUCH_VARIABLE_OF_OURS" } });
  expect(await failsToStart(berlin)).toContain("variable NO_SUCH_VARIABLE_OF_OURS: it is not set");
  await setEncryption(berlin, { cipher: "aes", key: { command: ["echo", "another-key-0123456789"] } });
  const wrong = await failsToStart(berlin);
  expect(wrong).toContain("the key of server.encryption is another than what it was encrypted with");
  expect(wrong).not.toContain("another-key-0123456789");
  await setEncryption(berlin, undefined);
  expect(await failsToStart(berlin)).toContain("is encrypted: set server.encryption");

  await setEncryption(berlin, { key: { command: ["cat", "store.key"] } });
  await berlin.start();
  await publish();
  expect(await stored(berlin)).toBe(5);
}, 120_000);
