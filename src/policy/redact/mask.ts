/**
 * Masks of texts: `***`, with what `keep` leaves readable. Of a text never more than half stays: where `first` and `last`
 * together are more than half of its characters, all of it is masked. Characters are code points.
 */
import type { Redaction } from "../../model/schema/policy.ts";
import type { Writer } from "./writer.ts";

export type Keep = NonNullable<Extract<Redaction, { with: "mask" }>["keep"]>;

/** Writes what stands for the UTF-8 text `text[from, to)`, as the inside of a JSON string. */
export type WriteText = (text: Uint8Array, from: number, to: number, out: Writer) => void;

const STARS = 3;

/** The mask of a text. */
export function maskText(keep: Keep | undefined): WriteText {
  if (keep === undefined) return maskAll;
  if (keep === "length") return (text, from, to, out) => out.stars(countCharacters(text, from, to));
  if (keep === "domain") return maskLocalPart;
  const { first = 0, last = 0 } = keep;
  return (text, from, to, out) => {
    const shown = first + last;
    if (shown * 2 > countCharacters(text, from, to)) {
      out.stars(STARS);
      return;
    }
    const head = afterCharacters(text, from, to, first);
    const tail = beforeCharacters(text, from, to, last);
    out.escaped(text, from, head);
    out.stars(STARS);
    out.escaped(text, tail, to);
  };
}

function maskAll(_text: Uint8Array, _from: number, _to: number, out: Writer): void {
  out.stars(STARS);
}

function maskLocalPart(text: Uint8Array, from: number, to: number, out: Writer): void {
  out.stars(STARS);
  const domain = domainStart(text, from, to);
  if (domain >= 0) out.escaped(text, domain, to);
}

/** The `@` before the domain of what looks like an e-mail address: one `@`, something before it, a domain name behind it. */
function domainStart(text: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && text[at] !== 0x40) at++;
  if (at === from || at === to) return -1;
  let lastDot = -1;
  for (let i = at + 1; i < to; i++) {
    const byte = text[i] as number;
    if (byte === 0x2e) {
      // No label is empty.
      if (i === at + 1 || lastDot === i - 1) return -1;
      lastDot = i;
    } else if (!isDomainByte(byte)) return -1;
  }
  // `localhost`, a telephone number or a user's handle is no domain.
  return lastDot < 0 || lastDot === to - 1 || isDigit(text[lastDot + 1] as number) ? -1 : at;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isDomainByte(byte: number): boolean {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || isDigit(byte) || byte === 0x2d || byte >= 0x80;
}

const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

function countCharacters(text: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) if (!isContinuation(text[i] as number)) count++;
  return count;
}

/** The place behind the first `count` characters, of which there are as many. */
function afterCharacters(text: Uint8Array, from: number, to: number, count: number): number {
  let left = count;
  let at = from;
  while (at < to && (isContinuation(text[at] as number) || left-- > 0)) at++;
  return at;
}

/** The place of the last `count` characters, of which there are as many. */
function beforeCharacters(text: Uint8Array, from: number, to: number, count: number): number {
  let left = count;
  let at = to;
  while (at > from && left > 0) if (!isContinuation(text[--at] as number)) left--;
  return at;
}
