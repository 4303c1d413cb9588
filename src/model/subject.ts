/**
 * Subjects and patterns of NATS, and the set algebra over patterns that policies compile with.
 *
 * A subject is tokens joined by `.`; in a pattern `*` stands for one token and a last `>` for one or more.
 * Source: https://docs.nats.io/nats-concepts/subjects
 */

const MAX_SUBJECT_LENGTH = 256;

/** Why `text` is no valid pattern (or subject, where wildcards are not allowed); `null` when it is one. */
export function patternProblem(text: string, options?: { wildcards?: boolean }): string | null {
  const wildcards = options?.wildcards ?? true;
  if (text === "") return "is empty";
  if (text.length > MAX_SUBJECT_LENGTH) return `is longer than ${MAX_SUBJECT_LENGTH} characters`;
  const tokens = text.split(".");
  for (const [index, token] of tokens.entries()) {
    if (token === "") return "has an empty token";
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that the protocol forbids
    if (/[\s\u0000-\u001f\u007f]/.test(token))
      return `has white space or a control character in token ${index + 1}`;
    if (token === ">" && index !== tokens.length - 1) return "has '>' before its last token";
    if (token.length > 1 && /[*>]/.test(token)) return `mixes a wildcard with text in token '${token}'`;
    if (!wildcards && (token === "*" || token === ">")) return "has a wildcard";
  }
  return null;
}

/** Whether `subject` (no wildcards) is in the set of `pattern`. */
export function matches(pattern: string, subject: string): boolean {
  return includes(pattern, subject);
}

/** Whether every subject of `inner` is also one of `outer`. Reads in place: policies compare each pattern with each. */
export function includes(outer: string, inner: string): boolean {
  let i = 0;
  let j = 0;
  for (;;) {
    const iEnd = tokenEnd(outer, i);
    const jEnd = tokenEnd(inner, j);
    if (isWildcard(outer, i, iEnd, REST)) return true;
    if (isWildcard(inner, j, jEnd, REST)) return false;
    if (!isWildcard(outer, i, iEnd, ONE) && !sameToken(outer, i, iEnd, inner, j, jEnd)) return false;
    if (iEnd === outer.length || jEnd === inner.length) return iEnd === outer.length && jEnd === inner.length;
    i = iEnd + 1;
    j = jEnd + 1;
  }
}

const DOT = 0x2e;
const ONE = 0x2a;
const REST = 0x3e;

function tokenEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && text.charCodeAt(end) !== DOT) end++;
  return end;
}

function isWildcard(text: string, from: number, to: number, wildcard: number): boolean {
  return to === from + 1 && text.charCodeAt(from) === wildcard;
}

function sameToken(a: string, aFrom: number, aTo: number, b: string, bFrom: number, bTo: number): boolean {
  if (aTo - aFrom !== bTo - bFrom) return false;
  for (let i = 0; i < aTo - aFrom; i++) if (a.charCodeAt(aFrom + i) !== b.charCodeAt(bFrom + i)) return false;
  return true;
}

/** The pattern of the subjects that are in both, or `null` when there are none. */
export function intersect(left: string, right: string): string | null {
  const a = left.split(".");
  const b = right.split(".");
  const out: string[] = [];
  for (let i = 0; ; i++) {
    const x = a[i];
    const y = b[i];
    if (x === undefined && y === undefined) return out.join(".");
    if (x === undefined || y === undefined) return null;
    if (x === ">") return [...out, ...b.slice(i)].join(".");
    if (y === ">") return [...out, ...a.slice(i)].join(".");
    if (x === "*") out.push(y);
    else if (y === "*" || x === y) out.push(x);
    else return null;
  }
}

/** Whether any subject is in both. Reads in place, as {@link includes}. */
export function overlaps(left: string, right: string): boolean {
  let i = 0;
  let j = 0;
  for (;;) {
    const iEnd = tokenEnd(left, i);
    const jEnd = tokenEnd(right, j);
    if (isWildcard(left, i, iEnd, REST) || isWildcard(right, j, jEnd, REST)) return true;
    const any = isWildcard(left, i, iEnd, ONE) || isWildcard(right, j, jEnd, ONE);
    if (!any && !sameToken(left, i, iEnd, right, j, jEnd)) return false;
    if (iEnd === left.length || jEnd === right.length) return iEnd === left.length && jEnd === right.length;
    i = iEnd + 1;
    j = jEnd + 1;
  }
}

/**
 * The subjects of `from` that are not in `cut`, as disjoint patterns; `null` when no finite set of patterns says it
 * (`a.>` without `a.b`: there is no pattern for "any token but b").
 */
export function subtract(from: string, cut: string): string[] | null {
  const shared = intersect(from, cut);
  if (shared === null) return [from];
  if (includes(cut, from)) return [];
  const a = from.split(".");
  const b = cut.split(".");
  // What cut fixes and from leaves open cannot be excluded by patterns; lengths can.
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const x = a[i];
    const y = b[i];
    if (x === ">" || y === ">") break;
    if (x === "*" && y !== "*") return null;
  }
  if (a[a.length - 1] !== ">") return null;
  const head = a.slice(0, -1);
  // from = head + '>'; the rest of cut beyond head must be all wildcards, or it fixes what from leaves open.
  const tail = b.slice(head.length);
  if (tail.some((token) => token !== "*" && token !== ">")) return null;
  const open = tail[tail.length - 1] === ">";
  const least = tail.length; // cut takes exactly `least` tokens after head, or `least` and more when open
  const out: string[] = [];
  for (let length = 1; length < least; length++)
    out.push([...head, ...Array<string>(length).fill("*")].join("."));
  if (!open) out.push([...head, ...Array<string>(least).fill("*"), ">"].join("."));
  return out;
}

/** `patterns` without those that another one includes. Order is kept; equal patterns appear once. */
export function reduce(patterns: readonly string[]): string[] {
  return patterns.filter(
    (pattern, i) =>
      !patterns.some(
        (other, j) => i !== j && includes(other, pattern) && (!includes(pattern, other) || j < i),
      ),
  );
}

/** The first two patterns that overlap, or `null` when the set is disjoint (what a consumer's filters must be). */
export function overlappingPair(patterns: readonly string[]): [string, string] | null {
  for (const [i, left] of patterns.entries()) {
    for (const right of patterns.slice(i + 1)) if (overlaps(left, right)) return [left, right];
  }
  return null;
}

/** All pairwise intersections, reduced. Two disjoint sets give a disjoint set. */
export function intersectSets(left: readonly string[], right: readonly string[]): string[] {
  const out: string[] = [];
  for (const a of left) {
    for (const b of right) {
      const shared = intersect(a, b);
      if (shared !== null) out.push(shared);
    }
  }
  return reduce(out);
}
