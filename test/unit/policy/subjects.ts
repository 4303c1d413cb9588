/** A small world of subjects and patterns, with a matcher so simple that it is right. */
import fc from "fast-check";

/** Tokens that subjects are made of; `zz` never stands in a pattern, so it plays every other token. */
const TOKENS = ["t", "a", "b", "zz"];
const LITERALS = ["t", "a", "b"];

export const seeded = { seed: 20_260_101, numRuns: 400 } as const;

/** All subjects of one to `length` tokens. */
export function allSubjects(length: number): string[] {
  let last = [""];
  const all: string[] = [];
  for (let i = 0; i < length; i++) {
    last = last.flatMap((head) => TOKENS.map((token) => (head === "" ? token : `${head}.${token}`)));
    all.push(...last);
  }
  return all;
}

/** Patterns of up to three tokens and perhaps a `>`, such as `t.*.b.>`. */
export const pattern: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.constantFrom(...LITERALS, "*", "*"), { maxLength: 3 }), fc.boolean())
  .map(([tokens, open]) => [...tokens, ...(open || tokens.length === 0 ? [">"] : [])].join("."));

/** Patterns in the namespace of a tenant named `t`. */
export const tenantPattern: fc.Arbitrary<string> = fc
  .tuple(fc.array(fc.constantFrom(...LITERALS, "*", "*"), { maxLength: 2 }), fc.boolean())
  .map(([tokens, open]) => ["t", ...tokens, ...(open || tokens.length === 0 ? [">"] : [])].join("."));

/** Whether a subject is in a pattern, by a regular expression. */
export function bruteMatch(one: string, subject: string): boolean {
  const source = one
    .split(".")
    .map((token) => (token === ">" ? ".+" : token === "*" ? "[^.]+" : token))
    .join("\\.");
  return new RegExp(`^${source}$`).test(subject);
}
