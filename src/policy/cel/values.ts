/**
 * Values of conditions, as they are while one is evaluated, and what equality and order mean for them.
 * Source: the CEL language definition; where it leaves a choice, what would be a doubtful answer is a failure.
 */
import { fail } from "./failure.ts";

/** A point in time, nanoseconds since 1970. */
export class Timestamp {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    if (nanos < MIN_TIME || nanos > MAX_TIME) fail("time_out_of_range");
    this.nanos = nanos;
  }
}

/** A span of time in nanoseconds, of 64 bits. */
export class Duration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    if (nanos < MIN_INT || nanos > MAX_INT) fail("time_out_of_range");
    this.nanos = nanos;
  }
}

export const MIN_INT = -(2n ** 63n);
export const MAX_INT = 2n ** 63n - 1n;
export const NANOS = 1_000_000_000n;
/** Years 1 to 9999. */
const MIN_TIME = -62_135_596_800n * NANOS;
const MAX_TIME = 253_402_300_800n * NANOS - 1n;

/**
 * What stands for a value that is there and cannot be told: reading it is a failure, asking whether it is there is not.
 */
export const UNREADABLE = {
  /** A JSON integer that 64 bits do not hold, or a number beyond what a double can hold. */
  number: Symbol("number_not_exact"),
  /** A header with several values that differ: receivers differ in which they take. */
  header: Symbol("header_repeated"),
} as const;

/** An int is a `bigint`, a double a `number`, a map a `Map` or an object of JSON, a list an array. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Timestamp
  | Duration
  | readonly unknown[]
  | ReadonlyMap<unknown, unknown>
  | Readonly<Record<string, unknown>>;

/** Counts what an evaluation costs, so that it ends. */
export interface Meter {
  /** Steps left. */
  left: number;
}

/** Takes steps from a meter; a fraction counts as none. */
export function charge(meter: Meter, steps: number): void {
  meter.left -= steps;
  if (meter.left < 0) fail("too_expensive");
}

/** A value out of a list, a map or a variable. */
export function readable(value: unknown): Value {
  if (typeof value === "symbol") fail(value === UNREADABLE.header ? "header_repeated" : "number_not_exact");
  return value as Value;
}

/** Whether a value is a map. */
export function isMap(
  value: Value,
): value is ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Timestamp) &&
    !(value instanceof Duration)
  );
}

/** The value of a key as it is held, or `undefined` where the key is missing. */
export function lookUp(
  map: ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>,
  key: Value,
): unknown {
  if (map instanceof Map) return map.get(keyOf(key));
  // Objects of JSON: a key of another type can never be there, and whoever asks for it means another map.
  if (typeof key !== "string") return fail("no_such_overload");
  return Object.hasOwn(map, key) ? (map as Readonly<Record<string, unknown>>)[key] : undefined;
}

/** A key as maps hold it: numbers of whichever type are one key when they are equal. */
export function keyOf(key: Value): unknown {
  if (typeof key === "number") return Number.isInteger(key) ? BigInt(key) : key;
  if (typeof key === "string" || typeof key === "bigint" || typeof key === "boolean") return key;
  return fail("no_such_overload");
}

/** Names of a map's members. */
export function keysOf(map: ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>): unknown[] {
  return map instanceof Map ? [...map.keys()] : Object.keys(map);
}

/** How many members a map has. */
export function sizeOf(map: ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>): number {
  return map instanceof Map ? map.size : Object.keys(map).length;
}

/** Equality: values of different types differ, but numbers are compared as numbers. */
export function equals(a: Value, b: Value, meter: Meter): boolean {
  if (typeof a === "string" || typeof b === "string") {
    if (typeof a !== typeof b) return false;
    charge(meter, (a as string).length >> 5);
    return a === b;
  }
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b) === 0;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos;
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos;
  if (Array.isArray(a)) return Array.isArray(b) && equalLists(a, b, meter);
  return isMap(b) && equalMaps(a as ReadonlyMap<unknown, unknown>, b, meter);
}

function equalLists(a: readonly unknown[], b: readonly unknown[], meter: Meter): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    charge(meter, 1);
    if (!equals(readable(a[i]), readable(b[i]), meter)) return false;
  }
  return true;
}

function equalMaps(
  a: ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>,
  b: ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>,
  meter: Meter,
): boolean {
  const keys = keysOf(a) as Value[];
  charge(meter, keys.length + sizeOf(b));
  if (keys.length !== sizeOf(b)) return false;
  for (const key of keys) {
    if (typeof key !== "string" && !(b instanceof Map)) return false;
    const there = lookUp(b, key);
    if (there === undefined || !equals(readable(lookUp(a, key)), readable(there), meter)) return false;
  }
  return true;
}

function isNumber(value: Value): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/**
 * Negative, zero, positive, or NaN where a NaN is compared. An int beyond 2^53 and a double so near to it that the int's own
 * double equals it: engines disagree whether they are equal, so this is a failure.
 */
function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (typeof a === typeof b) return a === b ? 0 : a < b ? -1 : a > b ? 1 : Number.NaN;
  const exact = a < b ? -1 : a > b ? 1 : a >= b ? 0 : Number.NaN;
  if (exact !== 0 && Number(a) === Number(b)) fail("number_not_exact");
  return exact;
}

/** The order of two values of one type, as {@linkcode compareNumbers}. */
export function compare(a: Value, b: Value, meter: Meter): number {
  if (isNumber(a) && isNumber(b)) return compareNumbers(a, b);
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b, meter);
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (
    (a instanceof Timestamp && b instanceof Timestamp) ||
    (a instanceof Duration && b instanceof Duration)
  ) {
    return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
  }
  return fail("no_such_overload");
}

/** By code points; the runtime's own order is by halves of them. */
function compareTexts(a: string, b: string, meter: Meter): number {
  const shorter = Math.min(a.length, b.length);
  charge(meter, shorter >> 3);
  let at = 0;
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === shorter) return a.length - b.length;
  return order(a.charCodeAt(at)) - order(b.charCodeAt(at));
}

/** Halves of a surrogate pair belong behind all else. */
function order(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
