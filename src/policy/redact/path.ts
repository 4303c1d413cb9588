/**
 * The part of JSONPath (RFC 9535) that redactions select with: names, indexes, slices forward, wildcards and
 * descendants. What one streaming pass cannot decide (filters, negative indexes, other steps) is refused with a message.
 */

/** What one segment selects among the children of a value. Ranges are of array elements, `[from, to)`. */
export type Selector =
  | { readonly type: "name"; readonly name: string }
  | { readonly type: "range"; readonly from: number; readonly to: number }
  | { readonly type: "wildcard" };

export interface Segment {
  /** `..`: the children of the value and of everything below it. */
  readonly descendant: boolean;
  readonly selectors: readonly Selector[];
}

export type ParsedPath =
  | { readonly type: "ok"; readonly segments: readonly Segment[] }
  | { readonly type: "invalid"; readonly problem: string };

const MAX_SEGMENTS = 64;
const SHORTHAND = /[A-Za-z_\u0080-\u{10ffff}][A-Za-z0-9_\u0080-\u{10ffff}]*/uy;
const UNSEEN = /[\s\p{Z}\p{Cc}\p{Cf}]/u;
const INTEGER = /-?(?:0|[1-9][0-9]*)/y;
const BLANK = /[ \t\n\r]*/y;
/** Largest index that a path may name. */
const MAX_INDEX = 2 ** 31 - 2;
/** Largest number that RFC 9535 lets a path name (I-JSON). */
const MOST_RFC_INDEX = Number.MAX_SAFE_INTEGER;
/** What one pair of brackets may select by. */
const MAX_SELECTORS = 256;

/** Thrown and caught in this file alone. */
class PathProblem extends Error {}

/** Parses a path such as `$.customer.email`, `$..phone` or `$.items[*]['card number']`. Never throws. */
export function parsePath(text: string): ParsedPath {
  try {
    return { type: "ok", segments: new PathReader(text).read() };
  } catch (thrown) {
    if (thrown instanceof PathProblem) return { type: "invalid", problem: thrown.message };
    throw thrown;
  }
}

