/** Backup and restore of a site that is stopped: its whole data folder, the keys only when they are asked for. */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";
import { readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadRemembered } from "../control/remembered.ts";
import { markRestored } from "../control/rollback/restored_mark.ts";
import { LeafmeshError } from "../model/errors.ts";
import { Archive, type BackupManifest, type BackupSource, writeArchive } from "../nats/backup/archive.ts";
import { DATA_FILES, DataFolder, isMemberFile } from "../nats/data_folder.ts";
import { readRunningProcess } from "../nats/processes.ts";
import { VERSION } from "./start.ts";

/** What belongs to a run, not to the site. */
const OF_A_RUN: ReadonlySet<string> = new Set([
  DATA_FILES.config,
  DATA_FILES.sidecarPid,
  DATA_FILES.ownerPid,
  DATA_FILES.serverPid,
  DATA_FILES.keeperPid,
  DATA_FILES.keeperArguments,
  DATA_FILES.serverExits,
  DATA_FILES.serverHeld,
  DATA_FILES.ports,
  "log",
]);
const isOfARun = (name: string): boolean => OF_A_RUN.has(name) || isMemberFile(name);
const STAGE = "restoring";
const LEAST_PASSPHRASE = 12;

export interface BackupOptions {
  /** Data folder of the site. */
  readonly data: string;
  readonly file: string;
  /** Encrypts the keys, or reads them; `null`: keys are left out. */
  readonly passphrase: string | null;
}

/** What a backup holds, in numbers. */
export interface BackupReport {
  readonly site: string;
  readonly createdAt: string;
  readonly version: string;
  readonly files: number;
  readonly bytes: number;
  readonly keys: boolean;
}

/**
 * Backs a site up.
 * @throws LeafmeshError `data_folder_locked` while the site runs, `not_found` when there is none
 */
export async function backupSite({ data, file, passphrase }: BackupOptions): Promise<BackupReport> {
  const remembered = await loadRemembered(data);
  if (remembered === null)
    throw new LeafmeshError("not_found", `${data} is no data folder of a site that has run`);
  await using folder = await DataFolder.open(data);
  await requireUnshared(folder);
  await requireStopped(folder);
  const salt = passphrase === null ? null : randomBytes(16).toString("hex");
  const cipher = passphrase === null || salt === null ? null : keyOf(passphrase, salt);
  const sources: BackupSource[] = [];
  for (const path of await filesOf(folder.path, "")) {
    const full = join(folder.path, path);
    const { mode } = await stat(full);
    if (!path.startsWith("keys/")) sources.push({ path, mode, from: full });
    else if (cipher !== null) sources.push({ path, mode, ...sealed(cipher, path, await readFile(full)) });
  }
  const manifest = await writeArchive(
    file,
    {
      site: remembered.state.site,
      version: VERSION,
      createdAt: new Date().toISOString(),
      keys: salt,
    },
    sources,
  );
  return reportOf(manifest);
}

/**
 * Restores a site into a folder that has none. Everything is checked first, and nothing is in its place before all is there.
 * @throws LeafmeshError `request_invalid` for what is no whole backup or another site's, `conflict` when the folder has a site,
 *   `key_invalid` for a wrong passphrase
 */
