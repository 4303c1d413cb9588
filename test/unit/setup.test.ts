import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, copyFile, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SCRIPT = join(import.meta.dir, "../../scripts/setup");
const SYSTEM_TOOLS =
  "awk bash cat chmod cksum cp cut dirname flock grep gzip head ln ls mkdir mktemp mv readlink rm sha256sum sleep tail tar tr uname".split(
    " ",
  );
const ARCHIVE = `nats-server-v2.15.0-linux-${process.arch === "x64" ? "amd64" : "arm64"}`;

let folder: string;

/** A shell script at `path`, which stands for a program. */
async function fakeProgram(path: string, body: string): Promise<string> {
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

const fakeNatsServer = (path: string, version: string): Promise<string> =>
  fakeProgram(path, `echo "nats-server: v${version}"`);

/** Runs a copy of the script in an empty checkout, on a PATH with no apt-get, npm, curl or nats-server. */
async function runSetup(
  parts: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([join(folder, "checkout/scripts/setup"), ...parts], {
    cwd: "/",
    env: { PATH: join(folder, "bin"), HOME: folder, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, stdout, stderr };
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leafmesh-setup-"));
  await mkdir(join(folder, "checkout/scripts"), { recursive: true });
  await mkdir(join(folder, "bin"));
  await copyFile(SCRIPT, join(folder, "checkout/scripts/setup"));
  for (const tool of SYSTEM_TOOLS) {
    const path = Bun.which(tool);
    if (path !== null) await symlink(path, join(folder, "bin", tool));
  }
});

afterEach(() => rm(folder, { recursive: true, force: true }));

describe("scripts/setup with NATS_SERVER", () => {
  test("refuses an old nats-server in one line, before it gets anything else", async () => {
    const old = await fakeNatsServer(join(folder, "old"), "2.10.0");
    expect(await runSetup([], { NATS_SERVER: old })).toEqual({
      code: 1,
      stdout: "",
      stderr: `setup: error: NATS_SERVER=${old} is nats-server 2.10.0: expected 2.15.0 or later; correct or unset it\n`,
    });
  });

  test("refuses a program that does not run", async () => {
    const broken = await fakeProgram(join(folder, "broken"), "exit 127");
    const { code, stderr } = await runSetup(["nats-server"], { NATS_SERVER: broken });
    expect(stderr).toBe(
      `setup: error: NATS_SERVER=${broken} does not run or tells no version: expected nats-server 2.15.0 or later; correct or unset it\n`,
    );
    expect(code).toBe(1);
  });

  test("refuses a path where no program is", async () => {
    const { code, stderr } = await runSetup(["nats-server"], { NATS_SERVER: "/nowhere/nats-server" });
    expect(stderr).toContain("NATS_SERVER=/nowhere/nats-server is no program");
    expect(code).toBe(1);
  });

  test("takes a new one and leaves the checkout's own alone", async () => {
    const server = await fakeNatsServer(join(folder, "new"), "2.16.3");
    const { code, stderr } = await runSetup(["nats-server"], { NATS_SERVER: server });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "setup: nats-server 2.16.3 (NATS_SERVER)\n" });
    expect(await Bun.file(join(folder, "checkout/.tools/bin/nats-server")).exists()).toBe(false);
  });
});

