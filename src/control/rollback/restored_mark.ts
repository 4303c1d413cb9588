/**
 * Says, beside the store, that a whole data folder is a backup that was put back and has not been started since. All notes in it are
 * as old as its store, so nothing else could tell.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { readTextFile, writeSecretFile } from "../../nats/files.ts";

const fileIn = (folder: string): string => join(folder, "restored.json");

/** Marks a data folder that is put back. @throws {LeafmeshError} as `writeSecretFile` */
export async function markRestored(folder: string, at: Date): Promise<void> {
  await writeSecretFile(fileIn(folder), `${JSON.stringify({ at: at.toISOString() })}\n`, "replace");
}

/** Whether a data folder was put back, and has not been started since. */
export async function isRestored(folder: string): Promise<boolean> {
  return (await readTextFile(fileIn(folder))) !== null;
}

/** Takes the mark away: what it says is noted. */
export async function forgetRestored(folder: string): Promise<void> {
  await rm(fileIn(folder), { force: true });
}
