/**
 * The desired state, kept in a JetStream key-value bucket of MESH: versioned, watched, its history the trail of changes.
 * One document is one key. Every write is checked against the whole state that would result.
 */

import type { JetStreamClient } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm } from "@nats-io/kv";
import { clusteredState, type DesiredState } from "../model/desired.ts";
import { LeafmeshError } from "../model/errors.ts";
import { keepNewest } from "../model/keep_newest.ts";
import { STATE_BUCKET, stateKey } from "../model/names.ts";
import type { Peer, SiteFile } from "../model/schema/site.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { untilServed } from "../nats/until_served.ts";
import type { StateStore } from "./api.ts";
import { ChangeCheck, type CheckState, DOCUMENT_SCHEMAS } from "./change_check.ts";
import {
  parseResourceKey,
  type ResourceRef,
  type ResourceType,
  type ResourceValue,
  type ResourceValues,
  resourceKey,
  resourceLabel,
  type Versioned,
} from "./resource.ts";
import {
  assemble,
  belongsTo,
  type Documents,
  documentsOfFile,
  tenantDocuments,
  valuesOf,
} from "./state_documents.ts";
import { raced, stateIsGone, unreadable, unreadableState } from "./state_refusals.ts";

const HISTORY = 64;
/** Deletions whose late news is told from a new document of the same name: news of others has come long ago. */
const MOST_REMOVED = 4096;

/** Tells a change of a document where changes are told, and makes it. @throws when it cannot be told: nothing is changed then */
export type TellChange = <T>(
  target: string,
  change: { readonly before: unknown; readonly after: unknown },
  work: () => Promise<T>,
) => Promise<T>;
const UNTOLD: TellChange = async (_target, _change, work) => await work();

/** The documents as they are in the bucket, followed, and changed one after another. */
export class KvStateStore implements StateStore, AsyncDisposable {
  readonly #site: string;
  readonly #replicas: number;
  readonly #kv: KV;
  readonly #changes: ChangeCheck;
  readonly #onChange: () => void;
  readonly #tell: TellChange;
  #documents: Documents = new Map();
  /** Last revision of what was removed here: what the watch still tells of it is late. */
  readonly #removed = new Map<string, number>();
  /** Documents whose value here is older than the bucket's: what another writer left there cannot be read. */
  readonly #unreadable = new Map<string, { readonly revision: number; readonly why: string }>();
  #revision = 0;
  #assembled: DesiredState | null = null;
  #stop: (() => void) | null = null;
  #writes: Promise<unknown> = Promise.resolve();

  private constructor(
    site: string,
    kv: KV,
    check: CheckState,
    onChange: () => void,
    tell: TellChange,
    replicas: number,
  ) {
    this.#replicas = replicas;
    this.#tell = tell;
    this.#site = site;
    this.#kv = kv;
    this.#changes = new ChangeCheck(site, check);
    this.#onChange = onChange;
  }

