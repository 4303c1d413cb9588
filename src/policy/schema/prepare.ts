/** A schema as ajv compiles it: without notes, with every reference as a pointer, and each reference counted. */
import { isSchemaObject, KEYWORDS, own, type SchemaObject, STEP_KEYWORD } from "./keywords.ts";
import { resolveRef, type Targets } from "./refs.ts";

/** Keywords that depend on what others have looked at: ajv keeps that in objects where `constructor` is always there. */
const EVALUATED = new Set(["unevaluatedProperties", "unevaluatedItems"]);

export interface Prepared {
  readonly schema: object | boolean;
  /** Names of members that the schema itself says: all that a report of a payload may repeat. */
  readonly names: ReadonlySet<string>;
  /** The schema asks what no other keyword has looked at. */
  readonly usesUnevaluated: boolean;
}

/**
 * Prepares a schema that has no problems. Its document is one resource, so a dynamic reference is a plain one.
 * @param at pointer of the part of it that is meant; default: all of it
 */
export function prepareSchema(root: object | boolean, targets: Targets, at = ""): Prepared {
  const names = new Set<string>();
  let usesUnevaluated = false;
  const base = at === "" ? "" : "/$defs/whole";

  const prepare = (schema: unknown): unknown => {
    if (!isSchemaObject(schema)) return schema;
    const prepared: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(schema)) {
      const kind = KEYWORDS.get(keyword);
      if (EVALUATED.has(keyword)) usesUnevaluated = true;
      switch (kind) {
        case "schema":
          prepared[keyword] = prepare(value);
          break;
        case "list":
          prepared[keyword] = Array.isArray(value) ? value.map(prepare) : value;
          break;
        case "map":
          prepared[keyword] = prepareMap(value);
          break;
        case "ref":
          prepared.$ref = `#${base}${encodePointer(resolveRef(targets, String(value)) ?? "")}`;
          prepared[STEP_KEYWORD] = true;
          break;
        case "value":
          prepared[keyword] = value;
          break;
        default:
          break;
      }
    }
    noteNames(schema);
    return withContainsApart(prepared);
  };
  const prepareMap = (value: unknown): unknown =>
    isSchemaObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, prepare(one)]))
      : value;
  const noteNames = (schema: SchemaObject) => {
    const properties = own(schema, "properties");
    if (isSchemaObject(properties)) for (const name of Object.keys(properties)) names.add(name);
  };

  const whole = prepare(root) as object | boolean;
  const schema =
    at === "" ? whole : { $ref: `#${base}${encodePointer(at)}`, [STEP_KEYWORD]: true, $defs: { whole } };
  return { schema, names, usesUnevaluated };
}

/**
 * Of an empty list ajv 8 looks at nothing that stands after `prefixItems`, so `contains` stands in a schema of its own.
 * All other keywords have nothing to say of an empty list, or come before.
 */
function withContainsApart(schema: Record<string, unknown>): Record<string, unknown> {
  if (!Object.hasOwn(schema, "prefixItems") || !Object.hasOwn(schema, "contains")) return schema;
  const { contains, minContains, maxContains, ...rest } = schema;
  const apart = {
    contains,
    ...(minContains === undefined ? {} : { minContains }),
    ...(maxContains === undefined ? {} : { maxContains }),
  };
  const all: readonly unknown[] = Array.isArray(schema.allOf) ? schema.allOf : [];
  return { ...rest, allOf: [...all, apart] };
}

function encodePointer(pointer: string): string {
  return pointer.split("/").map(encodeURIComponent).join("/");
}
