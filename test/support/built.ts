/**
 * Programs that tests start again and again, bundled with their bytecode: a sidecar starts in half the processor time
 * that it takes from source. A bundle is made once for each state of the files, and kept under `node_modules/.cache`.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** This tree's folder. */
export const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const PARTS = ["src", "routes", "test/support", "bun.lock", "package.json"];
/** A sidecar as most tests want it. */
export const SIDECAR = "test/support/sidecar_process.ts";
/** What the bundle opens beside itself: the thread of views, and the script that keeps the server. */
const THREAD = "src/flow/thread/entry.ts";
const KEEPER = "src/nats/keeper.sh";
const KEPT_MS = 24 * 3_600_000;
const made = new Map<string, Promise<string>>();

/** The bundle of a program of this tree, named by its path in it. */
export function built(entry: string): Promise<string> {
  const bundle = made.get(entry) ?? build(entry);
  made.set(entry, bundle);
  return bundle;
}

async function build(entry: string): Promise<string> {
  const cache = join(PROJECT, "node_modules", ".cache", "leafmesh-tests");
  const name = basename(entry, ".ts");
  const folder = join(cache, `${name}-${await stateOf(entry)}`);
  const bundle = join(folder, `${name}.js`);
  if (await used(folder)) return bundle;
  await mkdir(cache, { recursive: true });
  await removeOld(cache);
  const unfinished = await mkdtemp(join(cache, "new-"));
  const how = ["--target=bun", "--format=cjs", "--bytecode", "--entry-naming=[name].js"];
  const command = ["build", ...[entry, THREAD].map((path) => join(PROJECT, path)), ...how];
  await promisify(execFile)(process.execPath, [...command, `--outdir=${unfinished}`]);
  await writeFile(join(unfinished, basename(THREAD)), 'import "./entry.js";\n');
  await copyFile(join(PROJECT, KEEPER), join(unfinished, basename(KEEPER)));
  // Of two test processes that build the same the first wins.
  await rename(unfinished, folder).catch(() => rm(unfinished, { recursive: true }));
  return bundle;
}

/** Differs when the program, any file that it could use, or the runtime is another. */
async function stateOf(entry: string): Promise<string> {
  const hash = createHash("sha256").update(`${process.version} ${Bun.revision} ${entry}\n`);
  for (const part of PARTS) {
    const path = join(PROJECT, part);
    const inside = await readdir(path, { recursive: true }).catch(() => [""]);
    const files = await Promise.all(
      inside.sort().map(async (name) => ({ name, found: await stat(join(path, name)).catch(() => null) })),
    );
    for (const { name, found } of files) hash.update(`${part}/${name} ${found?.size} ${found?.mtimeMs}\n`);
  }
  return hash.digest("hex").slice(0, 32);
}

async function removeOld(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    const found = await stat(path).catch(() => null);
    if (found !== null && Date.now() - found.mtimeMs > KEPT_MS)
      await rm(path, { recursive: true, force: true });
  }
}

/** Whether a bundle is there; it is kept for another while then: another test process removes what is old. */
async function used(folder: string): Promise<boolean> {
  const now = new Date();
  return await utimes(folder, now, now).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) await built(SIDECAR);
