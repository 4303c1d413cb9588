/**
 * Ed25519 with nkeys by the runtime's own cryptography, which is far faster than the client library's.
 * Source: nats-io/nkeys, base32 without padding: prefix bytes, 32 bytes of key or seed, CRC-16.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const KEY_BYTES = 32;
const CHECKSUM_BYTES = 2;
/** First byte of the public key of a user: it makes the text begin with `U`. */
const USER_PREFIX = 20 << 3;
/** SubjectPublicKeyInfo and PKCS #8 of an Ed25519 key, up to the key itself (RFC 8410). */
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

/** The 32 bytes of an nkey behind its prefix. Its checksum is not looked at. @throws RangeError when it is none */
function rawBytes(text: string, prefixBytes: number): Uint8Array {
  const bytes: number[] = [];
  let buffer = 0;
  let bits = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) throw new RangeError("not an nkey");
    buffer = ((buffer << 5) | value) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((buffer >> bits) & 0xff);
  }
  if (bytes.length !== prefixBytes + KEY_BYTES + CHECKSUM_BYTES) throw new RangeError("not an nkey");
  return Uint8Array.from(bytes.slice(prefixBytes, prefixBytes + KEY_BYTES));
}

/** What signs with a seed (`SU…`). @throws RangeError when it is none */
export function privateKeyOf(seed: string): KeyObject {
  const key = Buffer.concat([PKCS8_PREFIX, rawBytes(seed, 2)]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

/** The public nkey (`U…`) of the user that signs with a key. */
export function publicUserKeyOf(key: KeyObject): string {
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const bytes = Buffer.from([USER_PREFIX, ...spki.subarray(SPKI_PREFIX.length), 0, 0]);
  bytes.writeUInt16LE(crc16(bytes.subarray(0, -CHECKSUM_BYTES)), bytes.length - CHECKSUM_BYTES);
  let text = "";
  for (let bit = 0; bit < bytes.length * 8; bit += 5) {
    const two = ((bytes[bit >> 3] ?? 0) << 8) | (bytes[(bit >> 3) + 1] ?? 0);
    text += ALPHABET[(two >> (11 - (bit & 7))) & 31];
  }
  return text;
}

/** CRC-16 as XMODEM has it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

/** The 64-byte signature of `bytes`. */
export function signEd25519(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, bytes, key));
}

/** Whether `signature` is that of the owner of a public nkey; what is no key or signature is a plain no. */
export function verifyEd25519(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = Buffer.concat([SPKI_PREFIX, rawBytes(publicKey, 1)]);
    return verify(null, bytes, createPublicKey({ key, format: "der", type: "spki" }), signature);
  } catch {
    return false;
  }
}
