/**
 * A copy of the state bucket beside the store: when the store is an older copy, what was forbidden since must not be allowed
 * again. Who was revoked, a policy that was narrowed, a token that was taken back: the newer word holds.
 */
import { join } from "node:path";
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { STATE_BUCKET, stateKey } from "../../model/names.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../../nats/files.ts";
import { isGone, isUnserved } from "../../nats/jetstream_errors.ts";
import { sleep } from "../../nats/wait.ts";

const FILE = "state.copy.json";
const BUCKET_STREAM = `KV_${STATE_BUCKET}`;
/** How long a change waits for its copy. */
const SETTLE_MS = 2000;
const LOOK_MS = 5;
/** Removed documents that are remembered: as many revisions back. */
const REMOVED_KEPT = 10_000;
/** Redrives that are under way go with the dead letters and views of their store. */
const OF_THE_STORE = stateKey.redrive("", "").split(".")[0];

const Entry = z.object({
  revision: z.int().nonnegative(),
  /** `null`: it was removed. */
  value: z.string().nullable(),
});
type Entry = z.infer<typeof Entry>;
const Copy = z.object({
  /** Last revision that the copy knows of. */
  revision: z.int().nonnegative(),
  entries: z.record(z.string(), Entry),
});

/** What was put back. */
export interface Recovered {
  /** The revision that the bucket had, and the one that the copy has. */
  readonly had: number;
  readonly wanted: number;
  /** Documents by their keys. */
  readonly written: readonly string[];
  readonly removed: readonly string[];
}

export interface StateCopyOptions {
  readonly folder: string;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** Asked before the copy is replaced. Default: it always may be. */
  readonly mayChange?: MayChange;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * Puts what the copy has and an older bucket lacks back into it. A bucket that is gone as a whole is not made here.
 * @returns `null`: the bucket is as new as the copy
 * @throws {LeafmeshError} `data_folder_unusable` when the copy cannot be read
 */
export async function recoverState(options: StateCopyOptions): Promise<Recovered | null> {
  const path = join(options.folder, FILE);
  const text = await readTextFile(path);
  if (text === null) return null;
  const copy = parse(path, text);
  const had = await lastRevision(options.jsm);
  if (had === null || had >= copy.revision) return null;
  const kv = await new Kvm(options.js).open(STATE_BUCKET);
  // It was made by a start that found none.
  if ((await kv.get(stateKey.site)) === null) return null;
  const written: string[] = [];
  const removed: string[] = [];
  const lacking = Object.entries(copy.entries)
    .filter(([key, { revision }]) => revision > had && key.split(".")[0] !== OF_THE_STORE)
    .sort(([, left], [, right]) => left.revision - right.revision);
  for (const [key, { value }] of lacking) {
    if (value === null) await kv.delete(key);
    else await kv.put(key, value);
    (value === null ? removed : written).push(key);
  }
  await raise(kv, copy.revision, options.jsm);
  return { had, wanted: copy.revision, written, removed };
}

/** Whether the bucket is an older one than the copy: what was remembered here is newer. @throws as {@link recoverState} */
export async function isBehindCopy(folder: string, jsm: JetStreamManager): Promise<boolean> {
  const path = join(folder, FILE);
  const text = await readTextFile(path);
  const had = await lastRevision(jsm);
  return text !== null && had !== null && had < parse(path, text).revision;
}

/** Keeps the copy as new as the bucket. */
export class StateCopy implements AsyncDisposable {
  readonly #options: StateCopyOptions;
  readonly #entries = new Map<string, Entry>();
  #revision = 0;
  #written = -1;
  #writing: Promise<void> | null = null;
  #stop: () => void = () => {};
  #failed = "";

  private constructor(options: StateCopyOptions) {
    this.#options = options;
  }

  /** Reads the bucket, which is there, and follows it. */
  static async open(options: StateCopyOptions): Promise<StateCopy> {
    const copy = new StateCopy(options);
    const kv = await new Kvm(options.js).open(STATE_BUCKET);
    const watch = await kv.watch();
    copy.#stop = () => watch.stop();
    // The mark of the site is always there, so there is a last one of the entries that exist now.
    await new Promise<void>((resolve) => {
      void (async () => {
        for await (const { key, revision, operation, delta, string } of entriesOf(watch)) {
          copy.#revision = Math.max(copy.#revision, revision);
          copy.#entries.set(key, { revision, value: operation === "PUT" ? string : null });
          if (delta === 0) resolve();
          if (copy.#written >= 0) void copy.#write();
        }
      })();
    });
    await copy.#write();
    return copy;
  }

  /**
   * Waits until what the bucket holds now is written, or cannot be: who was told that something is forbidden may rely on it,
   * whatever becomes of the store.
   */
  async settled(): Promise<void> {
    let last: number | null = null;
    for (let waited = 0; waited < SETTLE_MS; waited += LOOK_MS) {
      last ??= await this.#last();
      if (last !== null && this.#written >= last) break;
      await sleep(LOOK_MS);
    }
    await this.#writing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await this.#writing;
  }

  /** The bucket's last revision; `null`: a server that reads its configuration anew is deaf for a moment. */
  async #last(): Promise<number | null> {
    try {
      return (await lastRevision(this.#options.jsm)) ?? 0;
    } catch (error) {
      if (isUnserved(error)) return null;
      throw error;
    }
  }

  /** Writes until the file has all. */
  async #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#written < this.#revision) {
      const revision = this.#revision;
      for (const [key, entry] of this.#entries) {
        if (entry.value === null && entry.revision < revision - REMOVED_KEPT) this.#entries.delete(key);
      }
      const text = JSON.stringify({ revision, entries: Object.fromEntries(this.#entries) });
      this.#written = revision;
      try {
        const { folder, mayChange } = this.#options;
        await writeSecretFile(join(folder, FILE), `${text}\n`, "replace", mayChange);
        this.#failed = "";
      } catch (error) {
        const why = errorText(error);
        if (why !== this.#failed) {
          this.#options.log("error", `The copy of the state beside the store is not written: ${why}`);
        }
        this.#failed = why;
      }
    }
  }
}

async function* entriesOf(watch: Awaited<ReturnType<KV["watch"]>>) {
  for await (const entry of watch) {
    const { key, revision, operation, delta = 0 } = entry;
    yield { key, revision, operation, delta, string: entry.string() };
  }
}

async function lastRevision(jsm: JetStreamManager): Promise<number | null> {
  try {
    return (await jsm.streams.info(BUCKET_STREAM)).state.last_seq;
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

/** A revision that somebody knows must not be that of another document: the bucket goes on behind all of them. */
async function raise(kv: KV, revision: number, jsm: JetStreamManager): Promise<void> {
  const mark = await kv.get(stateKey.site);
  for (let last = (await lastRevision(jsm)) ?? 0; mark !== null && last < revision; ) {
    last = await kv.put(stateKey.site, mark.string());
  }
}

function parse(path: string, text: string): z.infer<typeof Copy> {
  try {
    return Copy.parse(JSON.parse(text));
  } catch (error) {
    throw new LeafmeshError(
      "data_folder_unusable",
      `${path} is not what was written there: ${errorText(error)}. Remove it to take the state as the store has it, which may be older than what was in force`,
      { cause: error },
    );
  }
}
