/** What a rule makes of subjects: the seam between the flow of subjects and rules that rewrite them. */
import type { Rule } from "../../model/schema/policy.ts";
import type { Term, Token } from "./terms.ts";

/**
 * What a rule stores the subjects of `term` under, all of which are in the rule's pattern `pattern`. Wildcards keep what they
 * stand for, so nothing is widened.
 */
export type RewriteTerm = (rule: Rule, pattern: string, term: Term) => Term;

/** What rules do. */
export const rewriteOf: RewriteTerm = (_rule, _pattern, term) => term;

/** `term` as `target` writes it: its wildcards stand, in order, for what the wildcards of `pattern` hold. */
export function rewriteByOrder(pattern: string, target: string, term: Term): Term {
  const words = pattern.split(".");
  const held = words.flatMap((word, index) => {
    const token = term.tokens[index];
    return word === "*" && token !== undefined ? [token] : [];
  });
  const tokens: Token[] = [];
  let next = 0;
  for (const word of target.split(".")) {
    if (word === ">") {
      const from = words.indexOf(">");
      return { tokens: [...tokens, ...term.tokens.slice(from)], rest: term.rest };
    }
    tokens.push(word === "*" ? (held[next++] ?? word) : word);
  }
  return { tokens, rest: null };
}
