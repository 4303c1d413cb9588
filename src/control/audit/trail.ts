/**
 * The audit trail as a stream of MESH: records are only ever added, each chained to the one before and signed with the site's key.
 * Adding is fenced by the stream's last sequence, so of two writers one tries again behind the other.
 */
import { join } from "node:path";
import type { JetStreamClient, JetStreamManager, StoredMsg, StreamConfig } from "@nats-io/jetstream";
import { z } from "zod";
import {
  type AuditEntry,
  AuditRecord,
  type ChainHead,
  canonicalJson,
  genesis,
  recordHash,
  signedBytes,
} from "../../model/audit.ts";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { AUDIT_STREAM, AUDIT_SUBJECT } from "../../model/names.ts";
import { withoutSecretFields } from "../../model/secrets.ts";
import { nanos } from "../../model/units.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../../nats/files.ts";
import { isMessageNotFound, isStreamNotFound, isWrongSequence } from "../../nats/jetstream_errors.ts";
import type { SigningKey } from "../../nats/keys.ts";

const WRITE_WITHIN_MS = 5000;
/** How long a record is tried behind those of another writer. */
const TRY_FOR_MS = 5000;
/** Larger values are told by size and hash alone. */
const MAX_FIELD_CHARS = 16 * 1024;
const MAX_TEXT_CHARS = 2048;
const HEAD_FILE = "audit.head";

export interface TrailOptions {
  readonly site: string;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  /** The key that signs now. */
  readonly key: () => SigningKey;
  /** Where the head is noted, so that a store that was put back or cut is noticed at the next start. */
  readonly dataFolder: string;
  /** Asked before the note of the head is replaced. Default: it always may be. */
  readonly mayChange?: MayChange;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Servers that hold it; default 1. */
  readonly replicas?: number;
  readonly now: () => Date;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

const Head = z.object({ seq: z.int().nonnegative(), hash: z.string() });

export class AuditTrail implements AsyncDisposable {
  readonly #options: TrailOptions;
  readonly #headFile: string;
  #head: ChainHead;
  /** Last sequence of the stream: the fence. */
  #last = 0;
  #queue: Promise<unknown> = Promise.resolve();
  #noting: Promise<void> | null = null;

  private constructor(options: TrailOptions) {
    this.#options = options;
    this.#headFile = join(options.dataFolder, HEAD_FILE);
    this.#head = { seq: 0, hash: genesis(options.site) };
  }

  /** Makes the stream where needed and finds the end of the chain. @throws what the server says when it cannot be used */
  static async open(options: TrailOptions): Promise<AuditTrail> {
    const trail = new AuditTrail(options);
    await ensureStream(options);
    await trail.#recover();
    return trail;
  }

  /** The last record. */
  get head(): ChainHead {
    return this.#head;
  }

  /**
   * Adds a record and waits until it is stored.
   * @throws LeafmeshError `audit_unavailable`
   */
  async append(entry: AuditEntry): Promise<AuditRecord> {
    const result = this.#queue.then(() => this.#append(entry));
    this.#queue = result.catch(() => undefined);
    return await result;
  }

  /** Records behind number `after` of the chain, about `limit` at most, as their stored texts; none: there are no more. */
  async read(after: number, limit: number): Promise<string[]> {
    const { state } = await this.#options.jsm.streams.info(AUDIT_STREAM);
    if (state.messages === 0 || this.#head.seq <= after) return [];
    // Numbers of the chain and the stream run in step, but where the chain went on behind what was cut.
    let seq = Math.max(state.first_seq, after + 1 + this.#last - this.#head.seq);
    while (seq <= state.last_seq) {
      const messages = await this.#batch({ seq, batch: limit });
      const last = messages.at(-1);
      if (last === undefined) return [];
      const found = messages.filter((message) => AuditRecord.parse(message.json()).seq > after);
      if (found.length > 0) return found.map((message) => message.string());
      seq = last.seq + 1;
    }
    return [];
  }

  /** Sequence of the chain that the first record since a time comes after. */
  async before(time: Date): Promise<number> {
    const [first] = await this.#batch({ start_time: time, batch: 1 });
    if (first === undefined) return this.#head.seq;
    return AuditRecord.parse(first.json()).seq - 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
    await this.#noting;
  }

  async #batch(
    query: { seq: number; batch: number } | { start_time: Date; batch: number },
  ): Promise<StoredMsg[]> {
    const found: StoredMsg[] = [];
    try {
      const messages = await this.#options.jsm.direct.getBatch(AUDIT_STREAM, query);
      for await (const message of messages) found.push(message);
    } catch (error) {
      if (!isMessageNotFound(error)) throw error;
    }
    return found;
  }

  async #append(entry: AuditEntry): Promise<AuditRecord> {
    let why: unknown = null;
    const until = performance.now() + TRY_FOR_MS;
    while (performance.now() < until) {
      const record = this.#seal(entry);
      try {
        const { seq } = await this.#options.js.publish(AUDIT_SUBJECT, canonicalJson(record), {
          expect: { lastSequence: this.#last },
          msgID: record.hash,
          timeout: WRITE_WITHIN_MS,
        });
        this.#advance(record, seq);
        return record;
      } catch (error) {
        why = error;
        // It may be stored although nobody said so; and another writer may have been faster.
        const there = await this.#reload().catch(() => false);
        if (there && this.#head.hash === record.hash) return record;
        if (!isWrongSequence(error)) break;
      }
    }
    throw new LeafmeshError(
      "audit_unavailable",
      `The audit trail (stream ${AUDIT_STREAM}) cannot be written, so nothing is changed: ${errorText(why)}`,
      { cause: why },
    );
  }

