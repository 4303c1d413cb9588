/** Where process ids mean the same: one machine from its start to its end, and one space of process ids in it. */
import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";

/** The mark of this machine and this space of process ids. */
export async function hostMark(): Promise<string> {
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  const space = await readlink("/proc/self/ns/pid").catch(() => "");
  return [hostname(), boot.trim(), space].join(" ");
}