export async function restoreSite({
  data,
  file,
  passphrase,
  withoutKeys,
  site,
}: BackupOptions & { readonly withoutKeys: boolean; readonly site: string | null }): Promise<BackupReport> {
  await using archive = await Archive.open(file);
  const { manifest } = archive;
  if (site !== null && manifest.site !== site) {
    throw new LeafmeshError(
      "request_invalid",
      `${file} is a backup of site '${manifest.site}', not of '${site}'`,
    );
  }
  if (manifest.keys !== null && passphrase === null && !withoutKeys) {
    throw new LeafmeshError(
      "key_invalid",
      `${file} holds keys: give their passphrase, or leave them out with --no-keys`,
    );
  }
  await using folder = await DataFolder.open(data);
  await requireUnshared(folder);
  const there = (await readdir(folder.path)).filter((name) => name === "store" || name === "desired.json");
  if (there.length > 0) {
    throw new LeafmeshError(
      "conflict",
      `${folder.path} has a site (${there.join(", ")}): restore into a folder of its own`,
    );
  }
  const cipher = passphrase === null || manifest.keys === null ? null : keyOf(passphrase, manifest.keys);
  const files = manifest.files.filter(({ path }) => cipher !== null || !path.startsWith("keys/"));
  const keys = (await readdir(join(folder.path, "keys"))).map((name) => `keys/${name}`);
  const taken = files.find(({ path }) => keys.includes(path));
  if (taken !== undefined) {
    throw new LeafmeshError(
      "conflict",
      `${folder.path} has ${taken.path} already: leave the keys out with --no-keys`,
    );
  }
  const stage = join(folder.path, STAGE);
  await rm(stage, { recursive: true, force: true });
  try {
    for (const entry of files) {
      await archive.extract(entry, stage);
      if (cipher === null || entry.iv === undefined) continue;
      const path = join(stage, entry.path);
      await writeFile(path, opened(cipher, entry.path, entry.iv, await readFile(path)));
    }
    // The notes in it cannot tell that it is an older copy.
    await markRestored(stage, new Date());
    // What makes it a site comes last: a restore that is cut short before has left none.
    const names = (await readdir(stage)).sort((left, right) => rank(left) - rank(right));
    for (const name of names) {
      if (name !== "keys") await rename(join(stage, name), join(folder.path, name));
      else
        for (const key of await readdir(join(stage, name)))
          await rename(join(stage, name, key), join(folder.path, name, key));
    }
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
  return reportOf(manifest);
}

const rank = (name: string): number => (name === "desired.json" ? 2 : name === "store" ? 1 : 0);

async function requireStopped(folder: DataFolder): Promise<void> {
  for (const name of ["serverPid", "keeperPid"] as const) {
    const running = await readRunningProcess(folder.file(name));
    if (running === null) continue;
    throw new LeafmeshError(
      "data_folder_locked",
      `The site of ${folder.path} runs still (process ${running.pid}): stop it, and wait for its nats-server`,
    );
  }
}

/** All files below a folder, by their path in it; those of a run left out. */
async function filesOf(root: string, below: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (isOfARun(path) || path === STAGE) continue;
    if (entry.isDirectory()) found.push(...(await filesOf(root, path)));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

function keyOf(passphrase: string, salt: string): Uint8Array {
  if (passphrase.length < LEAST_PASSPHRASE) {
    throw new LeafmeshError(
      "key_invalid",
      `The passphrase has ${passphrase.length} characters, expected ${LEAST_PASSPHRASE} at least`,
    );
  }
  return scryptSync(passphrase, Buffer.from(salt, "hex"), 32, {
    N: 32768,
    r: 8,
    p: 1,
    maxmem: 64 * 1024 * 1024,
  });
}

function sealed(key: Uint8Array, path: string, plain: Uint8Array): { from: Uint8Array; iv: string } {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(path));
  const from = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return { from, iv: iv.toString("hex") };
}

function opened(key: Uint8Array, path: string, iv: string, bytes: Uint8Array): Uint8Array {
  const tag = bytes.length - 16;
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(iv, "hex"))
      .setAAD(Buffer.from(path))
      .setAuthTag(bytes.subarray(tag));
    return Buffer.concat([decipher.update(bytes.subarray(0, tag)), decipher.final()]);
  } catch {
    throw new LeafmeshError("key_invalid", "The passphrase does not open the keys of the backup");
  }
}

function reportOf({ site, createdAt, version, files, keys }: BackupManifest): BackupReport {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return { site, createdAt, version, files: files.length, bytes, keys: keys !== null };
}

/** A sidecar of another member name has the folder, too. @throws LeafmeshError `data_folder_locked` */
async function requireUnshared(folder: DataFolder): Promise<void> {
  if (!(await folder.shared())) return;
  throw new LeafmeshError(
    "data_folder_locked",
    `${folder.path} is in use by another sidecar of the site: stop it`,
  );
}
