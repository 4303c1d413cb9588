/** Ends a process that a test has started. */
import type { ChildProcess } from "node:child_process";

/** Sends a signal and waits until the process is gone. @returns whether it still ran */
export async function endProcess(child: ChildProcess, signal: "SIGKILL" | "SIGTERM"): Promise<boolean> {
  if (child.exitCode !== null || child.signalCode !== null) return false;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
  return true;
}
