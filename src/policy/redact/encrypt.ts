/**
 * Encrypted values. The bytes of a value of any type, as they stand in the payload, become the string
 * `enc_<key id>_<base64url of nonce, ciphertext and tag>`: AES-256-GCM with a nonce of 12 bytes and a tag of 16.
 *
 * The nonce is the beginning of HMAC-SHA-256 over the tenant and the value (a synthetic nonce, after the idea of RFC 5297): a
 * payload that is decided twice gives the same bytes, and two values share a nonce only if the HMAC collides. What that shows
 * to a reader without the key: that two values of one tenant under one key are the same, byte for byte, and how long they are.
 * The tenant is bound as associated data: a value does not decrypt in another tenant's name.
 */
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { LeafmeshError } from "../../model/errors.ts";
import type { EncryptionKey } from "../../model/keys.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ENVELOPE = /^enc_([0-9A-Za-z-]{1,64})_([0-9A-Za-z_-]+)$/;

/** Encrypts values of one tenant. */
export type Encrypt = (value: Uint8Array) => string;

/** What encrypts with a key in the name of a tenant. */
export function encryptorOf(key: EncryptionKey, tenant: string): Encrypt {
  const { cipherKey, nonceKey, context } = derive(key.secret, tenant);
  const prefix = `enc_${key.id}_`;
  return (value) => {
    const nonce = createHmac("sha256", nonceKey)
      .update(context)
      .update(value)
      .digest()
      .subarray(0, NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", cipherKey, nonce).setAAD(context);
    const body = Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    return prefix + body.toString("base64url");
  };
}

/**
 * The JSON text of a value that `with: encrypt` has encrypted, as it stood in the payload.
 *
 * @param encrypted The string `enc_…`, without quotes
 * @param keys The keys that it may have been encrypted with, old ones too
 * @throws {LeafmeshError} `request_invalid` when it is no such string, `not_found` when none of the keys has its id,
 * `key_invalid` when it does not decrypt: changed on its way, of another tenant, or of another key with the same id
 */
export function decryptValue(encrypted: string, keys: readonly EncryptionKey[], tenant: string): string {
  const [, id, text] = ENVELOPE.exec(encrypted) ?? [];
  const body = Buffer.from(text ?? "", "base64url");
  if (id === undefined || body.length < NONCE_BYTES + TAG_BYTES) {
    throw new LeafmeshError("request_invalid", "This is no encrypted value (expected enc_<key id>_…)");
  }
  const key = keys.find((one) => one.id === id);
  if (key === undefined) throw new LeafmeshError("not_found", `There is no key ${id} to decrypt with`);
  const { cipherKey, context } = derive(key.secret, tenant);
  const end = body.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv("aes-256-gcm", cipherKey, body.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(context).setAuthTag(body.subarray(end));
    const value = Buffer.concat([decipher.update(body.subarray(NONCE_BYTES, end)), decipher.final()]);
    return value.toString("utf8");
  } catch (cause) {
    throw new LeafmeshError("key_invalid", `The value does not decrypt with key ${id} of tenant ${tenant}`, {
      cause,
    });
  }
}

/** One secret, two keys: what the nonce shows says nothing of the cipher's key. */
function derive(secret: Uint8Array, tenant: string) {
  const part = (use: string) => createHmac("sha256", secret).update(`leafmesh encrypt v1 ${use}\0`).digest();
  return {
    cipherKey: part("cipher"),
    nonceKey: part("nonce"),
    context: Buffer.from(`leafmesh encrypt v1\0${tenant}\0`),
  };
}
