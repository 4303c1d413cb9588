/** An encrypted store shows no payload on disk; a wrong key starts nothing and loses nothing. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { stringify } from "yaml";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

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
  const child = spawn(process.execPath, [ENTRY, site.siteFile], { stdio: ["pipe", "ignore", "pipe"] });
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

test("an encrypted store shows no payload; with another key or none nothing starts and nothing is lost", async () => {
  const key = "the-key-of-the-store-0123456789";
  await using mesh = await startMesh({
    sites: { berlin: [] },
    tenants: () => [{ tenant: "acme" }],
    edit: (file) => ({
      ...file,
      server: { ...file.server, encryption: { cipher: "aes", key: { command: ["echo", key] } } },
    }),
  });
  const berlin = mesh.site("berlin");
  const publish = async () => {
    await jetstream(await berlin.app("acme")).publish("acme.x", PAYLOAD);
  };
  for (let i = 0; i < 3; i++) await publish();
  await waitFor(async () => (await stored(berlin)) === 3, { what: "the log" });
  const before = await berlin.json<{ revision: number }>("/v1/site");
  expect(await filesWith(join(berlin.dataFolder, "store"), PAYLOAD)).toEqual([]);
  // Nor is the key anywhere but where it belongs.
  expect(await filesWith(berlin.dataFolder, key)).toEqual([
    join(berlin.dataFolder, "keys", "jetstream.conf"),
  ]);
  expect(await berlin.log()).not.toContain(key);
  await berlin.end("SIGTERM");

  await setEncryption(berlin, { cipher: "aes", key: { env: "NO_SUCH_VARIABLE_OF_OURS" } });
  expect(await failsToStart(berlin)).toContain("variable NO_SUCH_VARIABLE_OF_OURS: it is not set");
  await setEncryption(berlin, { cipher: "aes", key: { command: ["echo", "another-key-0123456789"] } });
  const wrong = await failsToStart(berlin);
  expect(wrong).toContain("the key of server.encryption is another than what it was encrypted with");
  expect(wrong).not.toContain("another-key-0123456789");
  await setEncryption(berlin, undefined);
  expect(await failsToStart(berlin)).toContain("is encrypted: set server.encryption");

  await setEncryption(berlin, { key: { command: ["echo", key] } });
  await berlin.start();
  expect((await berlin.json<{ revision: number }>("/v1/site")).revision).toBe(before.revision);
  await publish();
  await waitFor(async () => (await stored(berlin)) === 4, { what: "the event after the restart" });
  const plain = await startMesh({ sites: { austin: [] }, tenants: () => [] });
  await using _plain = plain;
  const austin = plain.site("austin");
  await austin.end("SIGTERM");
  await setEncryption(austin, {});
  expect(await failsToStart(austin)).toContain(
    "is not encrypted: server.encryption is for a new data folder",
  );
}, 120_000);