describe("scripts/setup without NATS_SERVER", () => {
  test("links the nats-server on PATH when it is new enough", async () => {
    const server = await fakeNatsServer(join(folder, "bin/nats-server"), "2.15.0");
    const { code, stderr } = await runSetup(["nats-server"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "setup: nats-server 2.15.0 (PATH)\n" });
    expect(await readlink(join(folder, "checkout/.tools/bin/nats-server"))).toBe(server);
  });

  test("tells every way it tried, what it found and what to do", async () => {
    const old = await fakeNatsServer(join(folder, "bin/nats-server"), "2.9.10");
    const { code, stdout, stderr } = await runSetup(["nats-server"]);
    expect(stderr).toBe(
      [
        `setup: nats-server on PATH (${old}) is 2.9.10, below 2.15.0: looking for another`,
        "setup: nats-server 2.15.0: downloading the release",
        "setup: error: no nats-server 2.15.0 or later:",
        "  NATS_SERVER: not set",
        `  PATH: ${old} is 2.9.10, below 2.15.0`,
        "  Debian: this machine has no apt-get",
        "  release: neither curl nor wget is on PATH",
        "  What to do: install nats-server 2.15.0 or later and put it on PATH, or set NATS_SERVER to its path.",
        "",
      ].join("\n"),
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  });
});

describe("scripts/setup with a release archive", () => {
  let sum: string;

  beforeEach(async () => {
    const content = join(folder, "release", ARCHIVE);
    await mkdir(content, { recursive: true });
    await fakeNatsServer(join(content, "nats-server"), "2.15.1");
    const archive = join(folder, "served.tar.gz");
    await Bun.spawn(["tar", "-czf", archive, "-C", join(folder, "release"), ARCHIVE]).exited;
    sum = new Bun.CryptoHasher("sha256").update(await Bun.file(archive).bytes()).digest("hex");
    await fakeProgram(join(folder, "bin/curl"), `while [ "$1" != -o ]; do shift; done; cp "${archive}" "$2"`);
  });

  test("keeps a release archive that has this sum, and does not fetch it again", async () => {
    const first = await runSetup(["nats-server"], { LEAFMESH_NATS_SHA256: sum });
    expect(first.stderr).toBe(
      "setup: nats-server 2.15.0: downloading the release\nsetup: nats-server 2.15.1 (.tools)\n",
    );
    expect(await runSetup(["nats-server"])).toEqual({
      code: 0,
      stdout: "",
      stderr: "setup: nats-server 2.15.1 (.tools)\n",
    });
  });

  test("refuses an archive that is not the one whose sum is pinned", async () => {
    const { code, stderr } = await runSetup(["nats-server"]);
    expect(stderr).toMatch(new RegExp(`has the sum ${sum}, expected [0-9a-f]{64}`));
    expect(code).toBe(1);
  });

  test("refuses a release archive with another sum", async () => {
    const wrong = "0".repeat(64);
    const { code, stderr } = await runSetup(["nats-server"], { LEAFMESH_NATS_SHA256: wrong });
    expect(stderr).toContain(`release: ${ARCHIVE}.tar.gz has the sum ${sum}, expected ${wrong}`);
    expect(code).toBe(1);
    expect(await Bun.file(join(folder, "checkout/.tools/nats-server/nats-server")).exists()).toBe(false);
  });
});

describe("scripts/setup and Bun", () => {
  test("never links a runtime to itself, whatever path leads to its own folder", async () => {
    const bin = join(folder, "checkout/.tools/bin");
    await mkdir(bin, { recursive: true });
    const bun = await fakeProgram(join(folder, "own-bun"), "echo 1.4.9");
    await symlink(bun, join(bin, "bun"));
    await symlink(join(folder, "checkout"), join(folder, "link"));
    const path = `${join(folder, "link/.tools/bin")}:${join(folder, "bin")}`;
    const { code, stderr } = await runSetup(["bun"], { PATH: path });
    expect(stderr).toContain("neither npm nor bun is on PATH");
    expect(code).toBe(1);
    expect(await readlink(join(bin, "bun"))).toBe(bun);
  });

  test("takes the one on PATH when it is new enough", async () => {
    const bun = await fakeProgram(join(folder, "bin/bun"), "echo 1.4.9");
    const { code, stderr } = await runSetup(["bun"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "setup: bun 1.4.9 (PATH)\n" });
    expect(await readlink(join(folder, "checkout/.tools/bin/bunx"))).toBe(bun);
  });

  test("tells what to do when there is neither Bun nor npm", async () => {
    const { code, stderr } = await runSetup(["bun"]);
    expect(stderr).toContain("neither npm nor bun is on PATH, so bun 1.4.5 cannot be installed");
    expect(code).toBe(1);
  });

  test("refuses a part it does not know", async () => {
    const { code, stderr } = await runSetup(["buns"]);
    expect(stderr).toBe("setup: error: unknown part 'buns': expected bun, deno, packages or nats-server\n");
    expect(code).toBe(1);
  });

  test("waits for another setup of the same checkout", async () => {
    await fakeProgram(join(folder, "bin/bun"), "sleep 0.1; echo 1.4.9");
    const runs = await Promise.all([runSetup(["bun"]), runSetup(["bun"]), runSetup(["bun"])]);
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(runs.filter(({ stderr }) => stderr.includes("waiting for another setup"))).toHaveLength(2);
  });
});
