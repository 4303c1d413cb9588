/**
 * Sets of subjects that remember where their tokens come from: a pattern with named wildcards, so that what a rule or an
 * import takes of a rewritten subject narrows the subject that was published too.
 */

/** A token is text, or the number of a wildcard for one token. */
export type Token = string | number;

/** Tokens, and the number of a wildcard for one or more tokens at the end. */
export interface Term {
  readonly tokens: readonly Token[];
  readonly rest: number | null;
}

/** What wildcards stand for: a token each, and for the last one tokens and what is open behind them. */
export interface Substitution {
  readonly tokens: ReadonlyMap<number, string>;
  readonly rest: { readonly from: number; readonly to: Term } | null;
}

/** Gives wildcards their numbers. */
export class Wildcards {
  #next = 0;

  next(): number {
    this.#next += 1;
    return this.#next;
  }

  /** The term of a pattern, every wildcard its own. */
  term(pattern: string): Term {
    const words = pattern.split(".");
    const open = words[words.length - 1] === ">";
    const tokens = (open ? words.slice(0, -1) : words).map((word) => (word === "*" ? this.next() : word));
    return { tokens, rest: open ? this.next() : null };
  }
}

/** The term with its wildcards replaced. */
export function substitute(term: Term, { tokens, rest }: Substitution): Term {
  const replaced = term.tokens.map((token) =>
    typeof token === "number" ? (tokens.get(token) ?? token) : token,
  );
  if (rest === null || rest.from !== term.rest) return { tokens: replaced, rest: term.rest };
  return { tokens: [...replaced, ...rest.to.tokens], rest: rest.to.rest };
}

/** What the wildcards of a term must stand for so that all its subjects are in `pattern`; `null` when none is. */
export function narrowTo(term: Term, pattern: string, wildcards: Wildcards): Substitution | null {
  const words = pattern.split(".");
  const bound = new Map<number, string>();
  for (const [index, word] of words.entries()) {
    const token = term.tokens[index];
    if (token === undefined) return narrowRest(term, words.slice(index), bound, wildcards);
    if (word === ">") return { tokens: bound, rest: null };
    if (word === "*") continue;
    const value = typeof token === "number" ? bound.get(token) : token;
    if (value === undefined) bound.set(Number(token), word);
    else if (value !== word) return null;
  }
  return term.tokens.length === words.length && term.rest === null ? { tokens: bound, rest: null } : null;
}

/** The open end of a term must stand for the words that are left. */
function narrowRest(
  term: Term,
  words: readonly string[],
  tokens: ReadonlyMap<number, string>,
  wildcards: Wildcards,
): Substitution | null {
  if (term.rest === null) return null;
  return { tokens, rest: { from: term.rest, to: wildcards.term(words.join(".")) } };
}

/** The pattern of a term's subjects; one that holds more where a wildcard stands in it twice. */
export function patternOf({ tokens, rest }: Term): string {
  const words = tokens.map((token) => (typeof token === "number" ? "*" : token));
  return [...words, ...(rest === null ? [] : [">"])].join(".");
}
