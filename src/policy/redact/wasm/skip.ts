/**
 * Passes over JSON values that nothing is selected in, checking them strictly (RFC 8259). Most of a payload goes through here.
 * AssemblyScript, see `../scan.ts`.
 */
import { scalarEnd } from "./scalar";
import { brokenPlace, hasEscape, stringEnd, unescapeText } from "./text";

/** Why a text was not accepted; `../limits.ts` has the same. */
export const OK: i32 = 0;
export const NOT_JSON: i32 = 1;
export const TOO_DEEP: i32 = 2;
export const BROKEN_TEXT: i32 = 4;

export const QUOTE: i32 = 0x22;
export const COMMA: i32 = 0x2c;
export const COLON: i32 = 0x3a;
export const OBJECT: i32 = 0x7b;
export const OBJECT_END: i32 = 0x7d;

/** Deepest nesting of objects and arrays. */
export const MAX_DEPTH: i32 = 128;

/** Closing byte of each open container, by its depth. */
const closers: usize = memory.data(256);

let failedAt: usize = 0;
let failedWith: i32 = 0;
let members: i32 = 0;

/** Begins with a text. */
export function startSkip(): void {
  members = 0;
}

/** How many members objects had since `startSkip`. */
export function memberCount(): i32 {
  return members;
}

export function countMember(): void {
  members++;
}

/** Notes why a text is not accepted. Returns 0, which is no place. */
export function fail(at: usize, fault: i32): usize {
  failedAt = at;
  failedWith = fault;
  return 0;
}

/** Why the last call returned 0. */
export function lastFault(): i32 {
  return failedWith;
}

/** The place of that fault. */
export function faultPlace(): usize {
  return failedAt;
}

/** Notes that a container which `opening` begins is open at `depth`. Returns its closing byte. */
export function open(depth: i32, opening: i32): i32 {
  const closer = opening + 2; // '}' and ']' are two behind their opening bytes
  store<u8>(closers + depth, <u8>closer);
  return closer;
}

/** Closing byte of the container that is open at `depth`; 0 at depth 0. */
export function closerAt(depth: i32): i32 {
  return load<u8>(closers + depth);
}

/** The first place from `from` on that is not white space between tokens. */
export function blankEnd(from: usize): usize {
  // Mostly there is none, and what has no loop is inlined.
  return load<u8>(from) > 0x20 ? from : blanksEnd(from);
}

function blanksEnd(from: usize): usize {
  let at = from;
  while (true) {
    const byte = load<u8>(at);
    if (byte > 0x20) return at;
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at++;
  }
}

/** The place behind the name that begins at `from`, or 0. A name with half a surrogate pair is refused. */
export function nameEnd(from: usize): usize {
  if (load<u8>(from) !== QUOTE) return fail(from, NOT_JSON);
  const end = stringEnd(from + 1);
  if (end === 0) return fail(brokenPlace(), NOT_JSON);
  if (hasEscape() && unescapeText(from + 1, end - 1, 0, 0) < 0) return fail(from, BROKEN_TEXT);
  return end;
}

/** The place of the value of a member whose name ends at `from`, or 0. */
export function memberValue(from: usize): usize {
  const at = blankEnd(from);
  if (load<u8>(at) !== COLON) return fail(at, NOT_JSON);
  return blankEnd(at + 1);
}

/** The place behind the value that begins at `from`, inside of `depth` containers, or 0 when it is not acceptable. */
export function skip(from: usize, depth: i32): usize {
  let at = from;
  let level = depth;
  let closer: i32 = 0;
  let count: i32 = 0;
  while (true) {
    if (closer === OBJECT_END) {
      count++;
      at = nameEnd(at);
      if (at === 0) return 0;
      at = memberValue(at);
      if (at === 0) return 0;
    }
    const byte: i32 = load<u8>(at);
    if (byte === QUOTE) {
      at = stringEnd(at + 1);
      if (at === 0) return fail(brokenPlace(), NOT_JSON);
    } else if ((byte | 0x20) === OBJECT) {
      if (++level > MAX_DEPTH) return fail(at, TOO_DEEP);
      closer = open(level, byte);
      at = blankEnd(at + 1);
      if (load<u8>(at) !== closer) continue;
      at++;
      closer = closerAt(--level);
    } else {
      const end = scalarEnd(at);
      if (end === 0) return fail(at, NOT_JSON);
      at = end;
    }
    // A value has ended at `at`.
    while (true) {
      if (level === depth) {
        members += count;
        return at;
      }
      at = blankEnd(at);
      const next: i32 = load<u8>(at);
      if (next === COMMA) {
        at = blankEnd(at + 1);
        break;
      }
      if (next !== closer) return fail(at, NOT_JSON);
      at++;
      closer = closerAt(--level);
    }
  }
}
