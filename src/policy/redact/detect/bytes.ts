/** Classes of bytes that detectors look for. */

const DIGIT = 1;
const LETTER = 2;
/** What may stand in the part of an e-mail address before `@`, without quotes, but for what parts URLs; beyond ASCII too. */
const LOCAL = 4;
const HEX = 8;
/** Letters and digits of base64, and what its variants put for the rest. */
const BASE64 = 16;

const CLASSES = classTable();

function classTable(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (chars: string, flag: number) => {
    for (const char of chars) table[char.charCodeAt(0)] = (table[char.charCodeAt(0)] as number) | flag;
  };
  const letters = "abcdefghijklmnopqrstuvwxyz";
  const digits = "0123456789";
  mark(digits, DIGIT | LOCAL | HEX | BASE64);
  mark(letters + letters.toUpperCase(), LETTER | LOCAL | BASE64);
  mark("abcdefABCDEF", HEX);
  mark("!#$%'*+-=^_`{|}~.", LOCAL);
  mark("+/_-", BASE64);
  for (let byte = 0x80; byte < 256; byte++) table[byte] = LOCAL;
  return table;
}

const has = (byte: number | undefined, flags: number): boolean =>
  ((CLASSES[byte as number] as number) & flags) !== 0;

export const isDigit = (byte: number | undefined): boolean => has(byte, DIGIT);
export const isLetter = (byte: number | undefined): boolean => has(byte, LETTER);
export const isWord = (byte: number | undefined): boolean => has(byte, DIGIT | LETTER);
export const isHex = (byte: number | undefined): boolean => has(byte, HEX);
export const isLocal = (byte: number | undefined): boolean => has(byte, LOCAL);
export const isBase64 = (byte: number | undefined): boolean => has(byte, BASE64);

/**
 * How many bytes the one separator at `at` takes that may stand between groups of digits: a space or dash of any kind, or a dot.
 * 0 when there is none.
 */
export function separatorLength(text: Uint8Array, at: number, to: number): number {
  if (at >= to) return 0;
  const byte = text[at] as number;
  if (byte === 0x20 || byte === 0x2d || byte === 0x2e) return 1;
  // No-break space.
  if (byte === 0xc2) return at + 1 < to && text[at + 1] === 0xa0 ? 2 : 0;
  if (byte !== 0xe2 || at + 2 >= to || text[at + 1] !== 0x80) return 0;
  // U+2000 to U+2015: spaces, joiners and dashes; U+202F: narrow no-break space.
  const last = text[at + 2] as number;
  return last <= 0x95 || last === 0xaf ? 3 : 0;
}

/** Whether `[from, to)` has at `at` the ASCII text `word`, which is in small letters, in any case. */
export function hasWord(text: Uint8Array, at: number, to: number, word: string): boolean {
  if (at + word.length > to) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = text[at + i] as number;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== word.charCodeAt(i)) return false;
  }
  return true;
}
