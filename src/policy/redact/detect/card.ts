/**
 * Payment cards: 13 to 19 digits that begin with 2 to 9 and have a right check digit (ISO/IEC 7812, Luhn), in one or in groups of
 * three digits or more (the last one of any length) with one space, dash or dot between them.
 */
import { isDigit, separatorLength } from "./bytes.ts";
import type { Hits } from "./hits.ts";

const FEWEST = 13;
const MOST = 19;

export function findCards(text: Uint8Array, from: number, to: number, hits: Hits): void {
  const digits = new Uint8Array(MOST);
  for (let at = from; at < to; at++) {
    const first = text[at] as number;
    if (!isDigit(first) || (at > from && isDigit(text[at - 1]))) continue;
    if (first >= 0x32) {
      const end = cardEnd(text, at, to, digits);
      if (end > 0) {
        hits.add(at, end);
        at = end - 1;
      }
    }
  }
}

/** The end of the longest card that begins at `from`, or -1. */
function cardEnd(text: Uint8Array, from: number, to: number, digits: Uint8Array): number {
  let end = -1;
  let count = 0;
  let group = 0;
  for (let at = from; at < to; ) {
    const byte = text[at];
    if (isDigit(byte)) {
      if (count === MOST) return end;
      digits[count++] = (byte as number) - 0x30;
      group++;
      at++;
      if (at < to && isDigit(text[at])) continue;
      if (count >= FEWEST && isLuhn(digits, count)) end = at;
      continue;
    }
    const separator = separatorLength(text, at, to);
    if (separator === 0 || group < 3) return end;
    group = 0;
    at += separator;
    if (!isDigit(text[at])) return end;
  }
  return end;
}

function isLuhn(digits: Uint8Array, count: number): boolean {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const digit = digits[count - 1 - i] as number;
    if (i % 2 === 0) sum += digit;
    else sum += digit > 4 ? digit * 2 - 9 : digit * 2;
  }
  return sum % 10 === 0;
}
