/**
 * The keys of tenants for pseudonyms and encrypted values: 32 random bytes each, in files of mode 0600 under `<data>/keys/`.
 *
 * `pseudonym_acme.key` is the first of its kind, `pseudonym_acme.2.key` the second, and so on; the one of the highest number is
 * active. The older ones stay, to decrypt what was written with them.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { type EncryptionKey, KEY_KINDS, type KeyInfo, type KeyKind, type PolicyKeys } from "../model/keys.ts";
import { type MayChange, prepareFolder, readSecretFile, writeSecretFile } from "./files.ts";
import { keysFolder, type SigningKey } from "./keys.ts";

const SECRET_BYTES = 32;
const ID_CHARACTERS = 8;

interface TenantKey {
  readonly kind: KeyKind;
  readonly number: number;
  readonly id: string;
  readonly secret: Uint8Array;
}

/** Makes the first key of a tenant. */
export type FirstKey = (tenant: string, kind: KeyKind) => Uint8Array;

/** The keys of all tenants of a data folder; what is loaded is remembered. */
export class TenantKeys {
  readonly #folder: string;
  readonly #mayChange: MayChange | undefined;
  readonly #first: FirstKey | undefined;
  readonly #loaded = new Map<string, Promise<PolicyKeys>>();
  readonly #active = new Map<string, PolicyKeys>();
  /** Keys of {@link peek} that are in no file, by kind and tenant. */
  readonly #unsaved = new Map<string, Uint8Array>();

  /**
   * @param mayChange asked before a key is made; default: it always may be
   * @param first what the first key of a kind is, where it is not random
   */
  constructor(dataFolder: string, mayChange?: MayChange, first?: FirstKey) {
    this.#mayChange = mayChange;
    this.#folder = keysFolder(dataFolder);
    this.#first = first;
  }

