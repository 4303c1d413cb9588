/** Memory disks that a test can fill. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";

const FILLER = "filler";

/** Whether this process may mount memory disks. */
export function mayMount(): boolean {
  return process.platform === "linux" && process.getuid?.() === 0;
}

/** Puts a memory disk of `bytes` at `path`, which is made. @returns what takes it away again */
export function mountDisk(path: string, bytes: number): () => void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "tmpfs", path]);
  return () => execFileSync("umount", ["-l", path]);
}

/** Takes all room that the disk at `path` has. @returns what gives it back */
export function fillDisk(path: string): () => Promise<void> {
  const filler = join(path, FILLER);
  try {
    execFileSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=1M"], { stdio: "ignore" });
  } catch {
    // It ends with the disk.
  }
  return async () => await rm(filler, { force: true });
}

/** Whether a path is that of a file that takes the room of a disk: no part of what stands there. */
export function isFiller(path: string): boolean {
  return path.endsWith(`/${FILLER}`);
}
