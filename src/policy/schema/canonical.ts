/** One text for each JSON value: equal values, in the sense of JSON Schema, have the same. */

import type { ExactNumbers } from "./instance.ts";
import { decimalOf, decimalText } from "./numbers.ts";

/** Numbers count by their value, members in any order. */
export function canonicalJson(value: unknown, exact: ExactNumbers | null): string {
  // What is no safe integer never equals one.
  if (Number.isSafeInteger(value)) return String(value);
  if (typeof value === "number") return decimalText(decimalOf(value));
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const numbers = exact?.get(value);
  const text = (key: string, inner: unknown) => {
    const rounded = typeof inner === "number" ? numbers?.get(key) : undefined;
    return rounded === undefined ? canonicalJson(inner, exact) : decimalText(rounded);
  };
  if (Array.isArray(value)) return `[${value.map((one, i) => text(String(i), one)).join(",")}]`;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${text(name, inner)}`).join(",")}}`;
}
