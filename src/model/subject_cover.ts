/** Whether patterns together hold all subjects of another: exact, although no pattern says "any token but b". */
import { includes } from "./subject.ts";

/** A token that no pattern names: tokens are without bound, so there always is one. */
const FRESH = "\u0000";

/**
 * A subject of `pattern` that none of `cuts` holds, with `*` where any token that the patterns do not name will do; `null`
 * when together they hold all of it.
 *
 * A token that no cut names is in no more cuts than any other token, so for each length one subject speaks for all of that
 * length; and beyond the longest cut all lengths are alike.
 */
export function outsideOf(pattern: string, cuts: readonly string[]): string | null {
  const tokens = pattern.split(".").map((token) => (token === "*" ? FRESH : token));
  const open = tokens[tokens.length - 1] === ">";
  const head = open ? tokens.slice(0, -1) : tokens;
  const longest = open ? Math.max(head.length, ...cuts.map((cut) => cut.split(".").length)) + 1 : head.length;
  for (let length = open ? head.length + 1 : head.length; length <= longest; length++) {
    const subject = [...head, ...Array<string>(length - head.length).fill(FRESH)].join(".");
    if (!cuts.some((cut) => includes(cut, subject))) return subject.replaceAll(FRESH, "*");
  }
  return null;
}
