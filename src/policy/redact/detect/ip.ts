/**
 * IP addresses: IPv4 as four numbers up to 255, and IPv6 in every form of RFC 4291. `::` alone is none, nor is what a letter, a
 * digit or a further number touches.
 */
import { isDigit, isHex, isWord } from "./bytes.ts";
import type { Hits } from "./hits.ts";

const DOT = 0x2e;
const COLON = 0x3a;
/** Longest text of an IPv6 address. */
const MOST_V6 = 45;

export function findIps(text: Uint8Array, from: number, to: number, hits: Hits): void {
  for (let at = from; at < to; at++) {
    const byte = text[at] as number;
    if (byte === DOT) {
      // Looked at from its first dot.
      const start = digitsBefore(text, from, at);
      if (start === at || (start > from && text[start - 1] === DOT && isDigit(text[start - 2]))) continue;
      const end = v4End(text, start, to);
      if (end > 0 && !(text[end] === DOT && end + 1 < to && isDigit(text[end + 1]))) hits.add(start, end);
    } else if (byte === COLON) {
      const start = hexBefore(text, from, at);
      const run = v6Run(text, start, to);
      if (!(start > from && isWord(text[start - 1])) && !(run < to && isWord(text[run]))) {
        const end = v6End(text, start, run);
        if (end > 0) hits.add(start, end);
      }
      at = Math.max(at, run - 1);
    }
  }
}

function digitsBefore(text: Uint8Array, from: number, at: number): number {
  let start = at;
  while (start > from && at - start < 4 && isDigit(text[start - 1])) start--;
  return start;
}

function hexBefore(text: Uint8Array, from: number, at: number): number {
  let start = at;
  while (start > from && at - start < 5 && isHex(text[start - 1])) start--;
  return start;
}

/** The end of the IPv4 address that begins at `from`, or -1. */
function v4End(text: Uint8Array, from: number, to: number): number {
  let at = from;
  for (let part = 0; part < 4; part++) {
    let value = 0;
    const start = at;
    while (at < to && at - start < 4 && isDigit(text[at])) value = value * 10 + (text[at++] as number) - 0x30;
    if (at === start || at - start > 3 || value > 255) return -1;
    if (part === 3) return at;
    if (at >= to || text[at++] !== DOT) return -1;
  }
  return -1;
}

/** Where a run of the characters of IPv6 addresses ends. */
function v6Run(text: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && (isHex(text[at]) || text[at] === COLON || text[at] === DOT)) at++;
  return at;
}

/** The end of the IPv6 address `[from, to)`, a dot or colon at its end not counted; or -1. */
function v6End(text: Uint8Array, from: number, to: number): number {
  let end = to;
  while (end > from && (text[end - 1] === DOT || (text[end - 1] === COLON && text[end - 2] !== COLON))) end--;
  if (end - from > MOST_V6 || end - from < 3) return -1;
  let groups = 0;
  let gap = false;
  let at = from;
  if (text[at] === COLON) {
    if (text[at + 1] !== COLON) return -1;
    gap = true;
    at += 2;
  }
  while (at < end) {
    const start = at;
    while (at < end && isHex(text[at])) at++;
    if (text[at] === DOT && at < end) {
      // The last two groups as an IPv4 address.
      if (v4End(text, start, end) !== end) return -1;
      groups += 2;
      at = end;
      break;
    }
    if (at === start || at - start > 4) return -1;
    groups++;
    if (at === end) break;
    at++;
    if (at < end && text[at] === COLON) {
      if (gap) return -1;
      gap = true;
      at++;
    } else if (at === end) return -1;
  }
  return (gap ? groups < 8 : groups === 8) ? end : -1;
}
