/** String functions of conditions. Places and lengths are counted in code points. */
import { RE2JS } from "re2js";
import { fail } from "./failure.ts";
import { charge, type Meter } from "./values.ts";

/** Longest pattern of `matches`. */
const MAX_PATTERN = 512;
/** Most instructions of a compiled pattern. */
const MAX_PROGRAM = 2000;

/** How many code points a text has. */
export function length(text: string, meter: Meter): number {
  charge(meter, text.length);
  let count = text.length;
  for (let i = 0; i + 1 < text.length; i++) if (startsPair(text, i)) count--;
  return count;
}

function startsPair(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdbff) return false;
  const next = text.charCodeAt(at + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}

/** Where a code point begins; the end of the text for the count of its code points. */
function unitOf(text: string, point: bigint, meter: Meter): number {
  charge(meter, text.length);
  if (point < 0n || point > BigInt(text.length)) return fail("index_out_of_range");
  let unit = 0;
  for (let left = Number(point); left > 0; left--) {
    if (unit >= text.length) return fail("index_out_of_range");
    unit += startsPair(text, unit) ? 2 : 1;
  }
  return unit;
}

function pointOf(text: string, unit: number, meter: Meter): bigint {
  return unit < 0 ? -1n : BigInt(length(text.slice(0, unit), meter));
}

/** What is searched for; half a surrogate pair would be found where no character is. */
function wanted(text: string, meter: Meter): string {
  charge(meter, text.length >> 3);
  return text.isWellFormed() ? text : fail("text_malformed");
}

/** `contains` */
export function contains(text: string, part: string, meter: Meter): boolean {
  charge(meter, text.length >> 3);
  return text.includes(wanted(part, meter));
}

/** `startsWith` */
export function startsWith(text: string, part: string, meter: Meter): boolean {
  return text.startsWith(wanted(part, meter));
}

/** `endsWith` */
export function endsWith(text: string, part: string, meter: Meter): boolean {
  return text.endsWith(wanted(part, meter));
}

/** `indexOf` */
export function indexOf(text: string, part: string, from: bigint, meter: Meter): bigint {
  return pointOf(text, text.indexOf(wanted(part, meter), unitOf(text, from, meter)), meter);
}

/** `lastIndexOf`; `null`: from the end */
export function lastIndexOf(text: string, part: string, from: bigint | null, meter: Meter): bigint {
  const start = from === null ? text.length : unitOf(text, from, meter);
  charge(meter, text.length);
  return pointOf(text, text.lastIndexOf(wanted(part, meter), start), meter);
}

/** `charAt`; empty at the end */
export function charAt(text: string, at: bigint, meter: Meter): string {
  const unit = unitOf(text, at, meter);
  return unit >= text.length ? "" : text.slice(unit, unit + (startsPair(text, unit) ? 2 : 1));
}

/** `substring`; `null`: to the end */
export function substring(text: string, from: bigint, to: bigint | null, meter: Meter): string {
  const start = unitOf(text, from, meter);
  if (to === null) return text.slice(start);
  if (to < from) return fail("index_out_of_range");
  return text.slice(start, unitOf(text, to, meter));
}

/** `replace`; `null`: all */
export function replace(text: string, old: string, by: string, most: bigint | null, meter: Meter): string {
  const part = wanted(old, meter);
  if (part === "") return fail("no_such_overload");
  charge(meter, text.length);
  const pieces: string[] = [];
  let rest = 0;
  let left = most === null || most < 0n ? Number.POSITIVE_INFINITY : Number(most);
  for (let at = text.indexOf(part); at >= 0 && left > 0; at = text.indexOf(part, rest)) {
    charge(meter, by.length + 1);
    pieces.push(text.slice(rest, at), by);
    rest = at + part.length;
    left--;
  }
  pieces.push(text.slice(rest));
  return pieces.join("");
}

/** `split`; `null`: all */
export function split(text: string, by: string, most: bigint | null, meter: Meter): string[] {
  charge(meter, text.length);
  const part = wanted(by, meter);
  if (most === 0n) return [];
  // Into code points, not into halves of them.
  const pieces = part === "" ? [...text] : text.split(part);
  if (most === null || most < 0n || pieces.length <= most) return pieces;
  const whole = Number(most) - 1;
  return [...pieces.slice(0, whole), pieces.slice(whole).join(part)];
}

/** `join` */
export function join(list: readonly unknown[], by: string, meter: Meter): string {
  for (const one of list) {
    if (typeof one !== "string") fail("no_such_overload");
    charge(meter, one.length + by.length + 1);
  }
  return list.join(by);
}

/** `lowerAscii` */
export function lowerAscii(text: string, meter: Meter): string {
  charge(meter, text.length);
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** `upperAscii` */
export function upperAscii(text: string, meter: Meter): string {
  charge(meter, text.length);
  return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

/** White space of Unicode, which is not quite that of the runtime's own `trim`. */
const SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const BEFORE = new RegExp(`^[${SPACE}]+`);
const IS_SPACE = new RegExp(`[${SPACE}]`);

/** `trim` */
export function trim(text: string, meter: Meter): string {
  charge(meter, text.length);
  const rest = text.replace(BEFORE, "");
  let end = rest.length;
  while (end > 0 && IS_SPACE.test(rest.charAt(end - 1))) end--;
  return rest.slice(0, end);
}

/** A pattern of `matches`, ready to run. */
export type Pattern =
  | { readonly type: "ok"; readonly test: (text: string, meter: Meter) => boolean }
  | { readonly type: "invalid"; readonly problem: string };

/** Compiles a pattern of RE2, whose time grows with the text only. */
export function compilePattern(pattern: string): Pattern {
  if (pattern.length > MAX_PATTERN) {
    return { type: "invalid", problem: `the pattern of 'matches' is longer than ${MAX_PATTERN} characters` };
  }
  try {
    const compiled = RE2JS.compile(pattern);
    const size = compiled.programSize();
    if (size > MAX_PROGRAM) {
      return { type: "invalid", problem: "the pattern of 'matches' is too large: lower its repetitions" };
    }
    // Each character may be held against each instruction.
    const perUnit = 1 + (size >> 2);
    return {
      type: "ok",
      test: (text, meter) => {
        charge(meter, (text.length + 1) * perUnit);
        return compiled.matcher(text).find();
      },
    };
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : "it is no pattern of RE2";
    return { type: "invalid", problem: `the pattern of 'matches' does not compile: ${reason}` };
  }
}
