/**
 * The keys of a site. Each is an Ed25519 user nkey whose seed stands in a file of mode 0600 under `<data>/keys/`, a
 * folder of mode 0700. Seeds leave this module only towards nats-server and the client library, never in a message.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { createUser, fromSeed, type KeyPair } from "@nats-io/nkeys";
import type { Authenticator } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import { privateKeyOf, publicUserKeyOf, signEd25519, verifyEd25519 } from "../model/nkey.ts";
import { prepareFolder, readSecretFile, writeSecretFile } from "./files.ts";

/** A key pair that signs. Printed or serialized it shows its public key alone. */
export class SigningKey {
  /** Public nkey, `U…`, safe to show; another one when {@link become} was called. */
  publicKey: string;
  #pair: KeyPair;
  #private: KeyObject;

  constructor(pair: KeyPair) {
    this.#pair = pair;
    this.#private = privateKeyOf(new TextDecoder().decode(pair.getSeed()));
    // The library's own way takes a hundred times as long, and keys are read again and again.
    this.publicKey = publicUserKeyOf(this.#private);
  }

  /** Takes the place of this key for all that hold it: of a site whose key rotates. */
  become(next: SigningKey): void {
    this.#pair = next.#pair;
    this.#private = next.#private;
    this.publicKey = next.publicKey;
  }

  /** The 64-byte Ed25519 signature of `bytes`. */
  sign(bytes: Uint8Array): Uint8Array {
    return signEd25519(this.#private, bytes);
  }

  /** The seed in nkey form (`SU…` as bytes): for a thread of this process and the leaf credential only. */
  seed(): Uint8Array {
    return this.#pair.getSeed();
  }

  /** Logs a client in as the user with this key, as the library's `nkeyAuthenticator` does, and far faster. */
  get authenticator(): Authenticator {
    return (nonce) => {
      const challenge = nonce === undefined ? null : new TextEncoder().encode(nonce);
      const sig = challenge === null ? "" : Buffer.from(this.sign(challenge)).toString("base64");
      return { nkey: this.publicKey, sig };
    };
  }

  toJSON(): string {
    return this.publicKey;
  }
}

/** The three keys of a site. */
export interface SiteKeys {
  /** The site's identity: peers know its public key; it opens leaf links and signs what sidecars say to each other. */
  readonly site: SigningKey;
  /** The sidecar's user in MESH. */
  readonly mesh: SigningKey;
  /** The sidecar's user in the system account. */
  readonly sys: SigningKey;
}

/** Public keys of a site, all that a server's configuration needs. */
export interface PublicSiteKeys {
  readonly site: string;
  readonly mesh: string;
  readonly sys: string;
}

/** Folder of the keys in a data folder. */
export const keysFolder = (dataFolder: string): string => join(dataFolder, "keys");

/**
 * Loads the site's keys, and makes those that are not there yet.
 *
 * @param given seeds that are kept elsewhere
 * @throws LeafmeshError `key_invalid` when a file holds no seed of a user or others may read it,
 * `data_folder_unusable` when the folder or a file cannot be read or written.
 */
export async function loadSiteKeys(
  dataFolder: string,
  given: Readonly<Partial<Record<keyof SiteKeys, string>>> = {},
): Promise<SiteKeys> {
  const folder = keysFolder(dataFolder);
  await prepareFolder(folder, 0o700);
  const load = async (name: keyof SiteKeys) => {
    const seed = given[name];
    return seed === undefined
      ? await loadSigningKey(join(folder, `${name}.nk`))
      : parseSeed(new TextEncoder().encode(seed), `secrets.${name} of the site file`);
  };
  return { site: await load("site"), mesh: await load("mesh"), sys: await load("sys") };
}

/** The public halves. */
export function publicKeys(keys: SiteKeys): PublicSiteKeys {
  return { site: keys.site.publicKey, mesh: keys.mesh.publicKey, sys: keys.sys.publicKey };
}

/**
 * Loads one user nkey, and makes it when the file is not there.
 *
 * @throws LeafmeshError as {@link loadSiteKeys}
 */
export async function loadSigningKey(path: string): Promise<SigningKey> {
  const there = await readSigningKey(path);
  if (there !== null) return there;
  const pair = createUser();
  const made = await writeSecretFile(path, `${new TextDecoder().decode(pair.getSeed())}\n`, "keep");
  if (made) return new SigningKey(pair);
  // Another process was faster: its key is the one that counts.
  return parseSeed((await readSecretFile(path)) ?? new Uint8Array(), path);
}

/** Loads one user nkey; `null` when the file is not there. @throws LeafmeshError as {@link loadSiteKeys} */
export async function readSigningKey(path: string): Promise<SigningKey | null> {
  const stored = await readSecretFile(path);
  return stored === null ? null : parseSeed(stored, path);
}

/** A signing key that is in no file, for tests and tools. */
export function createSigningKey(): SigningKey {
  return new SigningKey(createUser());
}

/** The signing key of a seed that another thread of this process has handed over. */
export function signingKeyOf(seed: Uint8Array): SigningKey {
  return new SigningKey(fromSeed(seed));
}

/** Whether `signature` is what the owner of `publicKey` made of `bytes`. A broken key or signature is a plain no. */
export function verifySignature(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  return verifyEd25519(publicKey, bytes, signature);
}

function parseSeed(stored: Uint8Array, path: string): SigningKey {
  const text = new TextDecoder().decode(stored).trim();
  try {
    const pair = fromSeed(new TextEncoder().encode(text));
    // The library overlooks characters too many; and only users have seeds that begin with SU.
    if (!/^SU[A-Z2-7]{56}$/.test(text)) throw new Error("not the seed of a user");
    return new SigningKey(pair);
  } catch {
    // The library's message is left out on purpose: nothing of the content may reach a log.
    throw new LeafmeshError(
      "key_invalid",
      `${path} holds no seed of a user nkey (SU…): restore it from a backup, or remove the file to get a new key`,
    );
  }
}
