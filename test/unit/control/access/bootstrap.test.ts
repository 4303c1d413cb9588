import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadBootstrapToken } from "../../../../src/control/access/bootstrap.ts";
import { BOOTSTRAP } from "../../../../src/model/principal.ts";
import { type TempFolder, tempFolder } from "../../../support/temp_folder.ts";

const TOKEN = "a-token-of-enough-characters";
let temp: TempFolder;
let file: string;

beforeEach(async () => {
  temp = await tempFolder();
  await mkdir(join(temp.path, "keys"), { mode: 0o700 });
  file = join(temp.path, "keys", "api.token");
});

afterEach(async () => await temp[Symbol.asyncDispose]());

describe("loadBootstrapToken()", () => {
  test("makes a token on the first start, shows it once, and keeps it for its owner alone", async () => {
    const first = await loadBootstrapToken(temp.path, undefined, {});
    expect(first.made).toMatch(/^lm_[\w-]{43}$/);
    expect(first.source).toBe(file);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await readFile(file, "utf8")).trim()).toBe(first.made ?? "");
    const second = await loadBootstrapToken(temp.path, undefined, {});
    expect(second.made).toBeNull();
    expect(second.authenticate(first.made ?? "")?.principal).toEqual(BOOTSTRAP);
  });

  test("takes only the token itself", async () => {
    const token = await loadBootstrapToken(temp.path, { env: "T" }, { T: TOKEN });
    expect(token.authenticate(TOKEN)?.principal).toEqual(BOOTSTRAP);
    for (const other of ["", TOKEN.slice(1), `${TOKEN} `, TOKEN.toUpperCase(), `${TOKEN}x`]) {
      expect([other, token.authenticate(other)]).toEqual([other, null]);
    }
  });

  test("reads the file that is named, without the line break at its end", async () => {
    const named = join(temp.path, "named");
    await writeFile(named, `${TOKEN}\n`, { mode: 0o600 });
    const token = await loadBootstrapToken(temp.path, { file: named }, {});
    expect(token).toMatchObject({ made: null, source: named });
    expect(token.authenticate(TOKEN)?.principal).toEqual(BOOTSTRAP);
  });

  test("refuses a place that has no token or a short one, and never repeats it", async () => {
    await writeFile(file, "short-secret\n", { mode: 0o600 });
    const cases = [
      [{ env: "T" }, {}, "The API token: the environment variable T is not there, expected at least 16"],
      [
        { env: "T" },
        { T: "short" },
        "The API token: the environment variable T holds 5 characters, expected at least 16",
      ],
      [
        { file: join(temp.path, "none") },
        {},
        `The API token: ${join(temp.path, "none")} is not there, expected at least 16`,
      ],
      [undefined, {}, `The API token: ${file} holds 12 characters, expected at least 16`],
    ] as const;
    for (const [setting, env, message] of cases) {
      await expect(loadBootstrapToken(temp.path, setting, env)).rejects.toMatchObject({
        code: "config_invalid",
        message,
      });
    }
  });

  test("refuses a file that others may read", async () => {
    await writeFile(file, TOKEN);
    await chmod(file, 0o640);
    await expect(loadBootstrapToken(temp.path, undefined, {})).rejects.toMatchObject({
      code: "key_invalid",
      message: expect.stringContaining("has mode 0640"),
    });
  });

  test("knows no token where it is switched off", async () => {
    const token = await loadBootstrapToken(temp.path, "off", {});
    for (const candidate of ["", "off", TOKEN]) expect(token.authenticate(candidate)).toBeNull();
    await expect(token.rotate()).rejects.toMatchObject({ code: "conflict" });
  });
});

describe("rotate()", () => {
  test("replaces the token in its file, and ends what is open for the old one", async () => {
    const token = await loadBootstrapToken(temp.path, undefined, {});
    const old = token.made ?? "";
    const signal = token.authenticate(old)?.signal;
    const next = await token.rotate();
    expect(signal?.aborted).toBe(true);
    expect(token.authenticate(old)).toBeNull();
    expect(token.authenticate(next)?.signal.aborted).toBe(false);
    expect((await readFile(file, "utf8")).trim()).toBe(next);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test("does not change what the environment says", async () => {
    const token = await loadBootstrapToken(temp.path, { env: "T" }, { T: TOKEN });
    await expect(token.rotate()).rejects.toMatchObject({ code: "conflict" });
    expect(token.authenticate(TOKEN)?.principal).toEqual(BOOTSTRAP);
  });
});
