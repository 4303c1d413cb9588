/** The functions of conditions, by name and number of arguments; a receiver counts as the first. */
import { fail } from "./failure.ts";
import * as text from "./text.ts";
import {
  dateOf,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  SPAN_PARTS,
  TIME_PARTS,
  zoneOffset,
} from "./time.ts";
import {
  charge,
  Duration,
  isMap,
  MAX_INT,
  type Meter,
  MIN_INT,
  NANOS,
  sizeOf,
  Timestamp,
  type Value,
} from "./values.ts";

/** A function of evaluated arguments. */
export type CelFunction = (args: readonly Value[], meter: Meter) => Value;

type Kind = "string" | "int";
type Typed<K extends Kind> = K extends "string" ? string : bigint;

/** A function of arguments of known types. */
function typed<const K extends readonly Kind[]>(
  kinds: K,
  run: (meter: Meter, ...args: { -readonly [I in keyof K]: Typed<K[I]> }) => Value,
): CelFunction {
  const types = kinds.map((kind) => (kind === "int" ? "bigint" : "string"));
  return (args, meter) => {
    for (let i = 0; i < types.length; i++) if (typeof args[i] !== types[i]) fail("no_such_overload");
    return run(meter, ...(args as never));
  };
}

const size: CelFunction = ([value = null], meter) => {
  if (typeof value === "string") return BigInt(text.length(value, meter));
  if (Array.isArray(value)) return BigInt(value.length);
  if (!isMap(value)) return fail("no_such_overload");
  const members = sizeOf(value);
  charge(meter, members);
  return BigInt(members);
};

const toInt: CelFunction = ([value = null]) => {
  if (typeof value === "bigint") return value;
  // 2^63 itself is what doubles near it are rounded to.
  if (typeof value === "number") {
    return value > -(2 ** 63) && value < 2 ** 63 ? BigInt(Math.trunc(value)) : fail("integer_overflow");
  }
  if (typeof value === "string") {
    if (!/^[+-]?\d{1,20}$/.test(value)) return fail("conversion_failed");
    const exact = BigInt(value.replace("+", ""));
    return exact >= MIN_INT && exact <= MAX_INT ? exact : fail("integer_overflow");
  }
  if (value instanceof Timestamp) {
    const rest = value.nanos % NANOS;
    return (value.nanos - (rest < 0n ? rest + NANOS : rest)) / NANOS;
  }
  return value instanceof Duration ? value.nanos / NANOS : fail("no_such_overload");
};

/** Longest text of a double. */
const MAX_NUMBER = 400;
const NOT_FINITE = /^([+-]?)(?:inf(?:inity)?|nan)$/i;

const toDouble: CelFunction = ([value = null]) => {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "string") return fail("no_such_overload");
  if (value.length > MAX_NUMBER) return fail("conversion_failed");
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) {
    const parsed = Number(value);
    return Number.isFinite(parsed) ? parsed : fail("number_not_exact");
  }
  const word = NOT_FINITE.exec(value);
  if (word === null) return fail("conversion_failed");
  if (/nan$/i.test(value)) return Number.NaN;
  return word[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
};

const toText: CelFunction = ([value = null]) => {
  if (typeof value === "string") return value;
  if (typeof value === "boolean" || typeof value === "bigint") return `${value}`;
  if (typeof value === "number") {
    return Number.isFinite(value) ? `${value}` : Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  }
  if (value instanceof Timestamp) return formatTimestamp(value);
  return value instanceof Duration ? formatDuration(value) : fail("no_such_overload");
};

const TRUTHS: Readonly<Record<string, boolean>> = {
  "1": true,
  t: true,
  true: true,
  TRUE: true,
  True: true,
  "0": false,
  f: false,
  false: false,
  FALSE: false,
  False: false,
};

const toBool: CelFunction = ([value = null]) => {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") return fail("no_such_overload");
  return Object.hasOwn(TRUTHS, value) ? (TRUTHS[value] as boolean) : fail("conversion_failed");
};

