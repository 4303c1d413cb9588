/**
 * Detectors of one's own, by patterns of RE2 that run in linear time. A pattern is bounded in length and in the size of its
 * program when the policy is written, and for each payload in the work it may take: the bytes that are looked at times the size of
 * the program. A payload that would take more is not let through.
 */
import { RE2JS } from "re2js";
import type { CustomDetector } from "../../../model/schema/redaction.ts";
import type { Hits } from "./hits.ts";

/** Largest program; `[a-z]{64}` has 65 instructions, and so has `(ab){32}`. */
export const MOST_INSTRUCTIONS = 512;
/** Instructions times bytes for one payload. */
const MOST_WORK = 2 ** 27;

/** What patterns may still take for the payload at hand. */
export class Budget {
  left = MOST_WORK;

  reset(): void {
    this.left = MOST_WORK;
  }
}

/** What is wrong with a pattern; `null` when nothing is. */
export function patternProblem({ name, pattern }: CustomDetector): string | null {
  const compiled = compile(pattern);
  if (typeof compiled === "string")
    return `Pattern '${pattern}' of detector '${name}' does not compile: ${compiled}`;
  const size = compiled.programSize();
  if (size > MOST_INSTRUCTIONS) {
    return `Pattern '${pattern}' of detector '${name}' takes ${size} instructions, expected at most ${MOST_INSTRUCTIONS}: repeat less`;
  }
  if (compiled.matches("")) return `Pattern '${pattern}' of detector '${name}' matches an empty text`;
  return null;
}

/** Adds what a pattern finds in `text[from, to)`; `false` when the budget does not last. */
export type FindCustom = (text: Uint8Array, from: number, to: number, hits: Hits, budget: Budget) => boolean;

/** Compiles a pattern that `patternProblem` has nothing against. */
export function customDetector({ pattern }: CustomDetector): FindCustom {
  const compiled = RE2JS.compile(pattern);
  const size = compiled.programSize();
  return (text, from, to, hits, budget) => {
    const matcher = compiled.matcher(text.subarray(from, to));
    for (let at = from; ; ) {
      // Any search may go on to the end of the text, whatever it finds.
      budget.left -= (to - at + 1) * size;
      if (budget.left < 0) return false;
      if (!matcher.find()) return true;
      const start = from + matcher.start();
      at = from + matcher.end();
      if (at > start) hits.add(start, at);
    }
  };
}

function compile(pattern: string): RE2JS | string {
  try {
    return RE2JS.compile(pattern);
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : "it is no pattern of RE2";
  }
}
