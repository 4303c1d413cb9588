import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { LeafmeshError } from "../../../src/model/errors.ts";
import {
  createSigningKey,
  loadSigningKey,
  loadSiteKeys,
  publicKeys,
  verifySignature,
} from "../../../src/nats/keys.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

let temp: TempFolder;

beforeEach(async () => {
  temp = await tempFolder();
});

afterEach(async () => await temp[Symbol.asyncDispose]());

const bytes = (text: string) => new TextEncoder().encode(text);

async function failure(work: Promise<unknown>): Promise<LeafmeshError> {
  const thrown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LeafmeshError) return thrown;
  throw new Error(`Expected a LeafmeshError, got ${thrown}`);
}

describe("loadSiteKeys()", () => {
  test("makes three user keys that only the owner can read, and finds them again", async () => {
    const made = publicKeys(await loadSiteKeys(temp.path));
    expect(new Set(Object.values(made)).size).toBe(3);
    for (const key of Object.values(made)) expect(key).toMatch(/^U[A-Z2-7]{55}$/);
    const folder = join(temp.path, "keys");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await readdir(folder)).sort()).toEqual(["mesh.nk", "site.nk", "sys.nk"]);
    for (const name of await readdir(folder)) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
      expect(await readFile(join(folder, name), "utf8")).toMatch(/^SU[A-Z2-7]{56}\n$/);
    }
    expect(publicKeys(await loadSiteKeys(temp.path))).toEqual(made);
  });

  test("gives all that start at once the same keys", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => loadSiteKeys(temp.path)));
    expect(new Set(all.map((keys) => JSON.stringify(publicKeys(keys)))).size).toBe(1);
  });

  test("tightens a folder that others may enter", async () => {
    await loadSiteKeys(temp.path);
    await chmod(join(temp.path, "keys"), 0o755);
    await loadSiteKeys(temp.path);
    expect((await stat(join(temp.path, "keys"))).mode & 0o777).toBe(0o700);
  });

  test("refuses a key that others may read, naming file and mode but not the seed", async () => {
    await loadSiteKeys(temp.path);
    const path = join(temp.path, "keys", "site.nk");
    const seed = (await readFile(path, "utf8")).trim();
    await chmod(path, 0o640);
    const error = await failure(loadSiteKeys(temp.path));
    expect(error.code).toBe("key_invalid");
    expect(error.message).toContain(`${path} has mode 0640`);
    expect(inspect(error, { depth: 9 })).not.toContain(seed);
  });

  test("refuses content that is no seed of a user, without repeating it", async () => {
    const path = join(temp.path, "broken.nk");
    const site = new TextDecoder().decode(createSigningKey().seed());
    const wrong = [
      "",
      "hello",
      site.slice(0, -1),
      `${site}A`,
      "SAAHPGPSCCIGRZTCVWMRHQIT7BPRPBBYA3GFKKHQBVVDNBQSRG2MG3DJIQ",
    ];
    for (const content of wrong) {
      await writeFile(path, content, { mode: 0o600 });
      const error = await failure(loadSigningKey(path));
      expect(error.code).toBe("key_invalid");
      expect(error.message).toStartWith(`${path} holds no seed of a user nkey`);
      if (content !== "") expect(inspect(error, { depth: 9 })).not.toContain(content);
    }
  });

  test("says data_folder_unusable where no folder can be", async () => {
    const file = join(temp.path, "file");
    await writeFile(file, "");
    const error = await failure(loadSiteKeys(file));
    expect(error.code).toBe("data_folder_unusable");
    expect(error.message).toContain(join(file, "keys"));
  });
});

describe("SigningKey", () => {
  test("signs what verifySignature() accepts from that key and that content alone", () => {
    const key = createSigningKey();
    const signature = key.sign(bytes("hello"));
    expect(signature.length).toBe(64);
    expect(verifySignature(key.publicKey, bytes("hello"), signature)).toBe(true);
    expect(verifySignature(key.publicKey, bytes("hallo"), signature)).toBe(false);
    expect(verifySignature(createSigningKey().publicKey, bytes("hello"), signature)).toBe(false);
    expect(verifySignature("Ubroken", bytes("hello"), signature)).toBe(false);
    expect(verifySignature(key.publicKey, bytes("hello"), new Uint8Array(3))).toBe(false);
  });

  test("shows its public key alone when it is printed or serialized", () => {
    const key = createSigningKey();
    const seed = new TextDecoder().decode(key.seed());
    expect(JSON.stringify({ key })).toBe(`{"key":"${key.publicKey}"}`);
    expect(inspect(key, { depth: 9, showHidden: true })).not.toContain(seed);
    expect(String(Object.values(key))).toBe(key.publicKey);
  });
});
