/**
 * Secrets that machines log in with:
 * - what follows `Bearer`, and `Basic` with base64;
 * - JSON Web Tokens;
 * - keys with the prefix that their maker gives them (GitHub, GitLab, Slack, Stripe, AWS, Google, npm, OpenAI, nkeys and others);
 * - private keys in PEM, to the end of the block;
 * - 32 and more characters of base64 or base64url in one that change between capitals, small letters and digits as often as random
 *   ones do. Hexadecimal digits, UUIDs and paths do not.
 */
import { hasWord, isBase64, isDigit, isWord } from "./bytes.ts";
import type { Hits } from "./hits.ts";

/** Prefixes with the fewest characters that follow. */
const PREFIXES: readonly (readonly [prefix: string, fewest: number])[] = [
  ...["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "npm_", "pypi-", "hf_"],
  ...["xoxa-", "xoxb-", "xoxc-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-", "SG.", "dop_v1_"],
  ...["sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "whsec_", "shpat_", "shpss_", "sq0atp-"],
  ...["sk-", "AIza", "ya29.", "AKIA", "ASIA", "EAACEdEose0cBA", "AGE-SECRET-KEY-", "eyJ"],
].map((prefix) => [prefix, 16] as const);
const FIRST_BYTES = firstBytes();
/** Of a run without prefix, how long it is and how often neighbours in it are of different classes. */
const RANDOM_LENGTH = 32;
const RANDOM_CHANGES = 0.35;
const MOST_SEED = /^S[ACNOUX][A-Z2-7]{56}$/;
const PEM_BEGIN = "-----begin ";
const PEM_END = "-----end ";

export function findTokens(text: Uint8Array, from: number, to: number, hits: Hits): void {
  for (let at = from; at < to; ) {
    const byte = text[at] as number;
    if (byte === 0x2d && hasWord(text, at, to, PEM_BEGIN)) {
      const end = pemEnd(text, at, to);
      if (end > 0) {
        hits.add(at, end);
        at = end;
        continue;
      }
    }
    if (!isTokenByte(byte)) {
      at++;
      continue;
    }
    const end = runEnd(text, at, to);
    at = readRun(text, from, at, end, to, hits);
  }
}

/** Looks at the run `[start, end)` of the characters of tokens, and returns where to go on. */
function readRun(text: Uint8Array, from: number, start: number, end: number, to: number, hits: Hits): number {
  if (end - start >= 16) findInRun(text, start, end, hits);
  const schemed = schemeTokenStart(text, from, start, end, to);
  if (schemed < 0) return end;
  const last = runEnd(text, schemed, to);
  hits.add(schemed, withoutDots(text, schemed, last));
  return last;
}

function findInRun(text: Uint8Array, start: number, end: number, hits: Hits): void {
  for (let at = start; at < end; at++) {
    if (FIRST_BYTES[text[at] as number] === 0 || (at > start && isWord(text[at - 1]))) continue;
    if (!hasPrefix(text, at, end)) continue;
    hits.add(at, withoutDots(text, at, end));
    return;
  }
  for (let at = start; at < end; ) {
    if (!isBase64(text[at])) {
      at++;
      continue;
    }
    let last = at;
    while (last < end && isBase64(text[last])) last++;
    if (looksRandom(text, at, last) || isSeed(text, at, last)) {
      while (last < end && text[last] === 0x3d) last++;
      hits.add(at, last);
    }
    at = last;
  }
}

/** The place of the token behind `Bearer` or `Basic` that ends `[start, end)`, or -1. */
function schemeTokenStart(text: Uint8Array, from: number, start: number, end: number, to: number): number {
  const bearer = endsWith(text, start, end, "bearer");
  if (!bearer && !endsWith(text, start, end, "basic")) return -1;
  let at = end;
  while (at < to && (text[at] === 0x20 || text[at] === 0x09 || text[at] === 0x3a)) at++;
  if (at === end || at >= to || !isTokenByte(text[at] as number)) return -1;
  const last = runEnd(text, at, to);
  const marked = hasMark(text, at, last);
  if (!bearer) return last - at >= 8 && marked ? at : -1;
  // Alone in its text it is a header's value, whatever it looks like; in a sentence it may be a word.
  const alone = start === from && last === to;
  return alone || last - at >= 20 || (last - at >= 8 && marked) ? at : -1;
}

function endsWith(text: Uint8Array, start: number, end: number, word: string): boolean {
  const at = end - word.length;
  return at >= start && hasWord(text, at, end, word) && !(at > start && isWord(text[at - 1]));
}

/** A digit, or what no word has inside. */
function hasMark(text: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const byte = text[at] as number;
    if (isDigit(byte) || byte === 0x3d || byte === 0x2b || byte === 0x5f) return true;
    // A capital behind a small letter.
    if (at > from && byte >= 0x41 && byte <= 0x5a && (text[at - 1] as number) >= 0x61) return true;
  }
  return false;
}

function hasPrefix(text: Uint8Array, at: number, end: number): boolean {
  for (const [prefix, fewest] of PREFIXES) {
    if (end - at < prefix.length + fewest) continue;
    let same = 0;
    while (same < prefix.length && text[at + same] === prefix.charCodeAt(same)) same++;
    if (same === prefix.length) return true;
  }
  return false;
}

function looksRandom(text: Uint8Array, from: number, to: number): boolean {
  if (to - from < RANDOM_LENGTH) return false;
  let changes = 0;
  let seen = 0;
  let before = 0;
  for (let at = from; at < to; at++) {
    const byte = text[at] as number;
    const kind = isDigit(byte) ? 1 : byte >= 0x61 ? 2 : byte >= 0x41 && byte !== 0x5f ? 4 : 8;
    if (before !== 0 && kind !== before) changes++;
    before = kind;
    seen |= kind;
  }
  return (seen & 7) === 7 && changes >= (to - from - 1) * RANDOM_CHANGES;
}

function isSeed(text: Uint8Array, from: number, to: number): boolean {
  return (
    to - from === 58 && text[from] === 0x53 && MOST_SEED.test(String.fromCharCode(...text.subarray(from, to)))
  );
}

function isTokenByte(byte: number): boolean {
  return isBase64(byte) || byte === 0x2e || byte === 0x7e || byte === 0x3d;
}

function runEnd(text: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && isTokenByte(text[at] as number)) at++;
  return at;
}

/** The end of a token without the dots of a sentence behind it. */
function withoutDots(text: Uint8Array, from: number, to: number): number {
  let end = to;
  while (end > from + 1 && text[end - 1] === 0x2e) end--;
  return end;
}

/** The end of a block of PEM with a private key, or of the text where the block has no end; -1 for other blocks. */
function pemEnd(text: Uint8Array, from: number, to: number): number {
  const label = String.fromCharCode(...text.subarray(from, Math.min(to, from + 64)));
  if (!/^-----begin [a-z0-9 ]*private key-----/i.test(label)) return -1;
  for (let at = from + PEM_BEGIN.length; at < to; at++) {
    if (text[at] !== 0x2d || !hasWord(text, at, to, PEM_END)) continue;
    let end = at + PEM_END.length;
    while (end < to && text[end] !== 0x2d) end++;
    while (end < to && text[end] === 0x2d) end++;
    return end;
  }
  return to;
}

function firstBytes(): Uint8Array {
  const table = new Uint8Array(256);
  for (const [prefix] of PREFIXES) table[prefix.charCodeAt(0)] = 1;
  return table;
}
