/** The data folder of a site: where its parts stand, and the lock that keeps a second sidecar out. */
import { rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import { prepareFolder, readTextFile, removeFile } from "./files.ts";
import { isRunning, ownProcess, type ProcessRef, readProcessFile, writeProcessFile } from "./processes.ts";

/** Names inside a data folder. */
export const DATA_FILES = {
  config: "nats.conf",
  /** A configuration that nats-server has yet to check. */
  candidate: "nats.conf.new",
  leafCredential: "keys/leaf.conf",
  /** What the servers of a cluster show each other. */
  clusterCredential: "keys/cluster.conf",
  storeKeyConfig: "keys/jetstream.conf",
  store: "store",
  serverLog: "log/nats.log",
  /** What nats-server says before it opens its log. */
  serverOutput: "log/nats.out",
  ports: "ports.json",
  sidecarPid: "sidecar.pid",
  serverPid: "nats.pid",
  keeperPid: "keeper.pid",
  keeperEnding: "keeper.ending",
  keeperArguments: "keeper.args",
  serverExits: "nats.exit",
} as const;

const TAKE_OVER_TRIES = 10;

/** A data folder that this process holds. Disposing of it lets the next sidecar in. */
export class DataFolder implements AsyncDisposable {
  /** Absolute path. */
  readonly path: string;
  readonly #owner: ProcessRef;

  private constructor(path: string, owner: ProcessRef) {
    this.path = path;
    this.#owner = owner;
  }

  /**
   * Makes the folder where needed (mode 0700) and locks it for this process. The lock of a process that is gone is
   * taken over. A folder belongs to one machine at a time.
   *
   * @throws LeafmeshError `data_folder_locked` naming the process that holds it, `data_folder_unusable`
   */
  static async open(path: string): Promise<DataFolder> {
    const full = resolve(path);
    await prepareFolder(full, 0o700);
    await prepareFolder(join(full, "log"), 0o700);
    await prepareFolder(join(full, "keys"), 0o700);
    const owner = await ownProcess();
    await lock(full, owner);
    return new DataFolder(full, owner);
  }

  /** Absolute path of one of its files. */
  file(name: keyof typeof DATA_FILES): string {
    return join(this.path, DATA_FILES[name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const holder = await readProcessFile(this.file("sidecarPid"));
    if (holder !== null && same(holder, this.#owner)) await removeFile(this.file("sidecarPid"));
  }
}

async function lock(folder: string, owner: ProcessRef): Promise<void> {
  const path = join(folder, DATA_FILES.sidecarPid);
  for (let i = 0; i < TAKE_OVER_TRIES; i++) {
    if (await writeProcessFile(path, owner, "keep")) return;
    const holder = await readProcessFile(path);
    if (holder !== null && (await isRunning(holder))) {
      throw new LeafmeshError(
        "data_folder_locked",
        `${folder} is in use by the sidecar with process id ${holder.pid}: stop it, or give this one another data folder`,
      );
    }
    await takeAway(path, holder);
  }
  throw new LeafmeshError("data_folder_locked", `${folder} is being taken by other sidecars: start only one`);
}

/** Moves the lock of a dead process aside, and puts back what turns out to be another's fresh lock. */
async function takeAway(path: string, dead: ProcessRef | null): Promise<void> {
  const aside = `${path}.${crypto.randomUUID()}`;
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  const found = await readProcessFile(aside);
  if (found !== null && (dead === null || !same(found, dead))) await writeProcessFile(path, found, "keep");
  await removeFile(aside);
}

function same(left: ProcessRef, right: ProcessRef): boolean {
  return left.pid === right.pid && left.started === right.started;
}

/** Text of one of the folder's files, or `null`. */
export async function readDataFile(
  folder: DataFolder,
  name: keyof typeof DATA_FILES,
): Promise<string | null> {
  return await readTextFile(folder.file(name));
}
