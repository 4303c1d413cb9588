import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createSigningKey, loadSiteKeys } from "../../../src/nats/keys.ts";
import { readSecret } from "../../../src/nats/secret_source.ts";
import { tempFolder } from "../../support/temp_folder.ts";

const place = (base: string) => ({
  what: "the key",
  base,
  env: { PATH: process.env.PATH, KEY: " from-env\n", EMPTY: " " },
});

describe("readSecret()", () => {
  test("reads a private file, a variable and what a command prints, without white space at the ends", async () => {
    await using folder = await tempFolder();
    await writeFile(join(folder.path, "key"), "from-file\n", { mode: 0o600 });
    const at = place(folder.path);
    expect(await readSecret({ file: "key" }, at)).toBe("from-file");
    expect(await readSecret({ env: "KEY" }, at)).toBe("from-env");
    expect(await readSecret({ command: ["cat", "key"] }, at)).toBe("from-file");
  });

  test("refuses what is not there, what others may read, and what is empty", async () => {
    await using folder = await tempFolder();
    const at = place(folder.path);
    await writeFile(join(folder.path, "open"), "readable-by-all", { mode: 0o644 });
    expect(readSecret({ file: "open" }, at)).rejects.toThrow("others may read it");
    expect(readSecret({ file: "none" }, at)).rejects.toThrow("there is no such file");
    expect(readSecret({ env: "NONE" }, at)).rejects.toThrow("variable NONE: it is not set");
    expect(readSecret({ env: "EMPTY" }, at)).rejects.toThrow("it is empty");
  });

  test("gives a command a deadline and a bound, and shows its errors but nothing of what it prints", async () => {
    await using folder = await tempFolder();
    const at = place(folder.path);
    const failed = await readSecret(
      { command: ["sh", "-c", "echo printed-secret; echo why >&2; exit 3"] },
      at,
    ).catch(String);
    expect(failed).toContain("it ended with 3: why");
    expect(failed).not.toContain("printed-secret");
    const hung = readSecret({ command: ["sleep", "60"] }, { ...at, commandWithinMs: 50 });
    expect(hung).rejects.toThrow("did not end within 50 ms");
    await hung.catch(() => undefined);
    const flood = readSecret({ command: ["sh", "-c", "yes"] }, at);
    expect(flood).rejects.toThrow("prints more than 16384 bytes");
    await flood.catch(() => undefined);
    expect(readSecret({ command: ["/no/such/program"] }, at)).rejects.toThrow("Cannot read the key");
  });
});

test("loadSiteKeys() takes the seeds that are kept elsewhere and writes no file for them", async () => {
  await using folder = await tempFolder();
  const key = createSigningKey();
  const seed = new TextDecoder().decode(key.seed());
  const keys = await loadSiteKeys(folder.path, { site: seed });
  expect(keys.site.publicKey).toBe(key.publicKey);
  const { readdir } = await import("node:fs/promises");
  expect((await readdir(join(folder.path, "keys"))).sort()).toEqual(["mesh.nk", "sys.nk"]);
  expect(loadSiteKeys(folder.path, { sys: `${seed}A` })).rejects.toThrow(
    "secrets.sys of the site file holds no seed",
  );
});
