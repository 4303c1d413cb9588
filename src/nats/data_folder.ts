/**
 * The data folder of a site: where its parts stand, and the locks on it. Each sidecar that works on the folder has a member name and
 * the lock of that name; one of them owns the files that the server reads.
 */
import { readdir, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import { prepareFolder, readTextFile, removeFile } from "./files.ts";
import {
  isRunning,
  isSameProcess,
  ownProcess,
  type ProcessRef,
  readProcessFile,
  readRunningProcess,
  writeProcessFile,
} from "./processes.ts";

/** Names inside a data folder. */
export const DATA_FILES = {
  config: "nats.conf",
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
  /** The sidecar that writes what the server reads. */
  ownerPid: "owner.pid",
  serverPid: "nats.pid",
  keeperPid: "keeper.pid",
  keeperEnding: "keeper.ending",
  keeperArguments: "keeper.args",
  serverExits: "nats.exit",
  /** While it is there the keeper launches no server that has ended by itself. */
  serverHeld: "nats.held",
} as const;

/** The member name of a sidecar that is given none. */
export const DEFAULT_MEMBER = "a";
/** Locks of members: keeper.sh looks for these, too. */
const LOCK_FILE = /^sidecar(?:\.[a-z][a-z0-9-]*)?\.pid$/;
const CANDIDATE_FILE = /^nats\.conf(?:\.[a-z][a-z0-9-]*)?\.new$/;
const TAKE_OVER_TRIES = 10;

/** A data folder that this process holds as one member. Disposing of it lets the next sidecar of that name in. */
export class DataFolder implements AsyncDisposable {
  /** Absolute path. */
  readonly path: string;
  /** This process. */
  readonly process: ProcessRef;
  /** A configuration that nats-server has yet to check. Each member has its own: none puts in place what another one wrote. */
  readonly candidate: string;
  readonly #lock: string;

  private constructor(path: string, process: ProcessRef, member: string) {
    this.path = path;
    this.process = process;
    this.candidate = join(path, candidateFile(member));
    this.#lock = join(path, lockFile(member));
  }

  /**
   * Makes the folder where needed (mode 0700) and locks it for this process under a member name. The lock of a process that
   * is gone is taken over. A folder belongs to one machine at a time.
   *
   * @throws LeafmeshError `data_folder_locked` naming the process that holds it, `data_folder_unusable`
   */
  static async open(path: string, member = DEFAULT_MEMBER): Promise<DataFolder> {
    const full = resolve(path);
    await prepareFolder(full, 0o700);
    await prepareFolder(join(full, "log"), 0o700);
    await prepareFolder(join(full, "keys"), 0o700);
    const owner = await ownProcess();
    const file = join(full, lockFile(member));
    const holder = await lock(file, owner);
    if (holder === null) return new DataFolder(full, owner, member);
    const more = `stop it, give this one another data folder, or another member name where both are of one site`;
    throw new LeafmeshError(
      "data_folder_locked",
      `${full} is in use by the sidecar with process id ${holder.pid}: ${more}`,
    );
  }

  /** Whether another member runs on the folder. */
  async shared(): Promise<boolean> {
    const files = (await readdir(this.path)).filter((name) => LOCK_FILE.test(name));
    const others = files.map((name) => join(this.path, name)).filter((path) => path !== this.#lock);
    const running = await Promise.all(others.map(readRunningProcess));
    return running.some((one) => one !== null);
  }

  /**
   * Makes this process the owner of what the server reads, unless another one is that runs.
   * @param force takes it from one that runs, too: it leads no more
   * @returns whether this process owns it now
   */
  async own(force = false): Promise<boolean> {
    if (force) return await writeProcessFile(this.file("ownerPid"), this.process, "replace");
    const holder = await lock(this.file("ownerPid"), this.process);
    return holder === null || isSameProcess(holder, this.process);
  }

  /** Whether this process owns what the server reads. */
  async owns(): Promise<boolean> {
    const holder = await readProcessFile(this.file("ownerPid"));
    return holder !== null && isSameProcess(holder, this.process);
  }

  /** Gives up what {@link own} has taken. */
  async disown(): Promise<void> {
    if (await this.owns()) await removeFile(this.file("ownerPid"));
  }

  /** Absolute path of one of its files. */
  file(name: keyof typeof DATA_FILES): string {
    return join(this.path, DATA_FILES[name]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }

  /** Gives the locks back before the end. */
  async unlock(): Promise<void> {
    await this.disown();
    const holder = await readProcessFile(this.#lock);
    if (holder !== null && isSameProcess(holder, this.process)) await removeFile(this.#lock);
  }
}

/** Whether a name in a data folder is one of a member's own files: its lock, or a configuration that it has not put in place. */
export function isMemberFile(name: string): boolean {
  return LOCK_FILE.test(name) || CANDIDATE_FILE.test(name);
}

function lockFile(member: string): string {
  return member === DEFAULT_MEMBER ? DATA_FILES.sidecarPid : `sidecar.${member}.pid`;
}

function candidateFile(member: string): string {
  const { config } = DATA_FILES;
  return member === DEFAULT_MEMBER ? `${config}.new` : `${config}.${member}.new`;
}

/** Takes a lock. @returns who holds it, when another process that runs does; `null`: this one */
async function lock(path: string, owner: ProcessRef): Promise<ProcessRef | null> {
  for (let i = 0; i < TAKE_OVER_TRIES; i++) {
    if (await writeProcessFile(path, owner, "keep")) return null;
    const holder = await readProcessFile(path);
    if (holder !== null && (await isRunning(holder))) return holder;
    await takeAway(path, holder);
  }
  throw new LeafmeshError("data_folder_locked", `${path} is being taken by other sidecars: start only one`);
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
  if (found !== null && (dead === null || !isSameProcess(found, dead)))
    await writeProcessFile(path, found, "keep");
  await removeFile(aside);
}

/** Text of one of the folder's files, or `null`. */
export async function readDataFile(
  folder: DataFolder,
  name: keyof typeof DATA_FILES,
): Promise<string | null> {
  return await readTextFile(folder.file(name));
}