const toTimestamp: CelFunction = ([value = null]) => {
  if (value instanceof Timestamp) return value;
  if (typeof value === "bigint") return new Timestamp(value * NANOS);
  return typeof value === "string" ? parseTimestamp(value) : fail("no_such_overload");
};

const toDuration: CelFunction = ([value = null]) => {
  if (value instanceof Duration) return value;
  return typeof value === "string" ? parseDuration(value) : fail("no_such_overload");
};

const join: CelFunction = ([list = null, by = ""], meter) =>
  Array.isArray(list) && typeof by === "string" ? text.join(list, by, meter) : fail("no_such_overload");

function timePart(name: string): CelFunction {
  const part = TIME_PARTS[name] as (date: Date) => number;
  const span = SPAN_PARTS[name];
  return (args) => {
    const [value, zone = "UTC"] = args;
    if (value instanceof Duration && span !== undefined && args.length === 1) return span(value.nanos);
    if (!(value instanceof Timestamp) || typeof zone !== "string") return fail("no_such_overload");
    return BigInt(part(dateOf(value, zoneOffset(zone) ?? fail("conversion_failed"))));
  };
}

const STRING = ["string"] as const;
const STRINGS = ["string", "string"] as const;

/** Called as `name(…)`. */
export const FUNCTIONS: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ["size/1", size],
  ["int/1", toInt],
  ["double/1", toDouble],
  ["string/1", toText],
  ["bool/1", toBool],
  ["timestamp/1", toTimestamp],
  ["duration/1", toDuration],
  ["dyn/1", ([value = null]) => value],
]);

/** Called as `receiver.name(…)`; `matches` stands apart, for its pattern is compiled before. */
export const METHODS: ReadonlyMap<string, CelFunction> = new Map<string, CelFunction>([
  ["size/1", size],
  ["contains/2", typed(STRINGS, (meter, a, b) => text.contains(a, b, meter))],
  ["startsWith/2", typed(STRINGS, (meter, a, b) => text.startsWith(a, b, meter))],
  ["endsWith/2", typed(STRINGS, (meter, a, b) => text.endsWith(a, b, meter))],
  ["indexOf/2", typed(STRINGS, (meter, a, b) => text.indexOf(a, b, 0n, meter))],
  ["indexOf/3", typed([...STRINGS, "int"], (meter, a, b, from) => text.indexOf(a, b, from, meter))],
  ["lastIndexOf/2", typed(STRINGS, (meter, a, b) => text.lastIndexOf(a, b, null, meter))],
  ["lastIndexOf/3", typed([...STRINGS, "int"], (meter, a, b, from) => text.lastIndexOf(a, b, from, meter))],
  ["charAt/2", typed(["string", "int"], (meter, a, at) => text.charAt(a, at, meter))],
  ["substring/2", typed(["string", "int"], (meter, a, from) => text.substring(a, from, null, meter))],
  [
    "substring/3",
    typed(["string", "int", "int"], (meter, a, from, to) => text.substring(a, from, to, meter)),
  ],
  ["replace/3", typed([...STRINGS, "string"], (meter, a, b, c) => text.replace(a, b, c, null, meter))],
  [
    "replace/4",
    typed([...STRINGS, "string", "int"], (meter, a, b, c, most) => text.replace(a, b, c, most, meter)),
  ],
  ["split/2", typed(STRINGS, (meter, a, by) => text.split(a, by, null, meter))],
  ["split/3", typed([...STRINGS, "int"], (meter, a, by, most) => text.split(a, by, most, meter))],
  ["join/1", join],
  ["join/2", join],
  ["lowerAscii/1", typed(STRING, (meter, a) => text.lowerAscii(a, meter))],
  ["upperAscii/1", typed(STRING, (meter, a) => text.upperAscii(a, meter))],
  ["trim/1", typed(STRING, (meter, a) => text.trim(a, meter))],
  ...Object.keys(TIME_PARTS).flatMap((name): [string, CelFunction][] => [
    [`${name}/1`, timePart(name)],
    [`${name}/2`, timePart(name)],
  ]),
]);
