/**
 * Strings of JSON as bytes: finding their end, unescaping names. Source: RFC 8259, section 7.
 * AssemblyScript; built by `scripts/build-wasm`, see `../scan.ts`.
 */

const QUOTE: i32 = 0x22;
const BACKSLASH: i32 = 0x5c;
const LOWER_U: i32 = 0x75;

/** One of each byte of a word. */
const ONES: u64 = ((<u64>0x0101_0101) << 32) | 0x0101_0101;
const TOP_BITS: u64 = ONES << 7;

/** The top bit of a byte is set where a word of strings was not ASCII since `startText`. Bytes behind their ends count too. */
let seen: u64 = 0;
/** Of the last string: whether it has an escape. */
let escaped: bool = false;
/** Where the last string that was none went wrong. */
let brokenAt: usize = 0;

/** Begins with a text. */
export function startText(): void {
  seen = 0;
}

/** Whether strings since `startText` may have bytes beyond ASCII. */
export function hasSpecial(): bool {
  return (seen & TOP_BITS) !== 0;
}

/** Whether the last string has an escape. */
export function hasEscape(): bool {
  return escaped;
}

/** Where the last string that `stringEnd` did not accept went wrong. */
export function brokenPlace(): usize {
  return brokenAt;
}

/**
 * The place behind the closing quote of the string whose content begins at `from`, or 0 when it is no valid string. A zero byte
 * follows the text, and 7 more bytes that can be read. That bytes beyond ASCII are UTF-8 is checked elsewhere, for the whole text.
 */
export function stringEnd(from: usize): usize {
  let at = from;
  let all: u64 = 0;
  escaped = false;
  while (true) {
    // Eight bytes at a time. The top bit of a byte is set where it is a quote, a backslash or a control character. What a byte
    // borrows from those above it may set theirs too, so only the lowest one counts.
    const word = load<u64>(at);
    all |= word;
    const stops =
      (((word ^ (ONES * 0x22)) - ONES) | ((word ^ (ONES * 0x5c)) - ONES) | (word - ONES * 0x20)) &
      ~word &
      TOP_BITS;
    if (stops === 0) {
      at += 8;
      continue;
    }
    at += <usize>(ctz(stops) >> 3);
    const byte: i32 = load<u8>(at);
    if (byte === QUOTE) {
      seen |= all;
      return at + 1;
    }
    const end = byte === BACKSLASH ? escapeEnd(at) : 0;
    if (end === 0) {
      brokenAt = at;
      return 0;
    }
    escaped = true;
    at = end;
  }
}

/** The place behind the escape at `at`, or 0 when there is no such escape. */
function escapeEnd(at: usize): usize {
  const byte: i32 = load<u8>(at + 1);
  if (byte === LOWER_U) return hex4(at + 2) < 0 ? 0 : at + 6;
  return meaning(byte) === 0 ? 0 : at + 2;
}

/** The byte that a backslash and `byte` stand for, or 0. */
function meaning(byte: i32): i32 {
  switch (byte) {
    case 0x22:
    case 0x2f:
    case 0x5c:
      return byte;
    case 0x62:
      return 0x08;
    case 0x66:
      return 0x0c;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    default:
      return 0;
  }
}

/** The code unit of four hexadecimal digits, or -1. */
function hex4(at: usize): i32 {
  let code: i32 = 0;
  for (let i: usize = 0; i < 4; i++) {
    const digit = hex(load<u8>(at + i));
    if (digit < 0) return -1;
    code = (code << 4) | digit;
  }
  return code;
}

function hex(byte: i32): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/**
 * Unescapes the content `[from, to)` of a valid string as UTF-8. Its first `room` bytes are written to `target`. Returns its
 * length, or -1 when an escape is half a surrogate pair.
 */
export function unescapeText(from: usize, to: usize, target: usize, room: i32): i32 {
  let length: i32 = 0;
  let at = from;
  while (at < to) {
    const byte: i32 = load<u8>(at);
    if (byte !== BACKSLASH) {
      length = put(byte, target, length, room);
      at++;
      continue;
    }
    const kind: i32 = load<u8>(at + 1);
    if (kind !== LOWER_U) {
      length = put(meaning(kind), target, length, room);
      at += 2;
      continue;
    }
    let code = hex4(at + 2);
    at += 6;
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = lowSurrogate(at, to);
      if (code >= 0xdc00 || low < 0) return -1;
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      at += 6;
    }
    length = putCode(code, target, length, room);
  }
  return length;
}

/** The second half of a surrogate pair that is escaped at `at`, or -1. */
function lowSurrogate(at: usize, to: usize): i32 {
  if (at >= to || load<u8>(at) !== BACKSLASH || load<u8>(at + 1) !== LOWER_U) return -1;
  const code = hex4(at + 2);
  return code >= 0xdc00 && code <= 0xdfff ? code : -1;
}

function put(byte: i32, target: usize, length: i32, room: i32): i32 {
  if (length < room) store<u8>(target + <usize>length, <u8>byte);
  return length + 1;
}

function putCode(code: i32, target: usize, length: i32, room: i32): i32 {
  if (code < 0x80) return put(code, target, length, room);
  let end = length;
  if (code < 0x800) {
    end = put(0xc0 | (code >> 6), target, end, room);
  } else {
    if (code < 0x10000) {
      end = put(0xe0 | (code >> 12), target, end, room);
    } else {
      end = put(0xf0 | (code >> 18), target, end, room);
      end = put(0x80 | ((code >> 12) & 0x3f), target, end, room);
    }
    end = put(0x80 | ((code >> 6) & 0x3f), target, end, room);
  }
  return put(0x80 | (code & 0x3f), target, end, room);
}
