/** The keywords of JSON Schema 2020-12 that a contract may use, and where each holds further schemas. */

/** What a keyword's value is: a schema, a list or map of schemas, or something else that the meta-schema checks. */
export type KeywordKind = "schema" | "list" | "map" | "ref" | "anchor" | "value" | "note";

const of = (kind: KeywordKind, ...names: string[]): [string, KeywordKind][] =>
  names.map((name) => [name, kind]);

export const KEYWORDS: ReadonlyMap<string, KeywordKind> = new Map([
  ...of(
    "schema",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "unevaluatedItems",
    "contains",
    "not",
    "if",
    "then",
    "else",
  ),
  ...of("list", "allOf", "anyOf", "oneOf", "prefixItems"),
  ...of("map", "properties", "patternProperties", "dependentSchemas", "$defs", "definitions"),
  ...of("ref", "$ref", "$dynamicRef"),
  ...of("anchor", "$anchor", "$dynamicAnchor"),
  ...of("value", "type", "enum", "const", "multipleOf", "minimum", "maximum"),
  ...of("value", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "format"),
  ...of("value", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
  ...of("value", "required", "dependentRequired", "minProperties", "maxProperties"),
  ...of("note", "$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"),
  ...of("note", "readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema"),
]);

/** Keywords that apply a schema to the very value that they stand at, and not to a part of it. */
export const IN_PLACE: ReadonlySet<string> = new Set([
  "$ref",
  "$dynamicRef",
  "allOf",
  "anyOf",
  "oneOf",
  "not",
  "if",
  "then",
  "else",
  "dependentSchemas",
]);

export type SchemaObject = Readonly<Record<string, unknown>>;

export function isSchemaObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Own value of a keyword: a schema is data, and `constructor` is no keyword of it. */
export function own(schema: SchemaObject, keyword: string): unknown {
  return Object.hasOwn(schema, keyword) ? schema[keyword] : undefined;
}

/** A JSON pointer's next token. */
export function pointerTo(base: string, ...tokens: readonly (string | number)[]): string {
  return base + tokens.map((one) => `/${String(one).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

export interface Subschema {
  readonly keyword: string;
  readonly schema: unknown;
  readonly pointer: string;
}

/** The schemas directly below a schema, in the order they stand. */
export function* subschemas(schema: SchemaObject, pointer: string): Generator<Subschema> {
  for (const [keyword, value] of Object.entries(schema)) {
    const kind = KEYWORDS.get(keyword);
    const at = pointerTo(pointer, keyword);
    if (kind === "schema") yield { keyword, schema: value, pointer: at };
    else if (kind === "list" && Array.isArray(value)) {
      for (const [index, one] of value.entries())
        yield { keyword, schema: one, pointer: pointerTo(at, index) };
    } else if (kind === "map" && isSchemaObject(value)) {
      for (const [name, one] of Object.entries(value)) {
        yield { keyword, schema: one, pointer: pointerTo(at, name) };
      }
    }
  }
}

/** Marks, in what is compiled, a schema with a reference: counts a step before it is followed. */
export const STEP_KEYWORD = "leafmesh-step";