  #seal(entry: AuditEntry): AuditRecord {
    const { site, key, now } = this.#options;
    const signer = key();
    const { type, who, from, operation, target, of, asked, before, after, result, count } = entry;
    const unsigned = {
      v: 1 as const,
      seq: this.#head.seq + 1,
      at: now().toISOString(),
      site,
      type,
      who: who === null ? null : (withoutSecretFields(who) as { type: string; name: string }),
      from,
      operation: shown(operation),
      target: shown(target),
      ...(of === undefined ? {} : { of }),
      ...field("asked", asked),
      ...field("before", before),
      ...field("after", after),
      ...(result === undefined ? {} : { result: shown(result) }),
      ...(count === undefined ? {} : { count }),
      prev: this.#head.hash,
      key: signer.publicKey,
    };
    const hash = recordHash(unsigned);
    return { ...unsigned, hash, sig: Buffer.from(signer.sign(signedBytes(hash))).toString("base64") };
  }

  #advance({ seq, hash }: ChainHead, last: number): void {
    this.#head = { seq, hash };
    this.#last = last;
    this.#noting ??= this.#note();
  }

  /** Notes the head, again and again until the note is of the last record. */
  async #note(): Promise<void> {
    for (let noted = ""; noted !== this.#head.hash; ) {
      const head = this.#head;
      noted = head.hash;
      const { mayChange, log } = this.#options;
      await writeSecretFile(this.#headFile, `${JSON.stringify(head)}\n`, "replace", mayChange).catch(
        (error: unknown) => log("warn", `The head of the audit trail cannot be noted: ${errorText(error)}`),
      );
    }
    this.#noting = null;
  }

  /** Reads the end of the chain from the stream. @returns whether it holds a record */
  async #reload(): Promise<boolean> {
    const { jsm } = this.#options;
    const { state } = await jsm.streams.info(AUDIT_STREAM);
    this.#last = state.last_seq;
    if (state.messages === 0) return false;
    const message = await jsm.streams.getMessage(AUDIT_STREAM, { last_by_subj: AUDIT_SUBJECT });
    if (message === null) return false;
    const { seq, hash } = AuditRecord.parse(message.json());
    this.#head = { seq, hash };
    this.#last = Math.max(this.#last, message.seq);
    return true;
  }

  /**
   * Finds the end of the chain, and holds it against the head that was noted. Where they differ the chain goes on behind the noted
   * one: verifying it then says which records are missing, now and later.
   */
  async #recover(): Promise<void> {
    const noted = Head.safeParse(json((await readTextFile(this.#headFile)) ?? ""));
    const there = await this.#reload();
    if (!noted.success) return;
    const found = this.#head;
    const lost =
      !there ||
      found.seq < noted.data.seq ||
      (found.seq === noted.data.seq && found.hash !== noted.data.hash);
    if (!lost) return;
    this.#head = noted.data;
    // All records were dropped by their age: the chain goes on, and nothing was cut.
    if (!there && this.#last >= noted.data.seq) return;
    const ends = there ? `ends at record ${found.seq} (${found.hash})` : "is empty";
    this.#options.log(
      "error",
      `The audit trail ${ends}, but record ${noted.data.seq} (${noted.data.hash}) had been written: it was cut, or an older store was put back`,
    );
    await this.append({
      type: "event",
      who: { type: "sidecar", name: this.#options.site },
      from: null,
      operation: "audit.cut",
      target: AUDIT_STREAM,
      before: noted.data,
      after: there ? found : null,
      result: `the trail ${ends}; what is missing was cut, or an older store was put back`,
    });
  }
}

async function ensureStream({ jsm, maxAgeMs, maxBytes, replicas = 1 }: TrailOptions): Promise<void> {
  const config = {
    name: AUDIT_STREAM,
    subjects: [AUDIT_SUBJECT],
    storage: "file",
    retention: "limits",
    discard: "old",
    num_replicas: replicas,
    max_age: nanos(maxAgeMs),
    max_bytes: maxBytes,
    duplicate_window: nanos(Math.min(120_000, maxAgeMs)),
    deny_delete: true,
    deny_purge: true,
    allow_rollup_hdrs: false,
    allow_direct: true,
  } as Partial<StreamConfig> as StreamConfig;
  try {
    const { config: found } = await jsm.streams.info(AUDIT_STREAM);
    await jsm.streams.update(AUDIT_STREAM, { ...found, ...config });
  } catch (error) {
    if (!isStreamNotFound(error)) throw error;
    await jsm.streams.add(config);
  }
}

function shown(text: string): string {
  const safe = withoutSecretFields(text) as string;
  return safe.length > MAX_TEXT_CHARS ? `${safe.slice(0, MAX_TEXT_CHARS)}…` : safe;
}

/** A field without secrets, whole where it is not too large. */
function field(name: string, value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  const safe = withoutSecretFields(value);
  const text = canonicalJson(safe) ?? "null";
  if (text.length <= MAX_FIELD_CHARS) return { [name]: JSON.parse(text) as unknown };
  return { [name]: { omitted: "too large", characters: text.length, sha256: recordHash({ value: safe }) } };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
