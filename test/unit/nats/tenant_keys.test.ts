import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { TenantKeys } from "../../../src/nats/tenant_keys.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

let temp: TempFolder;
beforeEach(async () => {
  temp = await tempFolder();
});
afterEach(() => temp[Symbol.asyncDispose]());

const fileOf = (name: string) => join(temp.path, "keys", name);
const failure = async (work: Promise<unknown>) =>
  (await work.catch((thrown: unknown) => thrown)) as LeafmeshError;

describe("TenantKeys", () => {
  test("makes one secret of each kind a tenant, with a short public id, and keeps it", async () => {
    const acme = await new TenantKeys(temp.path).load("acme");
    expect(acme.pseudonym?.secret.length).toBe(32);
    expect(acme.pseudonym?.id).toMatch(/^[A-Za-z0-9_-]{8}$/);
    expect(acme.encrypt?.id).toMatch(/^[0-9a-f]{8}$/);
    expect(acme.encrypt?.secret).not.toEqual(acme.pseudonym?.secret);
    expect(await new TenantKeys(temp.path).load("acme")).toEqual(acme);
    const globex = await new TenantKeys(temp.path).load("globex");
    expect(globex.pseudonym?.id).not.toBe(acme.pseudonym?.id);
    for (const name of ["pseudonym_acme.key", "encrypt_acme.key"]) {
      expect((await stat(fileOf(name))).mode & 0o777).toBe(0o600);
    }
  });

  test("peek() makes nothing: what is missing is one key, until there is a file", async () => {
    const keys = new TenantKeys(temp.path);
    await keys.load("globex");
    const files = async () => (await readdir(join(temp.path, "keys"))).toSorted();
    const before = await files();
    const first = await keys.peek("acme");
    expect(first.missing).toEqual(["pseudonym", "encrypt"]);
    expect(first.keys.pseudonym?.secret.length).toBe(32);
    expect(await keys.peek("acme")).toEqual(first);
    expect(keys.active("acme")).toEqual({});
    expect(await keys.list("acme")).toEqual([]);
    expect(await files()).toEqual(before);
    const loaded = await keys.load("acme");
    expect(loaded.pseudonym?.id).not.toBe(first.keys.pseudonym?.id);
    expect(await keys.peek("acme")).toEqual({ keys: loaded, missing: [] });
  });

  test("active() knows what was loaded last, and nothing before", async () => {
    const keys = new TenantKeys(temp.path);
    expect(keys.active("acme")).toEqual({});
    const loaded = await keys.load("acme");
    expect(keys.active("acme")).toEqual(loaded);
  });

  test("rotate() makes a key that is active at once and after the next start; old ones are kept", async () => {
    const keys = new TenantKeys(temp.path);
    const before = await keys.load("acme");
    const second = await keys.rotate("acme", "pseudonym");
    const third = await keys.rotate("acme", "pseudonym");
    expect(third).toEqual({ kind: "pseudonym", id: third.id, active: true });
    const after = await keys.load("acme");
    expect(after.pseudonym?.id).toBe(third.id);
    expect(after.encrypt).toEqual(before.encrypt);
    expect(keys.active("acme")).toEqual(after);
    expect(await new TenantKeys(temp.path).load("acme")).toEqual(after);
    const listed = await keys.list("acme");
    expect(listed.map(({ kind, id, active }) => `${kind} ${id} ${active}`)).toEqual([
      `pseudonym ${third.id} true`,
      `pseudonym ${second.id} false`,
      `pseudonym ${before.pseudonym?.id} false`,
      `encrypt ${before.encrypt?.id} true`,
    ]);
    expect((await readdir(join(temp.path, "keys"))).toSorted()).toEqual([
      "encrypt_acme.key",
      "pseudonym_acme.2.key",
      "pseudonym_acme.3.key",
      "pseudonym_acme.key",
    ]);
    expect((await stat(fileOf("pseudonym_acme.2.key"))).mode & 0o777).toBe(0o600);
  });

  test("ten keys and more are in the order of their numbers", async () => {
    const keys = new TenantKeys(temp.path);
    let last = "";
    for (let i = 0; i < 10; i++) last = (await keys.rotate("acme", "encrypt")).id;
    expect((await new TenantKeys(temp.path).load("acme")).encrypt?.id).toBe(last);
  });

  test("the keys of another tenant whose name begins alike are not taken", async () => {
    const keys = new TenantKeys(temp.path);
    await keys.rotate("acme-2", "pseudonym");
    const mine = await keys.load("acme");
    expect((await keys.list("acme")).map((one) => one.id)).toEqual([
      mine.pseudonym?.id ?? "",
      mine.encrypt?.id ?? "",
    ]);
  });

  test("refuses a secret of another length, and a file that others may read", async () => {
    await new TenantKeys(temp.path).load("acme");
    await writeFile(fileOf("pseudonym_acme.key"), "short", { mode: 0o600 });
    const short = await failure(new TenantKeys(temp.path).load("acme"));
    expect(short.code).toBe("key_invalid");
    expect(short.message).toStartWith(`${fileOf("pseudonym_acme.key")} holds 5 bytes, expected 32`);
    expect(short.message).toContain("old pseudonyms cannot be made again");
    await new TenantKeys(temp.path).load("shop");
    await chmod(fileOf("encrypt_shop.key"), 0o644);
    const open = await failure(new TenantKeys(temp.path).load("shop"));
    expect([open instanceof LeafmeshError, open.code]).toEqual([true, "key_invalid"]);
  });

  test("a load that failed is tried again", async () => {
    const keys = new TenantKeys(temp.path);
    await new TenantKeys(temp.path).load("acme");
    await chmod(fileOf("encrypt_acme.key"), 0o644);
    expect((await failure(keys.load("acme"))).code).toBe("key_invalid");
    await chmod(fileOf("encrypt_acme.key"), 0o600);
    expect((await keys.load("acme")).encrypt?.id).toMatch(/^[0-9a-f]{8}$/);
  });
});
