/** A subject pattern, prepared to be tried on many subjects without splitting them. */
export class SubjectMatcher {
  /** The text between the `*`: `["acme.orders.", ".v1"]` for `acme.orders.*.v1`. */
  readonly #texts: readonly string[];
  /** The pattern ends with `>`. */
  readonly #open: boolean;

  constructor(pattern: string) {
    this.#open = pattern === ">" || pattern.endsWith(".>");
    this.#texts = (this.#open ? pattern.slice(0, -1) : pattern).split("*");
  }

  /** Whether the pattern holds `subject` (a valid one, without wildcards). */
  matches(subject: string): boolean {
    const texts = this.#texts;
    let at = 0;
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i] as string;
      if (i > 0) {
        const dot = subject.indexOf(".", at);
        const end = dot < 0 ? subject.length : dot;
        if (end === at) return false;
        at = end;
      }
      if (!subject.startsWith(text, at)) return false;
      at += text.length;
    }
    return this.#open ? at < subject.length : at === subject.length;
  }
}
