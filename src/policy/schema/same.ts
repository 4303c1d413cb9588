/** Whether two schemas of two documents say the same, references followed. */
import { canonicalJson } from "./canonical.ts";
import { isSchemaObject, KEYWORDS, own, type SchemaObject } from "./keywords.ts";
import { refOf, resolveRef, type Targets } from "./refs.ts";

/** Keywords that say nothing of a value, or only name a place. */
function isSilent(keyword: string): boolean {
  const kind = KEYWORDS.get(keyword);
  return kind === "note" || kind === "anchor" || keyword === "$defs" || keyword === "definitions";
}

export class Same {
  readonly #left: Targets;
  readonly #right: Targets;
  /** Pairs that say the same, and pairs that are being compared and taken to until something tells them apart. */
  readonly #equal = new Map<unknown, Set<unknown>>();
  /** Pairs that the comparison under way has taken for equal. */
  #taken: (readonly [unknown, unknown])[] = [];
  #depth = 0;

  constructor(left: Targets, right: Targets) {
    this.#left = left;
    this.#right = right;
  }

  /** Whether a schema of the first document and one of the second say the same. `false` is no proof that they do not. */
  schemas(left: unknown, right: unknown): boolean {
    if (!isSchemaObject(left) || !isSchemaObject(right)) return left === right;
    const equal = this.#equal.get(left) ?? new Set<unknown>();
    this.#equal.set(left, equal);
    if (equal.has(right)) return true;
    equal.add(right);
    this.#taken.push([left, right]);
    this.#depth++;
    const same = this.#keywords(left, right);
    this.#depth--;
    if (this.#depth > 0) return same;
    // What was found equal on the way rests on all of it.
    if (!same) for (const [one, other] of this.#taken) this.#equal.get(one)?.delete(other);
    this.#taken = [];
    return same;
  }

  /** Whether two schemas agree in some keywords. */
  keywords(left: SchemaObject, right: SchemaObject, keywords: readonly string[]): boolean {
    return keywords.every((keyword) => this.#keyword(keyword, left, right));
  }

  #keywords(left: SchemaObject, right: SchemaObject): boolean {
    const names = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...names].every((keyword) => isSilent(keyword) || this.#keyword(keyword, left, right));
  }

  #keyword(keyword: string, leftSchema: SchemaObject, rightSchema: SchemaObject): boolean {
    const left = own(leftSchema, keyword);
    const right = own(rightSchema, keyword);
    if (left === undefined || right === undefined) return left === right;
    switch (KEYWORDS.get(keyword)) {
      case "schema":
        return this.schemas(left, right);
      case "list":
        return (
          Array.isArray(left) &&
          Array.isArray(right) &&
          left.length === right.length &&
          left.every((one: unknown, index) => this.schemas(one, right[index]))
        );
      case "map": {
        if (!isSchemaObject(left) || !isSchemaObject(right)) return false;
        const names = Object.keys(left);
        return (
          names.length === Object.keys(right).length &&
          names.every((name) => Object.hasOwn(right, name) && this.schemas(left[name], right[name]))
        );
      }
      case "ref":
        return this.#reference(leftSchema, rightSchema);
      default:
        return canonicalJson(left, null) === canonicalJson(right, null);
    }
  }

  #reference(left: SchemaObject, right: SchemaObject): boolean {
    const from = refOf(left);
    const to = refOf(right);
    const leftTarget = from === null ? null : resolveRef(this.#left, from.ref);
    const rightTarget = to === null ? null : resolveRef(this.#right, to.ref);
    if (leftTarget === null || rightTarget === null) return false;
    return this.schemas(this.#left.byPointer.get(leftTarget), this.#right.byPointer.get(rightTarget));
  }
}
