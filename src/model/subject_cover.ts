/** Whether patterns together hold all subjects of another: exact, although no pattern says "any token but b". */

/**
 * What is left of a pattern when others are cut from it, one after another.
 *
 * A token that no cut names is in no more cuts than any other token, and there always is one: so for each length one subject, with
 * such tokens for all wildcards, speaks for all of that length. A cut takes it at its own length, or from its own length on.
 */
export class Uncovered {
  readonly #tokens: readonly string[];
  /** Tokens before a last `>`; all of them where there is none. */
  readonly #head: number;
  readonly #open: boolean;
  /** The shortest length that is left, as far as single lengths are cut. */
  #shortest: number;
  /** From this length on everything is cut. */
  #from = Number.POSITIVE_INFINITY;
  readonly #lengths = new Set<number>();

  constructor(pattern: string) {
    this.#tokens = pattern.split(".");
    this.#open = this.#tokens[this.#tokens.length - 1] === ">";
    this.#head = this.#open ? this.#tokens.length - 1 : this.#tokens.length;
    this.#shortest = this.#tokens.length;
  }

  /** Takes away what `pattern` holds. */
  cut(pattern: string): void {
    const words = pattern.split(".");
    for (const [index, word] of words.entries()) {
      if (word === ">") {
        this.#from = Math.min(this.#from, index + 1);
        return;
      }
      if (index >= this.#head && !this.#open) return;
      if (word !== "*" && (index >= this.#head || word !== this.#tokens[index])) return;
    }
    this.#lengths.add(words.length);
    while (this.#lengths.has(this.#shortest)) this.#shortest += 1;
  }

  /** A subject that is left, with `*` for tokens that no cut names; `null` when nothing is. */
  get example(): string | null {
    const longest = this.#open ? Number.POSITIVE_INFINITY : this.#tokens.length;
    if (this.#shortest > longest || this.#shortest >= this.#from) return null;
    const head = this.#tokens.slice(0, this.#head);
    return [...head, ...Array<string>(this.#shortest - this.#head).fill("*")].join(".");
  }
}

/** A subject of `pattern` that none of `cuts` holds, with `*` for tokens that they do not name; `null` when there is none. */
export function outsideOf(pattern: string, cuts: readonly string[]): string | null {
  const left = new Uncovered(pattern);
  for (const cut of cuts) left.cut(cut);
  return left.example;
}