  /**
   * Opens the bucket, makes and fills it from `seed` on the first start, and follows it. Without `seed` it must be there:
   * what was forbidden since the first start must not be allowed again because the state was lost.
   * @throws {LeafmeshError} `conflict` when the bucket belongs to another site, `data_folder_unusable` when it is gone or
   * holds documents that cannot be read.
   */
  static async open(options: {
    readonly site: string;
    readonly js: JetStreamClient;
    readonly seed: SiteFile | null;
    readonly check: CheckState;
    readonly onChange: () => void;
    /** Servers that hold each stream and the bucket itself; default 1. */
    readonly replicas?: number;
    /** Called before anything is read or written, with whether the bucket is new. @throws what keeps the start from going on */
    readonly migrate?: (fresh: boolean) => Promise<void>;
    /** Default: changes are told nowhere. */
    readonly tell?: TellChange;
  }): Promise<KvStateStore> {
    const { replicas = 1 } = options;
    const kv = await new Kvm(options.js).create(STATE_BUCKET, { history: HISTORY, replicas });
    const { site, check, onChange, tell = UNTOLD } = options;
    const store = new KvStateStore(site, kv, check, onChange, tell, replicas);
    const mark = await kv.get(stateKey.site);
    await options.migrate?.(mark === null);
    if (mark === null) {
      if (options.seed === null) throw stateIsGone(options.site);
      await store.#seed(options.seed);
    } else {
      const { site } = mark.json<{ site: string }>();
      if (site !== options.site) {
        throw new LeafmeshError(
          "conflict",
          `The data folder holds the state of site ${site}, not of ${options.site}`,
        );
      }
    }
    await store.#follow();
    // A policy that is passed over would be taken for one that was removed, with its streams.
    if (store.#unreadable.size > 0) {
      await store[Symbol.asyncDispose]();
      throw unreadableState([...store.#unreadable.values()].map(({ why }) => why));
    }
    return store;
  }

  /** Reads the state as it is, and changes nothing. @returns `null` where it is not that of the site, or cannot be read */
  static async read(js: JetStreamClient, site: string): Promise<DesiredState | null> {
    const kv = await new Kvm(js).open(STATE_BUCKET);
    const mark = await kv.get(stateKey.site);
    if (mark?.json<{ site: string }>().site !== site) return null;
    await using store = new KvStateStore(
      site,
      kv,
      () => [],
      () => {},
      UNTOLD,
      1,
    );
    await store.#follow();
    return store.#unreadable.size === 0 ? store.desired().state : null;
  }

  desired(): { readonly state: DesiredState; readonly revision: number } {
    this.#assembled ??= clusteredState(assemble(this.#site, this.#documents), this.#replicas);
    return { state: this.#assembled, revision: this.#revision };
  }

  /** The documents in the shape of a site file. */
  documents(): { readonly peers: Peer[]; readonly tenants: TenantDocument[] } {
    return { peers: valuesOf(this.#documents, "peer"), tenants: tenantDocuments(this.#documents) };
  }

  get<R extends ResourceRef>(ref: R): Versioned<ResourceValue<R>> | null {
    const stored = this.#documents.get(resourceKey(ref));
    return stored === undefined ? null : (stored.document as Versioned<ResourceValue<R>>);
  }

  list<T extends ResourceType>(type: T, tenant?: string) {
    return [...this.#documents.entries()]
      .filter(
        ([, { ref }]) =>
          ref.type === type && (tenant === undefined || !("tenant" in ref) || ref.tenant === tenant),
      )
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([, stored]) => ({
        ref: stored.ref as Extract<ResourceRef, { type: T }>,
        document: stored.document as Versioned<ResourceValues[T]>,
      }));
  }

  async put<R extends ResourceRef>(
    ref: R,
    value: ResourceValue<R>,
    expected: number | null | undefined,
  ): Promise<number> {
    return await this.#serial(async () => {
      const key = resourceKey(ref);
      this.#requireRevision(ref, expected);
      this.check(ref, value);
      const current = this.#unreadable.get(key)?.revision ?? this.#documents.get(key)?.document.revision;
      const text = JSON.stringify(value);
      try {
        const before = this.#documents.get(key)?.document.value ?? null;
        const previousSeq = current ?? (await this.#lastRevision(key));
        const revision = await this.#tell(resourceLabel(ref), { before, after: value }, () =>
          untilServed(() => this.#kv.put(key, text, { previousSeq })),
        );
        const entry = await untilServed(() => this.#kv.get(key, { revision }));
        this.#take(key, ref, value, revision, entry?.created ?? new Date());
        return revision;
      } catch (error) {
        throw raced(ref, error);
      }
    });
  }

  check<R extends ResourceRef>(ref: R, value: ResourceValue<R>): void {
    this.#changes.requirePut(ref, value, this.#documents);
  }

  async remove(ref: ResourceRef, expected: number | undefined): Promise<void> {
    await this.#serial(async () => {
      if (!this.#documents.has(resourceKey(ref)))
        throw new LeafmeshError("not_found", `There is no ${resourceLabel(ref)}`);
      this.#requireRevision(ref, expected);
      const keys = [...this.#documents.entries()]
        .filter(([, one]) => belongsTo(one.ref, ref))
        .map(([key]) => key);
      const after = new Map([...this.#documents].filter(([key]) => !keys.includes(key)));
      this.#changes.requireRemoval(ref, this.#documents, after);
      // The document itself goes last: what is left of a removal that was cut short is removed by the next one.
      for (const key of keys.sort((left, right) =>
        left === resourceKey(ref) ? 1 : right === resourceKey(ref) ? -1 : 0,
      )) {
        const there = this.#documents.get(key);
        if (there !== undefined) {
          const change = { before: there.document.value, after: null };
          await this.#tell(resourceLabel(there.ref), change, () => untilServed(() => this.#kv.delete(key)));
        }
        this.#removed.set(key, this.#revisionOf(key));
        keepNewest(this.#removed, MOST_REMOVED);
        this.#documents.delete(key);
      }
      this.#changed(this.#revision + keys.length);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop?.();
    await this.#writes.catch(() => undefined);
  }

  /** Writes come one after another: each is checked against what the one before it left. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#writes.then(work, work);
    this.#writes = result.catch(() => undefined);
    return result;
  }

  #requireRevision(ref: ResourceRef, expected: number | null | undefined): void {
    const current = this.#documents.get(resourceKey(ref))?.document.revision ?? null;
    if (expected === undefined || expected === current) return;
    const wanted = expected === null ? "to be new" : `at revision ${expected}`;
    const there = current === null ? "it does not exist" : `it is at revision ${current}`;
    throw new LeafmeshError("precondition_failed", `Expected ${resourceLabel(ref)} ${wanted}, but ${there}`);
  }

  /** The revision of a key's delete marker, or 0. */
  async #lastRevision(key: string): Promise<number> {
    return (await untilServed(() => this.#kv.get(key)))?.revision ?? 0;
  }

  async #seed(file: SiteFile): Promise<void> {
    this.#changes.requireSeed(file);
    for (const { ref, value } of documentsOfFile(file)) {
      const text = JSON.stringify(value);
      await this.#tell(resourceLabel(ref), { before: null, after: value }, () =>
        this.#kv.put(resourceKey(ref), text),
      );
    }
    // Last: a start that is cut short before here seeds again.
    await this.#kv.put(stateKey.site, JSON.stringify({ site: this.#site, version: 1 }));
  }

  /** Reads all documents, then follows changes made by others. */
  async #follow(): Promise<void> {
    const watch = await this.#kv.watch();
    this.#stop = () => watch.stop();
    // The mark of the site is always there, so there is a last one of the entries that exist now.
    await new Promise<void>((resolve) => {
      void (async () => {
        for await (const entry of watch) {
          this.#takeEntry(entry);
          if (entry.delta === 0) resolve();
        }
      })();
    });
  }

  #takeEntry(entry: KvEntry): void {
    if (entry.revision <= Math.max(this.#revisionOf(entry.key), this.#removed.get(entry.key) ?? 0)) return;
    const ref = parseResourceKey(entry.key);
    if (ref === null) return;
    if (entry.operation === "PUT") {
      const parsed = DOCUMENT_SCHEMAS[ref.type].safeParse(jsonOf(entry));
      if (parsed.success) this.#take(entry.key, ref, parsed.data, entry.revision, entry.created);
      else this.#unreadable.set(entry.key, { revision: entry.revision, why: unreadable(ref, parsed.error) });
      return;
    }
    this.#unreadable.delete(entry.key);
    if (this.#documents.delete(entry.key)) this.#changed(entry.revision);
  }

  #revisionOf(key: string): number {
    return this.#documents.get(key)?.document.revision ?? 0;
  }

  #take(key: string, ref: ResourceRef, value: unknown, revision: number, created: Date): void {
    this.#unreadable.delete(key);
    this.#documents.set(key, {
      ref,
      document: { value: value as ResourceValues[ResourceType], revision, changedAt: created.toISOString() },
    });
    this.#changed(revision);
  }

  #changed(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
    this.#assembled = null;
    this.#onChange();
  }
}

/** The value of an entry; `undefined` when it is no JSON. */
function jsonOf(entry: KvEntry): unknown {
  try {
    return entry.json();
  } catch {
    return undefined;
  }
}
