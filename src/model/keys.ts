/** The keys of a tenant that its policies use. Secrets never leave memory and their files. */

/** What a key is for, as commands, routes and files name it. */
export type KeyKind = "pseudonym" | "encrypt";
export const KEY_KINDS: readonly KeyKind[] = ["pseudonym", "encrypt"];

/** A key for pseudonyms (HMAC-SHA-256). */
export interface PseudonymKey {
  /** Short public id that every pseudonym carries. */
  readonly id: string;
  readonly secret: Uint8Array;
}

/** A key for encrypted values (AES-256-GCM), 32 bytes. */
export interface EncryptionKey {
  /** Short public id that every encrypted value carries; has no `_`. */
  readonly id: string;
  readonly secret: Uint8Array;
}

/** The active keys of a tenant: what its policies write with. */
export interface PolicyKeys {
  readonly pseudonym?: PseudonymKey | undefined;
  readonly encrypt?: EncryptionKey | undefined;
}

/** What may be told of a key. */
export interface KeyInfo {
  readonly kind: KeyKind;
  readonly id: string;
  /** New values are written with it. Others are kept to read old ones. */
  readonly active: boolean;
}
