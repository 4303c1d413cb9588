/**
 * Subject rewrite: what an exported event is called at the peer. A rewrite is a subject in which `*` stands for the next
 * wildcard of the pattern that matched, `$2` or `{{wildcard(2)}}` for its second one, and a last `>` for what its `>` holds.
 * Source of the second form: https://docs.nats.io/nats-concepts/subject_mapping
 */
import type { Rule } from "../model/schema/policy.ts";
import { patternProblem } from "../model/subject.ts";
import { SubjectMatcher } from "./match.ts";

type Token =
  | { readonly type: "text"; readonly text: string }
  /** The wildcard of this place among the pattern's, from 0. */
  | { readonly type: "wildcard"; readonly index: number }
  | { readonly type: "rest" };

/** A parsed rewrite. */
export interface RewriteTemplate {
  readonly tokens: readonly Token[];
  /** How many wildcards a pattern must have. */
  readonly wildcards: number;
  readonly rest: boolean;
}

export type ParsedRewrite =
  | { readonly type: "ok"; readonly template: RewriteTemplate }
  | { readonly type: "invalid"; readonly problem: string };

/** Longer subjects are no subjects that a view takes. Bytes of UTF-8. */
const MAX_OUTPUT_BYTES = 3_840;

/** Parses the text of a rewrite. */
export function parseRewrite(text: string): ParsedRewrite {
  const problem = patternProblem(text);
  if (problem !== null) return { type: "invalid", problem };
  const tokens: Token[] = [];
  let stars = 0;
  let numbered = false;
  for (const token of text.split(".")) {
    const number = /^\$(\d+)$/.exec(token)?.[1] ?? /^\{\{wildcard\((\d+)\)\}\}$/i.exec(token)?.[1];
    if (token === "*") tokens.push({ type: "wildcard", index: stars++ });
    else if (token === ">") tokens.push({ type: "rest" });
    else if (number !== undefined) {
      if (Number(number) < 1) return { type: "invalid", problem: `counts wildcards from 1, not '${token}'` };
      tokens.push({ type: "wildcard", index: Number(number) - 1 });
      numbered = true;
    } else if (token.includes("$") || token.includes("{{") || token.includes("}}")) {
      const expected = "a wildcard stands alone, as *, $1 or {{wildcard(1)}}";
      return {
        type: "invalid",
        problem: `has a token '${token}' that is neither text nor a wildcard (${expected})`,
      };
    } else tokens.push({ type: "text", text: token });
  }
  if (stars > 0 && numbered)
    return { type: "invalid", problem: "has '*' beside numbered wildcards: number all of them" };
  const indexes = tokens.map((token) => (token.type === "wildcard" ? token.index + 1 : 0));
  const template = { tokens, wildcards: Math.max(0, ...indexes), rest: tokens.at(-1)?.type === "rest" };
  return { type: "ok", template };
}

/** Why a rewrite cannot be filled from what `pattern` holds; `null` when it can. */
export function patternLacks(template: RewriteTemplate, pattern: string): string | null {
  const tokens = pattern.split(".");
  const wildcards = tokens.filter((token) => token === "*").length;
  if (wildcards < template.wildcards) {
    const has = wildcards === 0 ? "none" : String(wildcards);
    return `takes wildcard ${template.wildcards}, and '${pattern}' has ${has}`;
  }
  return template.rest && tokens.at(-1) !== ">" ? `ends with '>', and '${pattern}' does not` : null;
}

/** The pattern of the subjects that events leave under. */
export function outputPattern(template: RewriteTemplate): string {
  return template.tokens
    .map((token) => (token.type === "text" ? token.text : token.type === "wildcard" ? "*" : ">"))
    .join(".");
}

/** One pattern of a rule, and the pattern of the subjects that its events leave under. */
export interface Renamed {
  readonly input: string;
  readonly output: string;
}

/** What each pattern of a rule becomes; itself where the rule does not rewrite. Empty for a rule that denies. */
export function outputsOf(rule: Rule): Renamed[] {
  if (rule.deny) return [];
  const parsed = rule.rewrite === undefined ? null : parseRewrite(rule.rewrite);
  return rule.subjects.map((input) => ({
    input,
    output: parsed?.type === "ok" ? outputPattern(parsed.template) : input,
  }));
}

/** Rewrites the subjects of one rule. */
export interface Rewriter {
  /** The subject that an event leaves under; `null` when that would be no subject that a view takes. */
  apply(subject: string): string | null;
}

/** Compiles the rewrite of a rule that was checked. The first of the patterns that matches gives the wildcards. */
export function compileRewrite(text: string, subjects: readonly string[]): Rewriter {
  const parsed = parseRewrite(text);
  if (parsed.type === "invalid") return { apply: () => null };
  const patterns = subjects.map((pattern) => new PatternRewriter(pattern, parsed.template));
  return {
    apply: (subject) => {
      for (const one of patterns) if (one.matcher.matches(subject)) return one.apply(subject);
      return null;
    },
  };
}

class PatternRewriter {
  readonly matcher: SubjectMatcher;
  /** Places of the pattern's wildcards among its tokens. */
  readonly #places: readonly number[];
  /** How many tokens stand before its `>`. */
  readonly #head: number;
  readonly #template: RewriteTemplate;

  constructor(pattern: string, template: RewriteTemplate) {
    const tokens = pattern.split(".");
    this.matcher = new SubjectMatcher(pattern);
    this.#places = tokens.flatMap((token, place) => (token === "*" ? [place] : []));
    this.#head = tokens.length - 1;
    this.#template = template;
  }

  apply(subject: string): string | null {
    const given = subject.split(".");
    let out = "";
    for (const token of this.#template.tokens) {
      let text: string | undefined;
      if (token.type === "text") text = token.text;
      else if (token.type === "wildcard") text = given[this.#places[token.index] ?? -1];
      else text = given.slice(this.#head).join(".");
      if (text === undefined || text === "") return null;
      out += out === "" ? text : `.${text}`;
    }
    // Three bytes are the most for one unit of UTF-16.
    if (out.length * 3 <= MAX_OUTPUT_BYTES) return out;
    return new TextEncoder().encode(out).length <= MAX_OUTPUT_BYTES ? out : null;
  }
}
