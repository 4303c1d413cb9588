/** The payload as a contract sees it: plain values, and beside them the numbers that a double would round. */
import { type Decimal, decimalOf, isInteger, mayRound, parseDecimal } from "./numbers.ts";

/** Numbers that a double rounds, by the object or list that holds them and the place there. */
export type ExactNumbers = ReadonlyMap<object, ReadonlyMap<string, Decimal>>;

export type Instance =
  | {
      readonly type: "ok";
      readonly value: unknown;
      /** `null`: every number is what it was written as. */
      readonly exact: ExactNumbers | null;
      /** The same for a payload that is itself a number. */
      readonly rootExact: Decimal | null;
      /** An object has a member that is named as a part of every JavaScript object is, such as `constructor`. */
      readonly special: boolean;
    }
  | { readonly type: "failed"; readonly error: string };

/**
 * Parses a text that is known to be JSON.
 * @param members how many members its objects have
 */
export function parseInstance(text: string, members: number): Instance {
  const value: unknown = JSON.parse(text);
  const seen = inspect(value);
  if (seen.members !== members) return failed("An object of the payload has two members of one name");
  const plain = { type: "ok", value, exact: null, rootExact: null, special: seen.special } as const;
  if (!seen.numbers || !mayRound(text)) return plain;
  const found = findRounded(text);
  return found.type === "failed" ? found : { ...found, special: seen.special };
}

function failed(error: string): { readonly type: "failed"; readonly error: string } {
  return { type: "failed", error };
}

/** Counts members, and looks for numbers and special names, without recursion. */
function inspect(root: unknown): { members: number; special: boolean; numbers: boolean } {
  let members = 0;
  let special = false;
  let numbers = typeof root === "number";
  const open: object[] = typeof root === "object" && root !== null ? [root] : [];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (Array.isArray(next)) {
      for (const value of next) {
        if (typeof value === "object" && value !== null) open.push(value);
        else if (typeof value === "number") numbers = true;
      }
      continue;
    }
    const object = next as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(object)) {
      members++;
      if (name in Object.prototype) special = true;
      const value = object[name];
      if (typeof value === "object" && value !== null) open.push(value);
      else if (typeof value === "number") numbers = true;
    }
  }
  return { members, special, numbers };
}

type Rounded =
  | {
      readonly type: "ok";
      readonly value: unknown;
      readonly exact: ExactNumbers;
      readonly rootExact: Decimal | null;
    }
  | { readonly type: "failed"; readonly error: string };

/** Parses once more, with the text of each number (ECMAScript 2026, `JSON.parse` source text access). */
function findRounded(text: string): Rounded {
  const exact = new Map<object, Map<string, Decimal>>();
  let broken = false;
  const note = function (this: unknown, key: string, value: unknown, context?: { readonly source?: string }) {
    if (typeof value !== "number") return value;
    const source = context?.source ?? "";
    const decimal = parseDecimal(source);
    // What no double comes near, or what would be an integer by rounding alone, is not what the validator would see.
    if (decimal === null || !Number.isFinite(value) || Number.isInteger(value) !== isInteger(decimal)) {
      broken = true;
      return value;
    }
    const seen = decimalOf(value);
    if (seen.digits === decimal.digits && seen.exponent === decimal.exponent) return value;
    const holder = this as object;
    const members = exact.get(holder) ?? new Map<string, Decimal>();
    exact.set(holder, members.set(key, decimal));
    return value;
  };
  // The types do not know of the third parameter yet.
  const value: unknown = JSON.parse(text, note as (this: unknown, key: string, value: unknown) => unknown);
  if (broken) return failed("A number of the payload is beyond what a validator can hold exactly");
  const rootExact = typeof value === "number" ? ([...exact.values()][0]?.get("") ?? null) : null;
  return { type: "ok", value, exact, rootExact };
}