  /**
   * The active keys of a tenant; of a kind that has none yet the first is made.
   *
   * @throws LeafmeshError `key_invalid` when a file is no key or others may read it, `data_folder_unusable` when the folder or a
   * file cannot be read or written
   */
  async load(tenant: string): Promise<PolicyKeys> {
    const known = this.#loaded.get(tenant);
    if (known !== undefined) return await known;
    const loading = this.#load(tenant);
    this.#loaded.set(tenant, loading);
    try {
      const keys = await loading;
      if (this.#loaded.get(tenant) === loading) this.#active.set(tenant, keys);
      return keys;
    } catch (thrown) {
      if (this.#loaded.get(tenant) === loading) this.#loaded.delete(tenant);
      throw thrown;
    }
  }

  /**
   * The active keys of a tenant for what is only shown: nothing is made. In place of a kind that has none yet, which `missing`
   * names, there is a key that only this object knows, the same each time. @throws LeafmeshError as {@link load}
   */
  async peek(tenant: string): Promise<{ readonly keys: PolicyKeys; readonly missing: readonly KeyKind[] }> {
    const missing: KeyKind[] = [];
    const newest = async (kind: KeyKind) => {
      const [key] = await this.#keys(tenant, kind);
      if (key !== undefined) return { id: key.id, secret: key.secret };
      missing.push(kind);
      const secret = this.#unsaved.get(`${kind} ${tenant}`) ?? this.#firstOf(tenant, kind);
      this.#unsaved.set(`${kind} ${tenant}`, secret);
      return { id: keyId(kind, secret), secret };
    };
    const keys = { pseudonym: await newest("pseudonym"), encrypt: await newest("encrypt") };
    return { keys, missing };
  }

  /** What {@link load} has found last; empty before. */
  active(tenant: string): PolicyKeys {
    return this.#active.get(tenant) ?? {};
  }

  /** What there is, of each kind the newest first. @throws LeafmeshError as {@link load} */
  async list(tenant: string): Promise<KeyInfo[]> {
    const found = await Promise.all(KEY_KINDS.map((kind) => this.#keys(tenant, kind)));
    return found.flatMap((keys) =>
      keys.map(({ kind, id }, index): KeyInfo => ({ kind, id, active: index === 0 })),
    );
  }

  /** All keys that values of a tenant may be encrypted with, the newest first: for `decryptValue`. @throws LeafmeshError as {@link load} */
  async decryptionKeys(tenant: string): Promise<EncryptionKey[]> {
    return (await this.#keys(tenant, "encrypt")).map(({ id, secret }) => ({ id, secret }));
  }

  /** Makes a key that takes the place of the active one. @throws LeafmeshError as {@link load} */
  async rotate(tenant: string, kind: KeyKind): Promise<KeyInfo> {
    await this.load(tenant);
    const [newest] = await this.#keys(tenant, kind);
    const made = await this.#make(tenant, kind, (newest?.number ?? 0) + 1);
    this.#loaded.delete(tenant);
    await this.load(tenant);
    return { kind, id: made.id, active: true };
  }

  async #load(tenant: string): Promise<PolicyKeys> {
    await prepareFolder(this.#folder, 0o700);
    const newest = async (kind: KeyKind) => {
      const [key] = await this.#keys(tenant, kind);
      const { id, secret } = key ?? (await this.#make(tenant, kind, 1));
      return { id, secret };
    };
    return { pseudonym: await newest("pseudonym"), encrypt: await newest("encrypt") };
  }

  /** The keys of a kind, newest first. */
  async #keys(tenant: string, kind: KeyKind): Promise<TenantKey[]> {
    const names = await readdir(this.#folder).catch((thrown: unknown) => {
      throw new LeafmeshError("data_folder_unusable", `Cannot use ${this.#folder}: ${errorText(thrown)}`, {
        cause: thrown,
      });
    });
    const numbers = names
      .flatMap((name) => {
        const number = keyNumber(name, kind, tenant);
        return number === null ? [] : [number];
      })
      .toSorted((a, b) => b - a);
    return await Promise.all(numbers.map((number) => this.#read(tenant, kind, number)));
  }

  async #make(tenant: string, kind: KeyKind, number: number): Promise<TenantKey> {
    // Another process may be faster: its key is the one that counts.
    await writeSecretFile(
      this.#path(tenant, kind, number),
      number === 1 ? this.#firstOf(tenant, kind) : randomBytes(SECRET_BYTES),
      "keep",
      this.#mayChange,
    );
    return await this.#read(tenant, kind, number);
  }

  #firstOf(tenant: string, kind: KeyKind): Uint8Array {
    return this.#first?.(tenant, kind) ?? new Uint8Array(randomBytes(SECRET_BYTES));
  }

  async #read(tenant: string, kind: KeyKind, number: number): Promise<TenantKey> {
    const path = this.#path(tenant, kind, number);
    const secret = (await readSecretFile(path)) ?? new Uint8Array();
    if (secret.length !== SECRET_BYTES) {
      const lost =
        kind === "pseudonym"
          ? "old pseudonyms cannot be made again"
          : "what was encrypted with it cannot be read";
      throw new LeafmeshError(
        "key_invalid",
        `${path} holds ${secret.length} bytes, expected ${SECRET_BYTES}: restore it from a backup; without it ${lost}`,
      );
    }
    return { kind, number, id: keyId(kind, secret), secret: new Uint8Array(secret) };
  }

  #path(tenant: string, kind: KeyKind, number: number): string {
    return join(this.#folder, `${kind}_${tenant}${number === 1 ? "" : `.${number}`}.key`);
  }
}

/** The first key of a tenant at every host of a clustered site: they all have the key that it is made from. */
export function sharedTenantKey(mesh: SigningKey, tenant: string, kind: KeyKind): Uint8Array {
  const digest = createHmac("sha256", mesh.seed()).update(`leafmesh tenant key\0${kind}\0${tenant}`).digest();
  return new Uint8Array(digest);
}

/** The number of the key that a file of this name holds; `null` when it holds none of this kind and tenant. */
function keyNumber(name: string, kind: KeyKind, tenant: string): number | null {
  const prefix = `${kind}_${tenant}`;
  if (!name.startsWith(prefix)) return null;
  const rest = /^(?:\.([2-9]|[1-9][0-9]{1,5}))?\.key$/.exec(name.slice(prefix.length));
  return rest === null ? null : Number(rest[1] ?? 1);
}

/** What values say of the key they were written with. That of an encryption key holds no `_`, which ends it in the value. */
function keyId(kind: KeyKind, secret: Uint8Array): string {
  const digest = createHash("sha256").update(`leafmesh ${kind} key\0`).update(secret).digest();
  return digest.toString(kind === "pseudonym" ? "base64url" : "hex").slice(0, ID_CHARACTERS);
}
