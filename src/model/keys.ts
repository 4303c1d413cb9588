/** A tenant's key for pseudonyms (HMAC-SHA-256). The secret never leaves memory and its file. */
export interface PseudonymKey {
  /** Short public id that every pseudonym carries. */
  readonly id: string;
  readonly secret: Uint8Array;
}
