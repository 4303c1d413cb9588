/** How much room the disk under a store has, and whether that is enough for a server to write again. */
import { statfs } from "node:fs/promises";

/** What a server needs to recover its store: this share of the disk, or these bytes where that is less. */
const NEEDED_SHARE = 0.01;
const NEEDED_BYTES = 64 * 1024 ** 2;

/** A disk, in bytes. */
export interface DiskSpace {
  /** What a process without privileges may still write. */
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Asks the system for the disk that `path` is on. */
export async function readDiskSpace(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** Whether a server that could not write is worth a restart: with less room it would stop again while it recovers. */
export function hasRoom({ freeBytes, totalBytes }: DiskSpace): boolean {
  return freeBytes >= Math.min(NEEDED_BYTES, totalBytes * NEEDED_SHARE);
}
