/**
 * Telephone numbers, with spaces, dashes, dots, slashes and brackets between their digits:
 * - international (E.164): `+` and 7 to 15 digits, or `00` and 8 to 15;
 * - national with a `0` in front, as in most of Europe and Asia: 9 to 12 digits with it, but no date;
 * - North American: area code, exchange and line with something between them, a `1` in front or not.
 * Digits without a sign of one of these are no telephone number: they are as often a time or an id.
 */
import { isDigit, separatorLength } from "./bytes.ts";
import type { Hits } from "./hits.ts";

const PLUS = 0x2b;
const OPEN = 0x28;
const CLOSE = 0x29;
const SLASH = 0x2f;
const MOST_DIGITS = 15;

export function findPhones(text: Uint8Array, from: number, to: number, hits: Hits): void {
  for (let at = from; at < to; at++) {
    const byte = text[at] as number;
    const plus = byte === PLUS;
    if (!plus && byte !== OPEN && !isDigit(byte)) continue;
    if (at > from && (isDigit(text[at - 1]) || (!plus && continues(text, from, at)))) continue;
    const end = plus ? internationalEnd(text, at, to) : nationalEnd(text, at, to);
    if (end < 0) continue;
    hits.add(at, end);
    at = end - 1;
  }
}

/** Whether what begins at `at` is the rest of a date, a time, a decimal or a number in groups. */
function continues(text: Uint8Array, from: number, at: number): boolean {
  const before = text[at - 1] as number;
  const joins = before === 0x2d || before === 0x2e || before === 0x2c || before === 0x3a || before === SLASH;
  return joins && at - 2 >= from && isDigit(text[at - 2]);
}

function internationalEnd(text: Uint8Array, from: number, to: number): number {
  const groups = readGroups(text, from + 1, to);
  if (groups.count === 0 || (text[groups.first] as number) === 0x30) return -1;
  return groups.endOf(7, MOST_DIGITS);
}

function nationalEnd(text: Uint8Array, from: number, to: number): number {
  const groups = readGroups(text, from, to);
  if (groups.count === 0) return -1;
  const first = text[groups.first] as number;
  if (first !== 0x30) return northAmericanEnd(text, groups);
  const second = text[groups.first + 1] as number;
  if (second === 0x30) {
    const third = text[groups.first + 2] as number;
    return third >= 0x31 && third <= 0x39 ? groups.endOf(10, MOST_DIGITS + 2) : -1;
  }
  // A zero alone begins a decimal.
  return groups.lengths[0] === 1 || groups.isDate() ? -1 : groups.endOf(9, 12);
}

/** `(415) 555-2671`, `415.555.2671`, `1 415 555 2671`. */
function northAmericanEnd(text: Uint8Array, groups: Groups): number {
  const { lengths } = groups;
  const one = lengths[0] === 1 && text[groups.first] === 0x31 ? 1 : 0;
  if (lengths[one] !== 3 || lengths[one + 1] !== 3 || lengths[one + 2] !== 4) return -1;
  const area = text[groups.starts[one] as number] as number;
  const exchange = text[groups.starts[one + 1] as number] as number;
  return area >= 0x32 && exchange >= 0x32 ? (groups.ends[one + 2] as number) : -1;
}

/** Groups of digits with nothing but separators between them, as far as a telephone number may go. */
class Groups {
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly lengths: number[] = [];

  get count(): number {
    return this.starts.length;
  }

  get first(): number {
    return this.starts[0] as number;
  }

  /** The end of the last group with which there are from `fewest` to `most` digits, or -1. */
  endOf(fewest: number, most: number): number {
    let digits = 0;
    let end = -1;
    for (const [index, length] of this.lengths.entries()) {
      digits += length;
      if (digits >= fewest && digits <= most) end = this.ends[index] as number;
    }
    return end;
  }

  /** Day, month and year. */
  isDate(): boolean {
    return this.lengths[0] === 2 && this.lengths[1] === 2 && this.lengths[2] === 4;
  }
}

function readGroups(text: Uint8Array, from: number, to: number): Groups {
  const groups = new Groups();
  let digits = 0;
  let at = from;
  for (let gap = 0; at < to && digits <= MOST_DIGITS + 2; ) {
    const start = at;
    while (at < to && isDigit(text[at]) && at - start <= MOST_DIGITS + 3) at++;
    if (at > start) {
      groups.starts.push(start);
      groups.ends.push(at);
      groups.lengths.push(at - start);
      digits += at - start;
      gap = 0;
      continue;
    }
    const byte = text[at];
    const length = byte === OPEN || byte === CLOSE || byte === SLASH ? 1 : separatorLength(text, at, to);
    // Such as ` (0)` and ` / `.
    if (length === 0 || ++gap > 3) break;
    at += length;
  }
  return groups;
}
