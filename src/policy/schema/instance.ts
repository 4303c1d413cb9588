/** The payload as a contract sees it: plain values, and beside them the numbers that a double would round. */
import type { PlainPayload } from "../payload.ts";
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
    }
  | { readonly type: "failed"; readonly error: string };

/** What a contract is held against, of a payload that was parsed. */
export function instanceOf({ text, value, repeats, hasNumbers }: PlainPayload): Instance {
  if (repeats) return failed("An object of the payload has two members of one name");
  if (!hasNumbers || !mayRound(text)) return { type: "ok", value, exact: null, rootExact: null };
  return findRounded(text);
}

function failed(error: string): { readonly type: "failed"; readonly error: string } {
  return { type: "failed", error };
}

/** Whether an object has a member that is named as a part of every JavaScript object is, such as `constructor`. */
export function hasSpecialName(root: unknown): boolean {
  const open = [root];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== "object" || next === null) continue;
    if (Array.isArray(next)) for (const value of next) open.push(value);
    else {
      for (const [name, value] of Object.entries(next)) {
        if (name in Object.prototype) return true;
        open.push(value);
      }
    }
  }
  return false;
}

/** Parses once more, with the text of each number (ECMAScript 2026, `JSON.parse` source text access). */
function findRounded(text: string): Instance {
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
