/** The sidecar's side of `keeper.sh`, the process that keeps an embedded nats-server running. */
import { spawn } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { LeafmeshError } from "../model/errors.ts";
import { type DataFolder, readDataFile } from "./data_folder.ts";
import { writeSecretFile } from "./files.ts";
import { isRunning, type ProcessRef, readRunningProcess, signalProcess } from "./processes.ts";
import { until } from "./wait.ts";

const KEEPER_DEADLINE_MS = 5_000;
/** The keeper itself waits ten seconds before it kills a server that does not end. */
const STOP_DEADLINE_MS = 15_000;

/** Unexpected ends of the server so far, over all keepers of the folder. */
export interface ServerExits {
  readonly exits: number;
  /** Of the last one; above 128 a signal. */
  readonly status: number;
}

/** What the keeper is to run; it notices a change within a second and acts on it at the next launch. */
export async function writeKeeperArguments(
  folder: DataFolder,
  binary: string,
  lingerMs: number,
): Promise<void> {
  const text = `${binary}\n${Math.ceil(lingerMs / 1000)}\n`;
  await writeSecretFile(folder.file("keeperArguments"), text, "replace");
}

/**
 * Starts a keeper unless one runs. It takes a running server as its own.
 *
 * @returns the new keeper's process id, or `null` when one ran already
 * @throws LeafmeshError `server_failed`
 */
export async function ensureKeeper(folder: DataFolder): Promise<number | null> {
  if ((await readRunningProcess(folder.file("keeperPid"))) !== null) return null;
  const script = fileURLToPath(new URL("keeper.sh", import.meta.url));
  const keeper = spawn("sh", [script, folder.path], {
    cwd: folder.path,
    // Its own session: what ends the sidecar, a closed terminal or Ctrl-C, does not end the keeper.
    detached: true,
    stdio: "ignore",
    env: keeperEnvironment(),
  });
  const failed = new Promise<never>((_, reject) => {
    const fail = (why: string, cause?: Error) =>
      reject(new LeafmeshError("server_failed", `Cannot start ${script}: ${why}`, { cause }));
    keeper.once("error", (thrown) => fail(thrown.message, thrown));
    keeper.once("exit", (code) => fail(`it ended with status ${code}`));
  });
  failed.catch(() => {});
  keeper.unref();
  const running = async () => (await readRunningProcess(folder.file("keeperPid"))) !== null;
  if (!(await Promise.race([failed, until(running, KEEPER_DEADLINE_MS)]))) {
    throw new LeafmeshError("server_failed", `${script} did not write ${folder.file("keeperPid")}`);
  }
  return keeper.pid ?? null;
}

/**
 * Lets the keeper end the server and start it again, and waits until the old one is gone.
 *
 * @throws LeafmeshError `server_failed` when there is no keeper
 */
export async function restartServer(folder: DataFolder): Promise<void> {
  const before = await readRunningProcess(folder.file("serverPid"));
  const keeper = await readRunningProcess(folder.file("keeperPid"));
  if (keeper === null || !(await signalProcess(keeper, "SIGUSR1"))) {
    throw new LeafmeshError("server_failed", `The keeper of ${folder.path} is gone: start the sidecar again`);
  }
  if (before !== null) await until(async () => !(await isRunning(before)), STOP_DEADLINE_MS);
}

/** Has the keeper end the server and itself, and waits for neither: the next start does, see {@link finishEnding}. */
export async function tellKeeperToEnd(folder: DataFolder): Promise<void> {
  const keeper = await readRunningProcess(folder.file("keeperPid"));
  if (keeper === null) return;
  const record = (await readDataFile(folder, "keeperPid")) ?? "";
  await writeSecretFile(folder.file("keeperEnding"), record, "replace");
  await signalProcess(keeper, "SIGTERM");
}

/** Waits for a keeper that was told to end, and for its server: they are not to be taken over. */
export async function finishEnding(folder: DataFolder): Promise<void> {
  if ((await readRunningProcess(folder.file("keeperEnding"))) !== null) await stopKeeper(folder);
}

/** Ends the server and its keeper, and waits until both are gone; what does not come to an end is killed. */
export async function stopKeeper(folder: DataFolder): Promise<void> {
  const keeper = await readRunningProcess(folder.file("keeperPid"));
  const server = await readRunningProcess(folder.file("serverPid"));
  const both = [keeper, server].filter((ref): ref is ProcessRef => ref !== null);
  const gone = async () => (await Promise.all(both.map(isRunning))).every((running) => !running);
  // A keeper ends the server before itself; it would start one again that we end.
  for (const ref of keeper === null ? both : [keeper]) await signalProcess(ref, "SIGTERM");
  if (await until(gone, STOP_DEADLINE_MS)) return;
  for (const ref of both) await signalProcess(ref, "SIGKILL");
  await until(gone, STOP_DEADLINE_MS);
}

/**
 * Whether a server that ends by itself is started again. Not one that could not write: what it had acknowledged, and not stored, it would
 * pass over. An empty file takes no room of a full disk.
 */
export async function holdServer(folder: DataFolder, held: boolean): Promise<void> {
  const path = folder.file("serverHeld");
  if (held) await writeFile(path, "", { mode: 0o600 });
  else await rm(path, { force: true });
}

/** How often the server has ended by itself. */
export async function readExits(folder: DataFolder): Promise<ServerExits> {
  const text = (await readDataFile(folder, "serverExits")) ?? "0 0";
  const [exits, status] = text.trim().split(" ").map(Number);
  return { exits: exits ?? 0, status: status ?? 0 };
}

/** Only what a server needs: the sidecar's own environment may hold secrets. */
function keeperEnvironment(): Record<string, string> {
  const kept = ["PATH", "HOME", "TZ", "TMPDIR", "LANG", "GOMAXPROCS", "GOMEMLIMIT", "GOGC", "SSL_CERT_FILE"];
  return Object.fromEntries(
    kept.flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}
