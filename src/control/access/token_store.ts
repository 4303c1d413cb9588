/**
 * The tokens of the API, kept in the state bucket: a token is told once, when it is made, and only its hash is kept.
 * A token has 256 random bits, so a plain SHA-256 of it cannot be turned back.
 */
import { Buffer } from "node:buffer";
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { JetStreamClient } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm } from "@nats-io/kv";
import { z } from "zod";
import { LeafmeshError } from "../../model/errors.ts";
import { keepNewest } from "../../model/keep_newest.ts";
import { STATE_BUCKET, stateKey } from "../../model/names.ts";
import { type Grant, type Principal, ROLES, type Role, type TokenInfo } from "../../model/principal.ts";

/** Revocations whose late news is told from a token that is there. */
const MOST_REVOKED = 4096;
const MOST_TOKENS = 1000;
/** How old the stored time of the last use may get: a request is no write. */
const LAST_USED_MS = 3_600_000;
/** How long one that has expired stays in the list. */
const KEPT_MS = 30 * 86_400_000;
const SWEEP_MS = 500;
const FORM = /^lmt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$/;

const StoredToken = z.strictObject({
  name: z.string(),
  role: z.enum(ROLES),
  tenant: z.string().optional(),
  /** SHA-256 of the token, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string(),
  lastUsed: z.string().optional(),
});
type StoredToken = z.infer<typeof StoredToken>;

interface Held {
  readonly stored: StoredToken;
  readonly revision: number;
  readonly principal: Principal;
  readonly expiresMs: number;
  /** Aborts when the token holds no more. */
  readonly end: AbortController;
}

/** What a token is made for. */
export interface TokenRequest {
  readonly name: string;
  readonly role: Role;
  /** Of a tenant-admin, and of nobody else. */
  readonly tenant?: string;
  readonly ttlMs: number;
  readonly createdBy: string;
}

export interface TokenStoreOptions {
  readonly js: JetStreamClient;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (message: string) => void;
}

export class TokenStore implements AsyncDisposable {
  readonly #kv: KV;
  readonly #options: TokenStoreOptions;
  readonly #tokens = new Map<string, Held>();
  /** Last revision of what was revoked here: what the watch still tells of it is late. */
  readonly #revoked = new Map<string, number>();
  readonly #used = new Map<string, number>();
  #writes: Promise<unknown> = Promise.resolve();
  #stop = () => {};

  private constructor(kv: KV, options: TokenStoreOptions) {
    this.#kv = kv;
    this.#options = options;
  }

  /** Reads the tokens of the bucket, which is there, and follows what others write. */
  static async open(options: TokenStoreOptions): Promise<TokenStore> {
    const store = new TokenStore(await new Kvm(options.js).open(STATE_BUCKET), options);
    await store.#follow();
    return store;
  }

  /** All that are kept, those that have expired among them, sorted by name. */
  list(): readonly TokenInfo[] {
    return [...this.#tokens]
      .map(([id, held]) => this.#infoOf(id, held))
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /**
   * Makes a token.
   * @returns the token itself, which nobody can read again, and how it is listed
   * @throws {LeafmeshError} `conflict` when the name is taken, or there are too many
   */
  async add(request: TokenRequest): Promise<{ readonly token: string; readonly info: TokenInfo }> {
    return await this.#serial(async () => {
      await this.#forgetOld();
      const { name, role, tenant, ttlMs, createdBy } = request;
      if ([...this.#tokens.values()].some(({ stored }) => stored.name === name)) {
        throw new LeafmeshError(
          "conflict",
          `There is a token '${name}' already: revoke it, or take another name`,
        );
      }
      if (this.#tokens.size >= MOST_TOKENS) {
        throw new LeafmeshError(
          "conflict",
          `There are ${MOST_TOKENS} tokens, more are not kept: revoke some`,
        );
      }
      const id = randomBytes(6).toString("hex");
      const token = `lmt_${id}_${randomBytes(32).toString("base64url")}`;
      const now = this.#options.now();
      const stored: StoredToken = {
        name,
        role,
        ...(tenant === undefined ? {} : { tenant }),
        hash: digest(token).toString("hex"),
        createdAt: new Date(now).toISOString(),
        createdBy,
        expiresAt: new Date(now + ttlMs).toISOString(),
      };
      const revision = await this.#kv.create(stateKey.token(id), JSON.stringify(stored));
      return { token, info: this.#infoOf(id, this.#take(id, stored, revision)) };
    });
  }

  /** Ends a token, with all that is open for it. @throws {LeafmeshError} `not_found` */
  async revoke(id: string): Promise<TokenInfo> {
    return await this.#serial(async () => {
      const held = this.#tokens.get(id);
      if (held === undefined) throw new LeafmeshError("not_found", `There is no token '${id}'`);
      await this.#remove(id, held.revision);
      return this.#infoOf(id, held);
    });
  }

  /** Revokes the tokens of tenants that are gone: one made later under the same name is another tenant. */
  async keepTenants(names: readonly string[]): Promise<void> {
    const gone = [...this.#tokens].filter(
      ([, { stored }]) => stored.tenant !== undefined && !names.includes(stored.tenant),
    );
    for (const [id, { stored }] of gone) {
      await this.revoke(id).catch(() => undefined);
      this.#options.log(`token '${stored.name}' is revoked: its tenant ${stored.tenant} is gone`);
    }
  }

  /**
   * What a token stands for; `null` when it is none of these.
   * @throws {LeafmeshError} `unauthorized` when it has expired
   */
  authenticate(candidate: string): Grant | null {
    const id = FORM.exec(candidate)?.[1];
    if (id === undefined) return null;
    const held = this.#tokens.get(id);
    const expected = held === undefined ? Buffer.alloc(32) : Buffer.from(held.stored.hash, "hex");
    if (!timingSafeEqual(digest(candidate), expected) || held === undefined) return null;
    if (held.expiresMs <= this.#options.now()) {
      const { name, expiresAt } = held.stored;
      throw new LeafmeshError(
        "unauthorized",
        `The token '${name}' has expired (${expiresAt}): ask for a new one`,
      );
    }
    this.#touch(id, held);
    return { principal: held.principal, signal: held.end.signal };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await this.#writes.catch(() => undefined);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#writes.then(work, work);
    this.#writes = result.catch(() => undefined);
    return result;
  }

  #infoOf(id: string, { stored }: Held): TokenInfo {
    const { name, role, tenant, createdAt, createdBy, expiresAt, lastUsed } = stored;
    const used = this.#used.get(id);
    return {
      id,
      name,
      role,
      tenant: tenant ?? null,
      createdAt,
      createdBy,
      expiresAt,
      lastUsed: used === undefined ? (lastUsed ?? null) : new Date(used).toISOString(),
    };
  }

  async #remove(id: string, revision: number): Promise<void> {
    await this.#kv.delete(stateKey.token(id));
    this.#revoked.set(id, revision);
    keepNewest(this.#revoked, MOST_REVOKED);
    this.#forget(id);
  }

  /** Those that expired long ago make room. */
  async #forgetOld(): Promise<void> {
    for (const [id, { expiresMs, revision }] of this.#tokens) {
      if (expiresMs + KEPT_MS < this.#options.now()) await this.#remove(id, revision);
    }
  }

  /** Notes the use; the bucket hears of it once an hour, and never of a token that was revoked meanwhile. */
  #touch(id: string, { stored }: Held): void {
    const now = this.#options.now();
    this.#used.set(id, now);
    if (now - Date.parse(stored.lastUsed ?? "1970-01-01T00:00:00Z") < LAST_USED_MS) return;
    const lastUsed = new Date(now).toISOString();
    void this.#serial(async () => {
      const held = this.#tokens.get(id);
      if (held === undefined || held.stored.lastUsed === lastUsed) return;
      if (now - Date.parse(held.stored.lastUsed ?? "1970-01-01T00:00:00Z") < LAST_USED_MS) return;
      const next = { ...held.stored, lastUsed };
      const revision = await this.#kv.update(stateKey.token(id), JSON.stringify(next), held.revision);
      this.#take(id, next, revision);
    }).catch(() => undefined);
  }

  async #follow(): Promise<void> {
    const watch = await this.#kv.watch({ key: stateKey.token("*") });
    const sweep = setInterval(() => this.#sweep(), SWEEP_MS);
    sweep.unref();
    this.#stop = () => {
      watch.stop();
      clearInterval(sweep);
      for (const { end } of this.#tokens.values()) end.abort();
    };
    const keys = await this.#kv.keys(stateKey.token("*"));
    for await (const key of keys) {
      const entry = await this.#kv.get(key);
      if (entry !== null) this.#takeEntry(entry);
    }
    void (async () => {
      for await (const entry of watch) this.#takeEntry(entry);
    })();
  }

  /** Ends what is open for tokens that have just expired. */
  #sweep(): void {
    const now = this.#options.now();
    for (const { expiresMs, end } of this.#tokens.values()) {
      if (expiresMs <= now && !end.signal.aborted) end.abort();
    }
  }

  #takeEntry(entry: KvEntry): void {
    const id = entry.key.split(".")[1] ?? "";
    const known = Math.max(this.#tokens.get(id)?.revision ?? 0, this.#revoked.get(id) ?? 0);
    if (entry.revision <= known) return;
    const parsed = entry.operation === "PUT" ? StoredToken.safeParse(jsonOf(entry)) : null;
    // What cannot be read lets nobody in.
    if (parsed?.success === true) this.#take(id, parsed.data, entry.revision);
    else this.#forget(id);
  }

  #take(id: string, stored: StoredToken, revision: number): Held {
    const { name, role, tenant } = stored;
    const before = this.#tokens.get(id);
    const same =
      before?.stored.hash === stored.hash && before.stored.role === role && before.stored.tenant === tenant;
    if (!same) before?.end.abort();
    const held: Held = {
      stored,
      revision,
      principal: { name, type: "token", role, ...(tenant === undefined ? {} : { tenant }) },
      expiresMs: Date.parse(stored.expiresAt),
      end: same && before !== undefined ? before.end : new AbortController(),
    };
    this.#tokens.set(id, held);
    return held;
  }

  #forget(id: string): void {
    this.#tokens.get(id)?.end.abort();
    this.#tokens.delete(id);
    this.#used.delete(id);
  }
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/** The value of an entry; `undefined` when it is no JSON. */
function jsonOf(entry: KvEntry): unknown {
  try {
    return entry.json();
  } catch {
    return undefined;
  }
}
