/**
 * The file of a backup: a first line that says what it is, a line with the manifest, the bytes of all files in the order of the
 * manifest, and a last line that seals the manifest. All of it is checked before anything of it is used.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";

/** Version of the format; a later one is refused. */
export const BACKUP_FORMAT = 1;
const MAGIC = "LEAFMESH-BACKUP";
const CHUNK = 1024 * 1024;
const MAX_MANIFEST = 256 * 1024 * 1024;

const Entry = z.object({
  path: z.string(),
  size: z.int().nonnegative(),
  mode: z.int(),
  sha256: z.string(),
  /** Of a key, which is encrypted: where its cipher begins. */
  iv: z.string().optional(),
});

export const BackupManifest = z.object({
  format: z.int(),
  site: z.string(),
  version: z.string(),
  createdAt: z.string(),
  /** Salt of the passphrase; `null`: keys are not in it. */
  keys: z.string().nullable(),
  files: z.array(Entry),
});
export type BackupManifest = z.infer<typeof BackupManifest>;
export type BackupEntry = BackupManifest["files"][number];

/** A file that goes in: where it is, or its bytes. */
export interface BackupSource {
  readonly path: string;
  readonly mode: number;
  readonly from: string | Uint8Array;
  readonly iv?: string;
}

function refuse(file: string, what: string): LeafmeshError {
  return new LeafmeshError("request_invalid", `${file} ${what}`);
}

/**
 * Writes a backup. It has its name only when it is whole and on the disk.
 * @throws LeafmeshError `conflict` when the file is there, or a source changes meanwhile; `data_folder_unusable` when one cannot be read
 */
export async function writeArchive(
  file: string,
  about: Omit<BackupManifest, "format" | "files">,
  sources: readonly BackupSource[],
): Promise<BackupManifest> {
  const files: BackupEntry[] = [];
  for (const source of sources) {
    const { path, mode, iv } = source;
    files.push({ path, mode, ...(await digest(source)), ...(iv === undefined ? {} : { iv }) });
  }
  const manifest: BackupManifest = { format: BACKUP_FORMAT, ...about, files };
  const text = JSON.stringify(manifest);
  const part = `${file}.part`;
  const claim = await open(file, "wx", 0o600).catch((error: unknown) => {
    throw new LeafmeshError("conflict", `${file} cannot be made: ${errorText(error)}`);
  });
  await claim.close();
  try {
    const out = await open(part, "w", 0o600);
    try {
      await out.writeFile(`${MAGIC} ${BACKUP_FORMAT}\n${text}\n`);
      for (const [index, source] of sources.entries()) {
        const copied = await digest(source, out);
        if (copied.sha256 !== files[index]?.sha256) {
          throw new LeafmeshError(
            "conflict",
            `${source.path} changes while it is backed up: is the site stopped?`,
          );
        }
      }
      await out.writeFile(`\nEND ${sha256(text)}\n`);
      await out.sync();
    } finally {
      await out.close();
    }
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    await rm(file, { force: true });
    throw error;
  }
  return manifest;
}

