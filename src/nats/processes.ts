/** Processes named by id and start time, so that an id that was used again is not taken for the old process. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";
import { readTextFile, writeSecretFile } from "./files.ts";

export interface ProcessRef {
  readonly pid: number;
  /** When it started, in the form of this system: clock ticks since boot on Linux, a date elsewhere. */
  readonly started: string;
}

/** Start time of a running process; `null` when there is none, or only a zombie. */
export async function startTime(pid: number): Promise<string | null> {
  const fields = await statOf(pid);
  if (fields === "unknown") return await askPs(pid, "lstart");
  return fields === null || fields[0] === "Z" ? null : (fields[19] ?? null);
}

/** Whether a running process is stopped: by SIGSTOP, at a terminal, or by a debugger. */
export async function isHalted({ pid }: ProcessRef): Promise<boolean> {
  const fields = await statOf(pid);
  const state = fields === "unknown" ? await askPs(pid, "state") : fields?.[0];
  return /^[Tt]/.test(state ?? "");
}

/** The fields of Linux's `/proc/<pid>/stat` after the command, from the state on; `null`: no such process. Elsewhere `unknown`. */
async function statOf(pid: number): Promise<string[] | null | "unknown"> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  // The command's name stands in parentheses and may hold anything; the fields after it are plain.
  if (text !== null) return text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (await readFile("/proc/self/stat", "utf8").catch(() => null)) === null ? "unknown" : null;
}

async function askPs(pid: number, field: "lstart" | "state"): Promise<string | null> {
  const ps = promisify(execFile)("ps", ["-o", `${field}=`, "-p", String(pid)], {
    env: { ...process.env, LC_ALL: "C" },
  });
  return await ps.then(
    ({ stdout }) => stdout.trim().replace(/\s+/g, " ") || null,
    () => null,
  );
}

/** Whether both mean one process. */
export function isSameProcess(left: ProcessRef, right: ProcessRef): boolean {
  return left.pid === right.pid && left.started === right.started;
}

/** Whether the process that is meant still runs. */
export async function isRunning(ref: ProcessRef): Promise<boolean> {
  return (await startTime(ref.pid)) === ref.started;
}

/** The running process that a file of `<pid> <start time>` names, or `null`. */
export async function readRunningProcess(path: string): Promise<ProcessRef | null> {
  const ref = await readProcessFile(path);
  return ref !== null && (await isRunning(ref)) ? ref : null;
}

/** What a file of `<pid> <start time>` names, running or not; `null` without such a file. */
export async function readProcessFile(path: string): Promise<ProcessRef | null> {
  const found = /^(\d+) (\S.*)$/.exec((await readTextFile(path))?.trim() ?? "");
  return found === null ? null : { pid: Number(found[1]), started: (found[2] ?? "").replace(/\s+/g, " ") };
}

/** This process. */
export async function ownProcess(): Promise<ProcessRef> {
  return { pid: process.pid, started: (await startTime(process.pid)) ?? "unknown" };
}

/** Writes `<pid> <start time>`; returns whether it did (see {@link writeSecretFile}). */
export async function writeProcessFile(
  path: string,
  ref: ProcessRef,
  existing: "keep" | "replace",
): Promise<boolean> {
  return await writeSecretFile(path, `${ref.pid} ${ref.started}\n`, existing);
}

/** Sends a signal if the process that is meant still runs; returns whether it did. */
export async function signalProcess(
  ref: ProcessRef,
  signal: "SIGTERM" | "SIGKILL" | "SIGQUIT" | "SIGUSR1",
): Promise<boolean> {
  if (!(await isRunning(ref))) return false;
  try {
    return process.kill(ref.pid, signal);
  } catch {
    return false;
  }
}
