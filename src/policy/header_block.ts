/**
 * Raw NATS header blocks, read on their bytes: `NATS/1.0\r\n`, lines `Name: value\r\n`, `\r\n`. The reading is strict, for what one
 * reader takes as one line and another as two is a way around a policy.
 * Source: NATS ADR-4.
 */

const VERSION = Uint8Array.from("NATS/1.0\r\n", (char) => char.charCodeAt(0));
const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;
const SPACE = 0x20;
const TAB = 0x09;

/** Steps through the lines of a block. Reusable: `start` again for each block. */
export class HeaderCursor {
  /** Bounds of the line with its line break, and of its name and value (without white space around it). */
  lineFrom = 0;
  lineTo = 0;
  nameTo = 0;
  valueFrom = 0;
  valueTo = 0;
  /** The block is malformed; `next` has returned `false` for it. */
  invalid = false;
  block: Uint8Array = EMPTY;

  /** Goes to the start of a block. An empty block has no lines and is valid. */
  start(block: Uint8Array): void {
    this.block = block;
    this.invalid = false;
    this.lineTo = VERSION.length;
    if (block.length === 0) return;
    // A status behind the version is a message of a server, which no event may pretend to be.
    for (let i = 0; i < VERSION.length; i++) if (block[i] !== VERSION[i]) this.invalid = true;
  }

  /** Goes to the next line; `false` at the end, or where the block is malformed. */
  next(): boolean {
    const { block } = this;
    const end = block.length;
    const from = this.lineTo;
    if (this.invalid || end === 0) return false;
    let at = from;
    if (block[at] === CR) {
      if (block[at + 1] !== LF || at + 2 !== end) this.invalid = true;
      return false;
    }
    while (at < end) {
      const byte = block[at] as number;
      if (byte === COLON) break;
      if (byte <= SPACE || byte >= 0x7f) return this.#malformed();
      at++;
    }
    if (at >= end || at === from) return this.#malformed();
    this.lineFrom = from;
    this.nameTo = at++;
    while (at < end && isBlank(block[at] as number)) at++;
    this.valueFrom = at;
    while (at < end) {
      const byte = block[at] as number;
      if (byte === CR) break;
      if (byte === LF || byte === 0) return this.#malformed();
      at++;
    }
    if (at + 1 >= end || block[at + 1] !== LF) return this.#malformed();
    this.lineTo = at + 2;
    while (at > this.valueFrom && isBlank(block[at - 1] as number)) at--;
    this.valueTo = at;
    return true;
  }

  /** Whether the line's name is `name`, in this very case. */
  isNamed(name: Uint8Array): boolean {
    return this.nameTo - this.lineFrom === name.length && startsWith(this.block, this.lineFrom, name);
  }

  /** Whether the line's name is that of lower-case `name`, in whatever case. */
  isNamedLike(name: Uint8Array): boolean {
    return this.nameTo - this.lineFrom === name.length && startsWithLower(this.block, this.lineFrom, name);
  }

  /** Whether the line's name begins with lower-case `prefix`, in whatever case. */
  hasPrefixLike(prefix: Uint8Array): boolean {
    return this.nameTo - this.lineFrom >= prefix.length && startsWithLower(this.block, this.lineFrom, prefix);
  }

  /** Whether the line's value is `value`, byte for byte. */
  hasValue(value: Uint8Array): boolean {
    return this.valueTo - this.valueFrom === value.length && startsWith(this.block, this.valueFrom, value);
  }

  /** The line's name. */
  name(): string {
    return text(this.block, this.lineFrom, this.nameTo);
  }

  /** The line's value, without white space around it. */
  value(): string {
    return text(this.block, this.valueFrom, this.valueTo);
  }

  #malformed(): false {
    this.invalid = true;
    return false;
  }
}

/** No bytes: the block of an event without headers. */
export const EMPTY: Uint8Array = new Uint8Array(0);

/** The bytes of ASCII text. */
export function ascii(value: string): Uint8Array {
  return Uint8Array.from(value, (char) => char.charCodeAt(0));
}

/** The first value of a header, its name in this very case (as NATS compares names); `null` when there is none. */
export function headerValue(block: Uint8Array, name: string): string | null {
  const cursor = new HeaderCursor();
  const wanted = ascii(name);
  cursor.start(block);
  while (cursor.next()) if (cursor.isNamed(wanted)) return cursor.value();
  return null;
}

const MSG_ID = ascii("Nats-Msg-Id");

/** The event's `Nats-Msg-Id`, or `null`. */
export function messageId(block: Uint8Array, cursor: HeaderCursor = new HeaderCursor()): string | null {
  if (block.length === 0) return null;
  cursor.start(block);
  while (cursor.next()) if (cursor.isNamed(MSG_ID)) return cursor.value();
  return null;
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB;
}

function startsWith(block: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) if (block[from + i] !== name[i]) return false;
  return true;
}

function startsWithLower(block: Uint8Array, from: number, name: Uint8Array): boolean {
  for (let i = 0; i < name.length; i++) {
    let byte = block[from + i] as number;
    if (byte >= 0x41 && byte <= 0x5a) byte += 0x20;
    if (byte !== name[i]) return false;
  }
  return true;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws {TypeError} when it is no UTF-8 */
function text(block: Uint8Array, from: number, to: number): string {
  let value = "";
  for (let i = from; i < to; i++) {
    const byte = block[i] as number;
    if (byte >= 0x80 || i - from >= 64) return utf8.decode(block.subarray(from, to));
    value += String.fromCharCode(byte);
  }
  return value;
}
