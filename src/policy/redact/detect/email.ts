/**
 * E-mail addresses: what may stand before an `@` (RFC 5321 with RFC 6531: also beyond ASCII, also in quotes), and behind it a
 * domain of at least two labels whose last one begins with a letter, or an address in brackets. `%40`, as in URLs, is an `@`.
 */
import { isDigit, isHex, isLetter, isLocal, isWord } from "./bytes.ts";
import type { Hits } from "./hits.ts";

const AT = 0x40;
const PERCENT = 0x25;
const QUOTE = 0x22;
const DOT = 0x2e;
/** RFC 5321 has 64 bytes; what is longer is followed this far. */
const MOST_LOCAL_BYTES = 256;

export function findEmails(text: Uint8Array, from: number, to: number, hits: Hits): void {
  for (let at = from; at < to; at++) {
    const byte = text[at];
    let domain: number;
    if (byte === AT) domain = at + 1;
    else if (byte === PERCENT && at + 2 < to && text[at + 1] === 0x34 && text[at + 2] === 0x30)
      domain = at + 3;
    else continue;
    const end = domainEnd(text, domain, to);
    if (end < 0) continue;
    const start = localStart(text, from, at);
    if (start < at) hits.add(start, end);
  }
}

function localStart(text: Uint8Array, from: number, at: number): number {
  const bound = Math.max(from, at - MOST_LOCAL_BYTES);
  let start = at;
  if (at > from && text[at - 1] === QUOTE) {
    start--;
    while (start > bound && text[start - 1] !== QUOTE) start--;
    return start > bound ? start - 1 : at - 1;
  }
  while (start > bound && isLocal(text[start - 1])) start--;
  // Quotation marks and Markdown around an address are no part of it.
  while (start < at && (text[start] === 0x27 || text[start] === 0x60 || text[start] === 0x2a)) start++;
  return start;
}

function domainEnd(text: Uint8Array, from: number, to: number): number {
  if (text[from] === 0x5b && from < to) return bracketEnd(text, from, to);
  let end = -1;
  let label = from;
  let labels = 0;
  for (let at = from; at <= to; at++) {
    const byte = at < to ? (text[at] as number) : 0;
    if (byte !== DOT && (isWord(byte) || byte === 0x2d || byte === 0x5f || byte >= 0x80)) continue;
    if (at === label) return end;
    labels++;
    const labelled = topLabelEnd(text, label, at);
    if (labels > 1 && labelled > 0) end = labelled;
    if (byte !== DOT) return end;
    label = at + 1;
  }
  return end;
}

/** The end of a label that may be the last one of a domain, or -1. What follows ASCII letters in another script is text. */
function topLabelEnd(text: Uint8Array, from: number, to: number): number {
  const first = text[from] as number;
  if (isDigit(first) || first === 0x2d) return -1;
  let end = to;
  if (isLetter(first)) {
    end = from;
    while (end < to && (text[end] as number) < 0x80) end++;
  }
  while (end > from && text[end - 1] === 0x2d) end--;
  return end - from >= 2 ? end : -1;
}

function bracketEnd(text: Uint8Array, from: number, to: number): number {
  const most = Math.min(to, from + 64);
  for (let at = from + 1; at < most; at++) {
    const byte = text[at] as number;
    if (byte === 0x5d) return at > from + 3 ? at + 1 : -1;
    // IPv4, or `IPv6:` and an address.
    if (!isHex(byte) && byte !== 0x2e && byte !== 0x3a && !/[IPVv]/.test(String.fromCharCode(byte)))
      return -1;
  }
  return -1;
}
