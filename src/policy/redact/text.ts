/** JSON strings as bytes: unescaping them, cutting them and writing them. Source: RFC 8259, section 7. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;

/** What follows a backslash, by byte: the byte it stands for, 0 when there is no such escape. */
const ESCAPES = escapeTable();
/** Value of a hexadecimal digit, by byte; -1 for others. */
const HEX = hexTable();

/** The code unit of four hexadecimal digits, or -1. */
function hex4(bytes: Uint8Array, at: number): number {
  const a = HEX[bytes[at] as number] as number;
  if (a < 0) return -1;
  const b = HEX[bytes[at + 1] as number] as number;
  if (b < 0) return -1;
  const c = HEX[bytes[at + 2] as number] as number;
  if (c < 0) return -1;
  const d = HEX[bytes[at + 3] as number] as number;
  return d < 0 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}

/**
 * Writes the content `[from, to)` of a valid string, unescaped and as UTF-8, to `target` (which has room for `to - from`
 * bytes: unescaping never lengthens). Returns its length, or -1 when an escape is half a surrogate pair.
 */
export function unescapeString(bytes: Uint8Array, from: number, to: number, target: Uint8Array): number {
  let length = 0;
  for (let at = from; at < to; ) {
    const byte = bytes[at] as number;
    if (byte !== BACKSLASH) {
      target[length++] = byte;
      at++;
      continue;
    }
    const escaped = bytes[at + 1] as number;
    if (escaped !== LOWER_U) {
      target[length++] = ESCAPES[escaped] as number;
      at += 2;
      continue;
    }
    let code = hex4(bytes, at + 2);
    at += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = lowSurrogate(bytes, at, to);
      if (code >= 0xdc00 || low < 0) return -1;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      at += 6;
    }
    length = writeUtf8(code, target, length);
  }
  return length;
}

function writeUtf8(code: number, target: Uint8Array, at: number): number {
  let end = at;
  if (code < 0x80) {
    target[end++] = code;
  } else if (code < 0x800) {
    target[end++] = 0xc0 | (code >> 6);
    target[end++] = 0x80 | (code & 0x3f);
  } else if (code < 0x10000) {
    target[end++] = 0xe0 | (code >> 12);
    target[end++] = 0x80 | ((code >> 6) & 0x3f);
    target[end++] = 0x80 | (code & 0x3f);
  } else {
    target[end++] = 0xf0 | (code >> 18);
    target[end++] = 0x80 | ((code >> 12) & 0x3f);
    target[end++] = 0x80 | ((code >> 6) & 0x3f);
    target[end++] = 0x80 | (code & 0x3f);
  }
  return end;
}

/**
 * The place behind the first `count` characters of the content `[from, to)` of a valid string, `to` when it has no more; -1 when an
 * escape of it is half a surrogate pair. A pair, however it is written, is one character.
 */
export function cutAfter(bytes: Uint8Array, from: number, to: number, count: number): number {
  let cut = -1;
  let left = count;
  for (let at = from; at < to; ) {
    const byte = bytes[at] as number;
    if ((byte & 0xc0) === 0x80) {
      at++;
      continue;
    }
    if (left-- === 0) cut = at;
    if (byte !== BACKSLASH) at++;
    else if (bytes[at + 1] !== LOWER_U) at += 2;
    else {
      const code = hex4(bytes, at + 2);
      at += 6;
      if (code < 0xd800 || code > 0xdfff) continue;
      if (code >= 0xdc00 || lowSurrogate(bytes, at, to) < 0) return -1;
      at += 6;
    }
  }
  return cut < 0 ? to : cut;
}

/** The place behind the first `length` bytes of unescaped text in the content of a valid string that goes on at `from`. */
export function rawPlace(bytes: Uint8Array, from: number, length: number): number {
  let at = from;
  for (let left = length; left > 0; ) {
    if (bytes[at] !== BACKSLASH) {
      at++;
      left--;
    } else if (bytes[at + 1] !== LOWER_U) {
      at += 2;
      left--;
    } else {
      const code = hex4(bytes, at + 2);
      const pair = code >= 0xd800 && code <= 0xdfff;
      at += pair ? 12 : 6;
      left -= pair ? 4 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
    }
  }
  return at;
}

/** The second half of a surrogate pair that is escaped at `at`, or -1. */
function lowSurrogate(bytes: Uint8Array, at: number, to: number): number {
  if (at >= to || bytes[at] !== BACKSLASH || bytes[at + 1] !== LOWER_U) return -1;
  const code = hex4(bytes, at + 2);
  return code >= 0xdc00 && code <= 0xdfff ? code : -1;
}

/**
 * Writes the UTF-8 text `[from, to)` as the inside of a JSON string to `target` at `at`, and returns the place behind it.
 * `target` has room for six times its length.
 */
export function escapeString(
  text: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): number {
  let end = at;
  for (let i = from; i < to; i++) {
    const byte = text[i] as number;
    if (byte === QUOTE || byte === BACKSLASH) {
      target[end++] = BACKSLASH;
      target[end++] = byte;
    } else if (byte < 0x20) {
      const hex = `\\u00${byte.toString(16).padStart(2, "0")}`;
      for (let k = 0; k < hex.length; k++) target[end++] = hex.charCodeAt(k);
    } else {
      target[end++] = byte;
    }
  }
  return end;
}

function escapeTable(): Uint8Array {
  const table = new Uint8Array(256);
  const pairs: Readonly<Record<string, string>> = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    b: "\b",
    f: "\f",
    n: "\n",
    r: "\r",
    t: "\t",
  };
  for (const [char, meaning] of Object.entries(pairs)) table[char.charCodeAt(0)] = meaning.charCodeAt(0);
  return table;
}

function hexTable(): Int8Array {
  const table = new Int8Array(256).fill(-1);
  for (const [value, digit] of [..."0123456789abcdef"].entries()) {
    table[digit.charCodeAt(0)] = value;
    table[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return table;
}

/** Whether a byte is white space between tokens. */
export function isBlank(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}
