/** The kinds of JSON values apart from each other: `number` is `integer` and `fraction`. */
import { isSchemaObject, own, type SchemaObject } from "./keywords.ts";

export type Kind = "null" | "boolean" | "object" | "array" | "string" | "integer" | "fraction";

export const ALL_KINDS: ReadonlySet<Kind> = new Set<Kind>([
  "null",
  "boolean",
  "object",
  "array",
  "string",
  "integer",
  "fraction",
]);

/** The kinds that a `type` allows. */
function kindsOfType(type: unknown): ReadonlySet<Kind> {
  const kinds = new Set<Kind>();
  for (const name of Array.isArray(type) ? type : [type]) {
    if (name === "number") {
      kinds.add("integer");
      kinds.add("fraction");
    } else if (ALL_KINDS.has(name as Kind) && name !== "fraction") kinds.add(name as Kind);
  }
  return kinds;
}

/** The kind of a value. */
export function kindOf(value: unknown): Kind {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  switch (typeof value) {
    case "boolean":
    case "string":
      return typeof value as "boolean" | "string";
    case "number":
      return Number.isInteger(value) ? "integer" : "fraction";
    default:
      return "object";
  }
}

/** What `type`, `enum` and `const` of one schema leave. */
export function kindsOf(schema: SchemaObject): ReadonlySet<Kind> {
  let kinds = ALL_KINDS;
  if (Object.hasOwn(schema, "type")) kinds = common(kinds, kindsOfType(own(schema, "type")));
  const values = finiteValues(schema);
  if (values !== null) kinds = common(kinds, new Set(values.map(kindOf)));
  return kinds;
}

export function common(left: ReadonlySet<Kind>, right: ReadonlySet<Kind>): ReadonlySet<Kind> {
  return new Set([...left].filter((kind) => right.has(kind)));
}

/** The only values that a schema may take; `null` when it names none. */
export function finiteValues(schema: SchemaObject): readonly unknown[] | null {
  if (Object.hasOwn(schema, "const")) return [own(schema, "const")];
  const listed = own(schema, "enum");
  return Array.isArray(listed) ? listed : null;
}

/** The member of a map of schemas. */
export function memberOf(map: unknown, name: string): unknown {
  return isSchemaObject(map) ? own(map, name) : undefined;
}