class PathReader {
  #at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Segment[] {
    if (!this.#text.isWellFormed()) throw new PathProblem("holds half a surrogate pair");
    if (!this.#take("$")) throw new PathProblem("must begin with '$'");
    const segments: Segment[] = [];
    for (;;) {
      const before = this.#at;
      this.#match(BLANK);
      if (this.#at === this.#text.length) {
        if (before !== this.#at) throw new PathProblem("ends with white space");
        return segments;
      }
      segments.push(this.#segment());
      if (segments.length > MAX_SEGMENTS) throw new PathProblem(`has more than ${MAX_SEGMENTS} segments`);
    }
  }

  #segment(): Segment {
    if (this.#take("..")) {
      if (this.#take("[")) return { descendant: true, selectors: this.#bracket() };
      return { descendant: true, selectors: [this.#dotted("..")] };
    }
    if (this.#take(".")) return { descendant: false, selectors: [this.#dotted(".")] };
    if (this.#take("[")) return { descendant: false, selectors: this.#bracket() };
    throw this.#unexpected("'.', '..' or '['");
  }

  #dotted(dots: string): Selector {
    if (this.#take("*")) return { type: "wildcard" };
    const name = this.#match(SHORTHAND);
    if (name === "")
      throw this.#unexpected(`a name or '*' after '${dots}' (other names stand in brackets: ['a-b'])`);
    // What nobody sees selects nothing, without a word.
    if (UNSEEN.test(name))
      throw new PathProblem(
        `has an invisible character in the name '${name}' (if it is meant, use brackets)`,
      );
    return { type: "name", name };
  }

  #bracket(): Selector[] {
    const selectors: Selector[] = [];
    for (;;) {
      this.#match(BLANK);
      selectors.push(...this.#selector());
      if (selectors.length > MAX_SELECTORS)
        throw new PathProblem(
          `selects by more than ${MAX_SELECTORS} names, indexes and slices in one segment`,
        );
      this.#match(BLANK);
      if (this.#take("]")) return selectors;
      if (!this.#take(",")) throw this.#unexpected("',' or ']'");
    }
  }

  #selector(): readonly Selector[] {
    if (this.#take("*")) return [{ type: "wildcard" }];
    if (this.#take("?"))
      throw new PathProblem("uses a filter ('?'): write the condition in the rule's 'when'");
    const quote = this.#text[this.#at];
    if (quote === "'" || quote === '"') {
      this.#at++;
      return [{ type: "name", name: this.#quoted(quote) }];
    }
    const first = this.#match(INTEGER);
    const beforeColon = this.#at;
    this.#match(BLANK);
    if (this.#take(":")) return this.#slice(first);
    this.#at = beforeColon;
    if (first === "") throw this.#unexpected("a quoted name, an index, a slice or '*'");
    const index = this.#index(first);
    return [{ type: "range", from: index, to: index + 1 }];
  }

  /** A slice with a step is the list of its indexes, so it must have an end. */
  #slice(first: string): Selector[] {
    this.#match(BLANK);
    const last = this.#match(INTEGER);
    this.#match(BLANK);
    let step = 1;
    if (this.#take(":")) {
      this.#match(BLANK);
      const text = this.#match(INTEGER);
      if (text !== "") step = Number(text);
      if (Math.abs(step) > MOST_RFC_INDEX || text === "-0") throw new PathProblem(`has a step of ${text}`);
      if (step < 1) throw new PathProblem(`uses a slice with step ${text}, expected one above 0`);
    }
    const from = first === "" ? 0 : this.#index(first);
    const end = last === "" ? MAX_INDEX + 1 : Math.min(this.#natural(last), MAX_INDEX + 1);
    if (end <= from) throw new PathProblem(`has a slice that selects nothing (from ${from} up to ${last})`);
    if (step === 1) return [{ type: "range", from, to: end }];
    if ((end - from) / step > MAX_SELECTORS) {
      throw new PathProblem(
        `uses a slice with step ${step} over more than ${MAX_SELECTORS} elements: give it an end`,
      );
    }
    const selectors: Selector[] = [];
    for (let at = from; at < end; at += step) selectors.push({ type: "range", from: at, to: at + 1 });
    return selectors;
  }

  #index(text: string): number {
    const index = this.#natural(text);
    if (index > MAX_INDEX) throw new PathProblem(`has an index above ${MAX_INDEX}`);
    return index;
  }

  #natural(text: string): number {
    if (text.startsWith("-")) {
      throw new PathProblem(`counts from the end of an array ('${text}'), which one pass cannot do`);
    }
    const value = Number(text);
    if (value > MOST_RFC_INDEX) throw new PathProblem(`has an index above ${MOST_RFC_INDEX}`);
    return value;
  }

  /** The rest of a quoted name, its opening quote taken. */
  #quoted(quote: string): string {
    let name = "";
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new PathProblem("has a quoted name without an end");
      this.#at++;
      if (char === quote) break;
      if (char < " ") throw new PathProblem("has a control character in a quoted name (escape it)");
      name += char === "\\" ? this.#escape(quote) : char;
    }
    if (!name.isWellFormed()) throw new PathProblem("holds half a surrogate pair");
    return name;
  }

  #escape(quote: string): string {
    const char = this.#text[this.#at++] ?? "";
    if (char === "u") {
      const hex = this.#text.slice(this.#at, this.#at + 4);
      if (!/^[0-9A-Fa-f]{4}$/.test(hex)) throw new PathProblem("has a '\\u' without four hexadecimal digits");
      this.#at += 4;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    if (char === quote) return quote;
    const plain = new Map([
      ["b", "\b"],
      ["f", "\f"],
      ["n", "\n"],
      ["r", "\r"],
      ["t", "\t"],
      ["/", "/"],
      ["\\", "\\"],
    ]);
    const found = plain.get(char);
    if (found === undefined) throw new PathProblem(`has an unknown escape '\\${char}'`);
    return found;
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? "";
    this.#at += found.length;
    return found;
  }

  #unexpected(expected: string): PathProblem {
    const rest = this.#text.slice(this.#at, this.#at + 12);
    return new PathProblem(`has ${rest === "" ? "its end" : `'${rest}'`} where ${expected} was expected`);
  }
}