/** Size and hash of a source; copies it when there is somewhere to. */
async function digest(
  { from }: BackupSource,
  into?: FileHandle,
): Promise<{ readonly size: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  if (typeof from !== "string") {
    if (into !== undefined) await into.writeFile(from);
    return { size: from.length, sha256: hash.update(from).digest("hex") };
  }
  const handle = await open(from, "r");
  try {
    const buffer = new Uint8Array(CHUNK);
    let size = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, CHUNK, size);
      if (bytesRead === 0) return { size, sha256: hash.digest("hex") };
      const bytes = buffer.subarray(0, bytesRead);
      hash.update(bytes);
      if (into !== undefined) await into.writeFile(bytes);
      size += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** A backup that is whole: every byte of it has been checked. */
export class Archive implements AsyncDisposable {
  readonly manifest: BackupManifest;
  readonly #handle: FileHandle;
  readonly #begin: number;

  private constructor(handle: FileHandle, manifest: BackupManifest, begin: number) {
    this.#handle = handle;
    this.manifest = manifest;
    this.#begin = begin;
  }

  /** Opens and checks a backup. @throws LeafmeshError `request_invalid` that says what is wrong with it, `not_found` */
  static async open(file: string): Promise<Archive> {
    const handle = await open(file, "r").catch((error: unknown) => {
      throw new LeafmeshError("not_found", `${file} cannot be read: ${errorText(error)}`);
    });
    try {
      const { manifest, begin, text } = await readHead(handle, file);
      const archive = new Archive(handle, manifest, begin);
      const end = `\nEND ${sha256(text)}\n`;
      const bytes = manifest.files.reduce((sum, { size }) => sum + size, 0);
      const { size } = await handle.stat();
      if (size < begin + bytes + end.length) {
        throw refuse(file, `is cut: it has ${size} bytes of ${begin + bytes + end.length}`);
      }
      const last = await readAt(handle, begin + bytes, size - begin - bytes);
      if (new TextDecoder().decode(last) !== end) throw refuse(file, "is damaged: its manifest was changed");
      for (const entry of manifest.files) {
        if (!isInside(entry.path))
          throw refuse(file, `names a file outside the data folder: '${entry.path}'`);
        if ((await archive.copy(entry)) !== entry.sha256)
          throw refuse(file, `is damaged: ${entry.path} was changed`);
      }
      return archive;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Hands out the bytes of a file in parts. @returns their SHA-256 */
  async copy(
    entry: BackupEntry,
    take: (bytes: Uint8Array) => Promise<void> = async () => {},
  ): Promise<string> {
    let at = this.#begin;
    for (const one of this.manifest.files) {
      if (one === entry) break;
      at += one.size;
    }
    const hash = createHash("sha256");
    for (let left = entry.size; left > 0; ) {
      const bytes = await readAt(this.#handle, at, Math.min(left, CHUNK));
      if (bytes.length === 0) break;
      hash.update(bytes);
      await take(bytes);
      at += bytes.length;
      left -= bytes.length;
    }
    return hash.digest("hex");
  }

  /** Writes a file of the backup below a folder. */
  async extract(entry: BackupEntry, folder: string): Promise<void> {
    const path = join(folder, entry.path);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const out = await open(path, "wx", entry.mode & 0o700);
    try {
      await this.copy(entry, async (bytes) => void (await out.writeFile(bytes)));
      await out.sync();
    } finally {
      await out.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function readHead(handle: FileHandle, file: string) {
  const first = new TextDecoder().decode(await readAt(handle, 0, MAGIC.length + 16));
  const found = /^LEAFMESH-BACKUP (\d+)\n/.exec(first);
  if (found === null) throw refuse(file, "is no backup of Leafmesh");
  if (Number(found[1]) > BACKUP_FORMAT) {
    throw refuse(
      file,
      `was made by a later version (format ${found[1]}, this one reads ${BACKUP_FORMAT}): use that version`,
    );
  }
  const start = found[0].length;
  const parts: Uint8Array[] = [];
  for (let at = start; at - start < MAX_MANIFEST; ) {
    const bytes = await readAt(handle, at, CHUNK);
    if (bytes.length === 0) throw refuse(file, "is cut within its manifest");
    const line = bytes.indexOf(10);
    parts.push(line < 0 ? bytes : bytes.subarray(0, line));
    at += bytes.length;
    if (line < 0) continue;
    const whole = Buffer.concat(parts);
    const text = whole.toString("utf8");
    const manifest = BackupManifest.safeParse(jsonOf(text));
    if (!manifest.success) throw refuse(file, "is damaged: its manifest cannot be read");
    return { manifest: manifest.data, begin: start + whole.length + 1, text };
  }
  throw refuse(file, "is damaged: its manifest has no end");
}

async function readAt(handle: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await handle.read(buffer, read, length - read, at + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return buffer.subarray(0, read);
}

function isInside(path: string): boolean {
  return (
    path !== "" &&
    !path.startsWith("/") &&
    !path.includes("\\") &&
    path.split("/").every((part) => part !== ".." && part !== "." && part !== "")
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
