/** Counts by subject in bounded memory: subjects that are too many become patterns. */

/** Counts of one subject or pattern, one for each kind that is counted. */
export interface SubjectCount {
  /** The subject, or a pattern with `*` where subjects had too many different tokens. */
  readonly pattern: string;
  readonly total: number;
  readonly byKind: ReadonlyMap<string, number>;
}

const MAX_PATTERNS = 500;
/** Tokens after these are one `>`: a subject may have hundreds. */
const MAX_TOKENS = 16;

interface Entry {
  readonly tokens: readonly string[];
  total: number;
  readonly byKind: Map<string, number>;
}

export class SubjectTally {
  readonly #entries = new Map<string, Entry>();
  /** Places whose token is a `*`, by the number of tokens. */
  readonly #wild = new Map<number, Set<number>>();
  readonly #most: number;

  /** @param most patterns that are kept; at least as many as there are lengths of subjects */
  constructor(most = MAX_PATTERNS) {
    this.#most = Math.max(MAX_TOKENS + 1, most);
  }

  /** Counts one event. */
  add(subject: string, kind: string): void {
    const tokens = this.#tokensOf(subject);
    this.#count(tokens, 1, [[kind, 1]]);
    while (this.#entries.size > this.#most) this.#fold();
  }

  /** The largest counts first, at most `most`; and how many events the patterns that are left out have. */
  top(most: number): { readonly items: readonly SubjectCount[]; readonly others: number } {
    const all = [...this.#entries]
      .map(([pattern, { total, byKind }]) => ({ pattern, total, byKind }))
      .sort((left, right) => right.total - left.total || (left.pattern < right.pattern ? -1 : 1));
    const others = all.slice(most).reduce((sum, one) => sum + one.total, 0);
    return { items: all.slice(0, most), others };
  }

  #tokensOf(subject: string): string[] {
    const all = subject.split(".");
    const tokens = all.length > MAX_TOKENS ? [...all.slice(0, MAX_TOKENS), ">"] : all;
    const wild = this.#wild.get(tokens.length);
    return wild === undefined ? tokens : tokens.map((token, i) => (wild.has(i) ? "*" : token));
  }

  #count(tokens: readonly string[], total: number, kinds: Iterable<readonly [string, number]>): void {
    const pattern = tokens.join(".");
    const entry = this.#entries.get(pattern) ?? { tokens, total: 0, byKind: new Map<string, number>() };
    entry.total += total;
    for (const [kind, count] of kinds) entry.byKind.set(kind, (entry.byKind.get(kind) ?? 0) + count);
    this.#entries.set(pattern, entry);
  }

  /** Makes one place a `*` for all subjects of one length: the place with the most different tokens. */
  #fold(): void {
    const distinct = new Map<string, Set<string>>();
    for (const { tokens } of this.#entries.values()) {
      for (const [place, token] of tokens.entries()) {
        if (token === "*" || token === ">") continue;
        const key = `${tokens.length} ${place}`;
        const seen = distinct.get(key) ?? new Set();
        distinct.set(key, seen.add(token));
      }
    }
    let widest = "";
    for (const [key, seen] of distinct) {
      if (seen.size > (distinct.get(widest)?.size ?? 0)) widest = key;
    }
    const [length = 0, place = 0] = widest.split(" ").map(Number);
    const wild = this.#wild.get(length) ?? new Set();
    this.#wild.set(length, wild.add(place));
    const moved = [...this.#entries].filter(([, { tokens }]) => tokens.length === length);
    for (const [pattern] of moved) this.#entries.delete(pattern);
    for (const [, { tokens, total, byKind }] of moved) {
      this.#count(
        tokens.map((token, i) => (i === place ? "*" : token)),
        total,
        byKind,
      );
    }
  }
}
