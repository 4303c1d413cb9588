/** What a rule makes of subjects: the seam between the flow of subjects and rules that rewrite them. */
import type { Rule } from "../../model/schema/policy.ts";
import { parseRewrite } from "../rewrite.ts";
import type { Term, Token } from "./terms.ts";

/**
 * What a rule stores the subjects of `term` under, all of which are in the rule's pattern `pattern`. Wildcards keep what they
 * stand for, so nothing is widened.
 */
export type RewriteTerm = (rule: Rule, pattern: string, term: Term) => Term;

/** What rules do: a `rewrite` takes the wildcards of the pattern that matched, all else leaves subjects as they are. */
export const rewriteOf: RewriteTerm = (rule, pattern, term) => {
  if (rule.rewrite === undefined) return term;
  const parsed = parseRewrite(rule.rewrite);
  // A site refuses such a rule.
  if (parsed.type === "invalid") return term;
  const words = pattern.split(".");
  const held = words.flatMap((word, place) => (word === "*" ? (term.tokens[place] ?? []) : []));
  const tokens: Token[] = [];
  for (const part of parsed.template.tokens) {
    if (part.type === "rest")
      return { tokens: [...tokens, ...term.tokens.slice(words.length - 1)], rest: term.rest };
    const token = part.type === "text" ? part.text : held[part.index];
    if (token !== undefined) tokens.push(token);
  }
  return { tokens, rest: null };
};
