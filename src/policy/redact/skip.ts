/**
 * Passes over JSON values that nothing is selected in, checking them strictly (RFC 8259). Kept apart from the pass that
 * selects: with little to keep in registers it is a third faster, and most of a payload goes through here.
 */
import { literalEnd, numberEnd } from "./scalar.ts";
import { plainEnd, stringEnd, unescapeString } from "./text.ts";

/** Why a text was not accepted; `ok` is 0. */
export const FAULT = {
  ok: 0,
  notJson: 1,
  tooDeep: 2,
  tooLarge: 3,
  brokenText: 4,
  /** A detector has found something in a name, which is not redacted. */
  foundInName: 5,
  /** The texts are too long for a pattern. */
  tooCostly: 6,
} as const;
export type Fault = (typeof FAULT)[keyof typeof FAULT];

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;

/** Whether a byte is white space between tokens. */
export function isBlank(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

export class Skipper {
  /** Why the last call returned -1, and where. */
  fault: Fault = FAULT.ok;
  at = 0;
  /** How many members the objects passed over have together; set it to 0 for a new text. */
  members = 0;
  /** A string has escapes or bytes beyond ASCII; set it to `false` for a new text. */
  special = false;
  lastEnd = 0;
  /** The last name with escapes or bytes beyond ASCII, unescaped. */
  name = new Uint8Array(256);
  nameLength = 0;

  readonly #maxDepth: number;
  readonly #closers: Uint8Array;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
    this.#closers = new Uint8Array(maxDepth + 2);
  }

  /**
   * The place behind the value that begins at `from`, inside of `depth` containers, or -1 when it is not acceptable. `bytes` ends
   * with a zero; `words` is the same memory.
   */
  skip(bytes: Uint8Array, words: Int32Array, from: number, depth: number): number {
    const closers = this.#closers;
    const maxDepth = this.#maxDepth;
    const outer = depth;
    let at = from;
    let level = depth;
    let closer = 0;
    let byte = bytes[at] as number;
    let members = 0;

    value: for (;;) {
      if (closer === OBJECT_END) {
        if (byte !== QUOTE) return this.fail(at, FAULT.notJson);
        members++;
        const start = at;
        at = plainEnd(words, at + 1);
        if (bytes[at] === QUOTE) at++;
        else {
          at = this.nameEnd(bytes, start, at);
          if (at < 0) return -1;
        }
        byte = bytes[at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte !== COLON) return this.fail(at, FAULT.notJson);
        byte = bytes[++at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
      }

      if (byte === QUOTE) {
        at = plainEnd(words, at + 1);
        if (bytes[at] === QUOTE) at++;
        else {
          this.special = true;
          const end = stringEnd(bytes, at);
          if (end < 0) return this.fail(at, FAULT.notJson);
          at = end;
        }
      } else if ((byte | 0x20) === OBJECT) {
        if (++level > maxDepth) return this.fail(at, FAULT.tooDeep);
        closer = byte + 2; // '}' and ']' are two behind their opening bytes
        closers[level] = closer;
        byte = bytes[++at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte !== closer) continue;
        at++;
        closer = closers[--level] as number;
      } else {
        const end = byte > 0x39 ? literalEnd(bytes, at) : numberEnd(bytes, at);
        if (end < 0) return this.fail(at, FAULT.notJson);
        at = end;
      }

      for (;;) {
        if (level === outer) {
          this.members += members;
          return at;
        }
        byte = bytes[at] as number;
        while (isBlank(byte)) byte = bytes[++at] as number;
        if (byte === COMMA) {
          byte = bytes[++at] as number;
          while (isBlank(byte)) byte = bytes[++at] as number;
          continue value;
        }
        if (byte !== closer) return this.fail(at, FAULT.notJson);
        at++;
        closer = closers[--level] as number;
      }
    }
  }

  /**
   * From the member that begins at `from` on, passes over members of an object whose names are plain and of a length that
   * `lengths` has no bit for (see `PathState.nameLengths`). Returns the place of the first other member or of the closing
   * brace, or -1. `lastEnd` is where the last member passed over ended.
   */
  skipMembers(bytes: Uint8Array, words: Int32Array, from: number, depth: number, lengths: number): number {
    let at = from;
    let byte = bytes[at] as number;
    let members = 0;
    let lastEnd = from;
    for (;;) {
      if (byte !== QUOTE) return this.fail(at, FAULT.notJson);
      const start = at;
      at = plainEnd(words, at + 1);
      if (bytes[at] !== QUOTE || ((lengths >>> Math.min(at - start - 1, 31)) & 1) === 1) {
        at = start;
        break;
      }
      members++;
      byte = bytes[++at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
      if (byte !== COLON) return this.fail(at, FAULT.notJson);
      byte = bytes[++at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
      // What is plain is not worth a call.
      if (byte === QUOTE) {
        const end = plainEnd(words, at + 1);
        at = bytes[end] === QUOTE ? end + 1 : this.skip(bytes, words, at, depth);
        if (at < 0) return -1;
      } else if ((byte | 0x20) === OBJECT) {
        at = this.skip(bytes, words, at, depth);
        if (at < 0) return -1;
      } else {
        const end = byte > 0x39 ? literalEnd(bytes, at) : numberEnd(bytes, at);
        if (end < 0) return this.fail(at, FAULT.notJson);
        at = end;
      }
      lastEnd = at;
      byte = bytes[at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
      if (byte === OBJECT_END) break;
      if (byte !== COMMA) return this.fail(at, FAULT.notJson);
      byte = bytes[++at] as number;
      while (isBlank(byte)) byte = bytes[++at] as number;
    }
    this.members += members;
    this.lastEnd = lastEnd;
    return at;
  }

  /** The place behind a name that begins at `start` and is plain up to `from`, or -1. */
  nameEnd(bytes: Uint8Array, start: number, from: number): number {
    this.special = true;
    const end = stringEnd(bytes, from);
    if (end < 0) return this.fail(start, FAULT.notJson);
    this.nameLength = this.#unescapeName(bytes, start + 1, end - 1);
    if (this.nameLength < 0) return this.fail(start, FAULT.brokenText);
    return end;
  }

  #unescapeName(bytes: Uint8Array, from: number, to: number): number {
    if (this.name.length < to - from) this.name = new Uint8Array((to - from) * 2);
    return unescapeString(bytes, from, to, this.name);
  }

  /** Notes why a text is not accepted. */
  fail(at: number, fault: Fault): -1 {
    this.at = at;
    this.fault = fault;
    return -1;
  }
}
