/** Files of the data folder: private by mode, whole or not there at all. */
import { randomBytes } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, LeafmeshError } from "../model/errors.ts";

/**
 * Makes a folder (with its parents) that this process can write to.
 *
 * @param mode Permission bits; a folder of mode 0700 that others can enter is tightened.
 * @throws LeafmeshError `data_folder_unusable`
 */
export async function prepareFolder(path: string, mode: number): Promise<void> {
  await usable(path, async () => {
    await mkdir(path, { recursive: true, mode });
    const found = await stat(path);
    if ((found.mode & 0o777 & ~mode) !== 0) await chmod(path, mode);
    const probe = `${path}/.probe-${suffix()}`;
    await (await open(probe, "wx", 0o600)).close();
    await unlink(probe);
  });
}

/**
 * Content of a secret file, or `null` when there is none.
 *
 * @throws LeafmeshError `key_invalid` when group or others have any right on it, `data_folder_unusable` when it cannot
 * be read
 */
export async function readSecretFile(path: string): Promise<Uint8Array | null> {
  return await usable(path, async () => {
    const found = await stat(path).catch(absent);
    if (found === null) return null;
    if ((found.mode & 0o077) !== 0) {
      const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
      throw new LeafmeshError(
        "key_invalid",
        `${path} has mode ${mode}, so others may read it: run chmod 600 on it, and make a new key if it may have leaked`,
      );
    }
    return await readFile(path);
  });
}

/**
 * Asked when all is ready and only a name is left to be changed: whoever leads the site no more must not change it.
 * @throws what keeps the file as it was
 */
export type MayChange = () => Promise<void>;

/**
 * Writes a file of mode 0600 so that a crash leaves either the old or the new content, synced to disk.
 *
 * @param existing `keep` leaves a file that is there untouched, `replace` takes its place.
 * @param mayChange default: it always may
 * @returns whether the content was written
 * @throws LeafmeshError `data_folder_unusable`; what `mayChange` throws
 */
export async function writeSecretFile(
  path: string,
  content: string | Uint8Array,
  existing: "keep" | "replace",
  mayChange?: MayChange,
): Promise<boolean> {
  return await usable(path, async () => {
    const temporary = `${path}.${suffix()}.tmp`;
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    try {
      await mayChange?.();
      if (existing === "replace") {
        await rename(temporary, path);
        return await syncFolder(path);
      }
      // A link fails where a rename would overwrite: of two makers one wins, and nobody reads half a key.
      const made = await link(temporary, path).then(
        () => true,
        (thrown: unknown) => {
          if (errorCode(thrown) === "EEXIST") return false;
          throw thrown;
        },
      );
      return made ? await syncFolder(path) : false;
    } finally {
      await unlink(temporary).catch(absent);
    }
  });
}

/** Text of a file, or `null` when there is none. */
export async function readTextFile(path: string): Promise<string | null> {
  return await usable(path, async () => await readFile(path, "utf8").catch(absent));
}

/** Removes a file; none there is fine. */
export async function removeFile(path: string): Promise<void> {
  await usable(path, async () => {
    await unlink(path).catch(absent);
  });
}

/** System error code (`ENOENT`, `EACCES`, …) of anything thrown. */
export function errorCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string"
    ? thrown.code
    : undefined;
}

function absent(thrown: unknown): null {
  if (errorCode(thrown) === "ENOENT") return null;
  throw thrown;
}

/** Writes the folder of a file to disk: what was renamed in it stays so over a loss of power. */
export async function syncFolder(path: string): Promise<true> {
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return true;
}

function suffix(): string {
  return randomBytes(6).toString("hex");
}

async function usable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof LeafmeshError) throw thrown;
    throw new LeafmeshError("data_folder_unusable", `Cannot use ${path}: ${errorText(thrown)}`, {
      cause: thrown,
    });
  }
}
