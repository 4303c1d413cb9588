/** What is known of every value that is valid by a set of schemas: bounds, kinds, and what holds of its parts. */
import { canonicalJson } from "./canonical.ts";
import { isSchemaObject, own, type SchemaObject } from "./keywords.ts";
import { compilePattern, type LinearPattern } from "./pattern.ts";
import { refOf, resolveRef, type Targets } from "./refs.ts";
import { ALL_KINDS, common, finiteValues, type Kind, kindsOf, memberOf } from "./types.ts";

/** Schemas that all hold of a value; `never`: no value can be. */
export type Facts =
  | { readonly type: "all"; readonly schemas: readonly SchemaObject[] }
  | { readonly type: "never" };

export const ANYTHING: Facts = { type: "all", schemas: [] };

/** All that holds where `schema` and what is known already hold: through `allOf` and references. */
export function factsOf(schemas: readonly unknown[], targets: Targets): Facts {
  const found = new Set<SchemaObject>();
  const open = [...schemas];
  while (open.length > 0) {
    const next = open.pop();
    if (next === false) return { type: "never" };
    if (!isSchemaObject(next) || found.has(next)) continue;
    found.add(next);
    const all = own(next, "allOf");
    if (Array.isArray(all)) open.push(...all);
    const ref = refOf(next);
    const target = ref === null ? null : resolveRef(targets, ref.ref);
    if (target !== null) open.push(targets.byPointer.get(target));
  }
  const facts = [...found];
  return kindsOfAll(facts).size === 0 ? { type: "never" } : { type: "all", schemas: facts };
}

export function kindsOfAll(schemas: readonly SchemaObject[]): ReadonlySet<Kind> {
  return schemas.reduce((kinds, schema) => common(kinds, kindsOf(schema)), ALL_KINDS);
}

/** The only values that may be valid; `null` when they are not listed. */
export function valuesOfAll(schemas: readonly SchemaObject[]): readonly unknown[] | null {
  let values: readonly unknown[] | null = null;
  for (const schema of schemas) {
    const listed = finiteValues(schema);
    if (listed === null) continue;
    const allowed = new Set(listed.map((one) => canonicalJson(one, null)));
    values = (values ?? listed).filter((one) => allowed.has(canonicalJson(one, null)));
  }
  return values;
}

/** The strictest of a keyword's numbers: the largest of minima, the smallest of maxima; `null` where none is said. */
export function strictest(
  schemas: readonly SchemaObject[],
  keyword: string,
  better: "largest" | "smallest",
): number | null {
  let found: number | null = null;
  for (const schema of schemas) {
    const value = own(schema, keyword);
    if (typeof value !== "number") continue;
    found = found === null ? value : better === "largest" ? Math.max(found, value) : Math.min(found, value);
  }
  return found;
}

/** Names that an object must have. */
export function requiredOf(schemas: readonly SchemaObject[]): ReadonlySet<string> {
  return new Set(schemas.flatMap((schema) => listOfTexts(own(schema, "required"))));
}

export function listOfTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

export function namesOf(map: unknown): string[] {
  return isSchemaObject(map) ? Object.keys(map) : [];
}

/** Patterns compile once for a proof. */
export type PatternOf = (source: string) => LinearPattern | null;

export function patternCache(): PatternOf {
  const known = new Map<string, LinearPattern | null>();
  return (source) => {
    const found = known.get(source);
    if (found !== undefined) return found;
    const compiled = compilePattern(source);
    const pattern = compiled.type === "pattern" ? compiled.pattern : null;
    known.set(source, pattern);
    return pattern;
  };
}

/** The schemas that a member of a name must be valid by. */
export function memberFacts(schemas: readonly SchemaObject[], name: string, patternOf: PatternOf): unknown[] {
  const facts: unknown[] = [];
  for (const schema of schemas) {
    const properties = own(schema, "properties");
    const named = memberOf(properties, name);
    if (named !== undefined) facts.push(named);
    const patterns = own(schema, "patternProperties");
    let matched = named !== undefined;
    for (const source of namesOf(patterns)) {
      const pattern = patternOf(source);
      // Where it cannot be said whether it matches, neither is a fact.
      if (pattern === null) matched = true;
      else if (pattern.test(name)) {
        matched = true;
        facts.push(memberOf(patterns, source));
      }
    }
    const additional = own(schema, "additionalProperties");
    if (!matched && additional !== undefined) facts.push(additional);
  }
  return facts;
}

/** The schemas that the element at an index must be valid by. */
export function elementFacts(schemas: readonly SchemaObject[], index: number): unknown[] {
  return schemas.flatMap((schema) => {
    const prefix = own(schema, "prefixItems");
    const first: readonly unknown[] = Array.isArray(prefix) ? prefix : [];
    if (index < first.length) return [first[index]];
    const items = own(schema, "items");
    return items === undefined ? [] : [items];
  });
}

/** How long the longest `prefixItems` is. */
export function longestPrefix(schemas: readonly SchemaObject[]): number {
  return schemas.reduce((longest, schema) => {
    const prefix = own(schema, "prefixItems");
    return Array.isArray(prefix) ? Math.max(longest, prefix.length) : longest;
  }, 0);
}
