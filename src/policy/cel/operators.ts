/** The operators of conditions on evaluated values. */
import { fail } from "./failure.ts";
import {
  charge,
  compare,
  Duration,
  equals,
  isMap,
  keyOf,
  lookUp,
  MAX_INT,
  type Meter,
  MIN_INT,
  readable,
  Timestamp,
  type Value,
} from "./values.ts";

/** An operator of two values. */
export type BinaryOperator = (a: Value, b: Value, meter: Meter) => Value;

function int(value: bigint): bigint {
  return value >= MIN_INT && value <= MAX_INT ? value : fail("integer_overflow");
}

const add: BinaryOperator = (a, b, meter) => {
  if (typeof a === "bigint" && typeof b === "bigint") return int(a + b);
  if (typeof a === "number" && typeof b === "number") return a + b;
  if (typeof a === "string" && typeof b === "string") {
    charge(meter, a.length + b.length);
    return a + b;
  }
  if (Array.isArray(a) && Array.isArray(b)) {
    charge(meter, a.length + b.length);
    return [...a, ...b];
  }
  if (a instanceof Duration) {
    if (b instanceof Duration) return new Duration(a.nanos + b.nanos);
    if (b instanceof Timestamp) return new Timestamp(a.nanos + b.nanos);
  }
  if (a instanceof Timestamp && b instanceof Duration) return new Timestamp(a.nanos + b.nanos);
  return fail("no_such_overload");
};

const subtract: BinaryOperator = (a, b) => {
  if (typeof a === "bigint" && typeof b === "bigint") return int(a - b);
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a instanceof Timestamp) {
    if (b instanceof Timestamp) return new Duration(a.nanos - b.nanos);
    if (b instanceof Duration) return new Timestamp(a.nanos - b.nanos);
  }
  if (a instanceof Duration && b instanceof Duration) return new Duration(a.nanos - b.nanos);
  return fail("no_such_overload");
};

const multiply: BinaryOperator = (a, b) => {
  if (typeof a === "bigint" && typeof b === "bigint") return int(a * b);
  if (typeof a === "number" && typeof b === "number") return a * b;
  return fail("no_such_overload");
};

const divide: BinaryOperator = (a, b) => {
  if (typeof a === "bigint" && typeof b === "bigint") return b === 0n ? fail("division_by_zero") : int(a / b);
  if (typeof a === "number" && typeof b === "number") return a / b;
  return fail("no_such_overload");
};

const remainder: BinaryOperator = (a, b) => {
  if (typeof a !== "bigint" || typeof b !== "bigint") return fail("no_such_overload");
  return b === 0n ? fail("division_by_zero") : a % b;
};

const isIn: BinaryOperator = (a, b, meter) => {
  if (Array.isArray(b)) {
    for (const one of b) {
      charge(meter, 1);
      if (equals(a, readable(one), meter)) return true;
    }
    return false;
  }
  return isMap(b) ? lookUp(b, a) !== undefined : fail("no_such_overload");
};

/** By the name that the syntax tree has for them. */
export const BINARY: Readonly<Record<string, BinaryOperator>> = {
  "==": equals,
  "!=": (a, b, meter) => !equals(a, b, meter),
  "<": (a, b, meter) => (typeof a === "number" && typeof b === "number" ? a < b : compare(a, b, meter) < 0),
  "<=": (a, b, meter) =>
    typeof a === "number" && typeof b === "number" ? a <= b : compare(a, b, meter) <= 0,
  ">": (a, b, meter) => (typeof a === "number" && typeof b === "number" ? a > b : compare(a, b, meter) > 0),
  ">=": (a, b, meter) =>
    typeof a === "number" && typeof b === "number" ? a >= b : compare(a, b, meter) >= 0,
  in: isIn,
  "+": add,
  "-": subtract,
  "*": multiply,
  "/": divide,
  "%": remainder,
};

/** `-a` */
export function negate(a: Value): Value {
  if (typeof a === "bigint") return int(-a);
  return typeof a === "number" ? -a : fail("no_such_overload");
}

/** `!a` */
export function not(a: Value): boolean {
  return typeof a === "boolean" ? !a : fail("no_such_overload");
}

/** `value[key]` */
export function index(value: Value, key: Value): Value {
  if (Array.isArray(value)) {
    if (typeof key !== "bigint" && !(typeof key === "number" && Number.isInteger(key))) {
      return fail("no_such_overload");
    }
    const at = Number(key);
    return at >= 0 && at < value.length ? readable(value[at]) : fail("index_out_of_range");
  }
  if (!isMap(value)) return fail("no_such_overload");
  const found = lookUp(value, key);
  return found === undefined ? fail("no_such_key") : readable(found);
}

/** `value.name`: mostly an object of JSON. */
export function member(value: Value, name: string): Value {
  if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    if (!Object.hasOwn(value, name)) return fail("no_such_key");
    return readable((value as Readonly<Record<string, unknown>>)[name]);
  }
  return index(value, name);
}

/** Whether a map has a member: asks for no value, so it may be one that cannot be read. */
export function hasMember(value: Value, name: string): boolean {
  return isMap(value) ? lookUp(value, name) !== undefined : fail("no_such_overload");
}

/** A map of evaluated members. */
export function makeMap(members: readonly (readonly [Value, Value])[]): ReadonlyMap<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (const [key, value] of members) {
    if (typeof key === "number") return fail("no_such_overload");
    const held = keyOf(key);
    if (map.has(held)) return fail("duplicate_key");
    map.set(held, value);
  }
  return map;
}
