import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { type FindServerOptions, findServer, isNewEnough } from "../../../src/nats/find.ts";
import { type TempFolder, tempFolder } from "../../support/temp_folder.ts";

let temp: TempFolder;

beforeEach(async () => {
  temp = await tempFolder();
});

afterEach(async () => await temp[Symbol.asyncDispose]());

/** A program that prints what nats-server prints for `--version`. */
async function fake(folder: string, version: string): Promise<string> {
  const path = join(temp.path, folder, "nats-server");
  await mkdir(join(temp.path, folder), { recursive: true });
  await writeFile(path, `#!/bin/sh\necho "nats-server: v${version}"\n`, { mode: 0o755 });
  return path;
}

const pathOf = (...folders: string[]) => folders.map((folder) => join(temp.path, folder)).join(":");

async function failure(options: FindServerOptions): Promise<LeafmeshError> {
  const thrown = await findServer(options).then(
    () => null,
    (error: unknown) => error,
  );
  if (thrown instanceof LeafmeshError) return thrown;
  throw new Error(`Expected a LeafmeshError, got ${thrown}`);
}

describe("findServer()", () => {
  test("takes the site file's before all, then $NATS_SERVER, PATH and the cache", async () => {
    const explicit = await fake("explicit", "2.15.0");
    const named = await fake("named", "2.15.1");
    const inPath = await fake("bin", "2.16.0");
    const cached = await fake("cache", "2.15.2");
    const env = { NATS_SERVER: named, PATH: pathOf("bin") };
    expect(await findServer({ explicit, env, cached })).toEqual({
      path: explicit,
      version: "2.15.0",
      source: "site file",
    });
    expect(await findServer({ env, cached })).toEqual({
      path: named,
      version: "2.15.1",
      source: "$NATS_SERVER",
    });
    expect(await findServer({ env: { PATH: pathOf("none", "bin") }, cached })).toEqual({
      path: inPath,
      version: "2.16.0",
      source: "PATH",
    });
    expect(await findServer({ env: { PATH: pathOf("none") }, cached })).toEqual({
      path: cached,
      version: "2.15.2",
      source: "project cache",
    });
  });

  test("passes over an old or broken one on PATH", async () => {
    await fake("old", "2.10.4");
    await mkdir(join(temp.path, "broken"));
    await writeFile(join(temp.path, "broken", "nats-server"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
    const good = await fake("good", "2.15.3-RC.1");
    const found = await findServer({ env: { PATH: pathOf("old", "broken", "good") }, cached: "/nowhere" });
    expect(found.path).toBe(good);
  });

  test("says server_missing with the places and the way out when there is none", async () => {
    const error = await failure({ env: { PATH: pathOf("none") }, cached: "/nowhere/nats-server" });
    expect(error.code).toBe("server_missing");
    expect(error.message).toBe(
      "No nats-server on PATH, in $NATS_SERVER or at /nowhere/nats-server: run scripts/setup, or install nats-server 2.15.0 or newer",
    );
  });

  test("says server_missing for a named one that is not there or does not work", async () => {
    const absent = await failure({ explicit: "/nowhere/nats-server" });
    expect(absent.code).toBe("server_missing");
    expect(absent.message).toContain("/nowhere/nats-server (from site file)");
    const broken = join(temp.path, "nats-server");
    await writeFile(broken, "#!/bin/sh\necho hello\n", { mode: 0o755 });
    const strange = await failure({ env: { NATS_SERVER: broken } });
    expect(strange.code).toBe("server_missing");
    expect(strange.message).toContain(`${broken} (from $NATS_SERVER) is no working nats-server`);
  });

  test("says server_too_old with version, place and the way out", async () => {
    const old = await fake("old", "2.14.5");
    const named = await failure({ explicit: old });
    expect(named.code).toBe("server_too_old");
    expect(named.message).toContain(`${old} (from site file) is 2.14.5, but 2.15.0 or newer is needed`);
    const found = await failure({ env: { PATH: pathOf("old") }, cached: "/nowhere" });
    expect(found.code).toBe("server_too_old");
    expect(found.message).toContain(`Found nats-server 2.14.5 at ${old} (PATH)`);
    expect(found.message).toContain("scripts/setup");
  });
});

describe("isNewEnough()", () => {
  test("compares numbers, not text", () => {
    const versions = ["2.15.0", "2.15.1", "2.100.0", "3.0.0", "2.15.0-RC.1"];
    expect(versions.map(isNewEnough)).toEqual(versions.map(() => true));
    expect(["2.14.99", "2.9.0", "1.99.99"].map(isNewEnough)).toEqual([false, false, false]);
  });
});
