/** A schema as ajv compiles it: without notes, with every reference as a pointer, and each reference counted. */
import { isSchemaObject, KEYWORDS, own, type SchemaObject } from "./keywords.ts";
import { resolveRef, type Targets } from "./refs.ts";
import { STEP_KEYWORD } from "./validator.ts";

/** Keywords that depend on what others have looked at: ajv keeps that in objects where `constructor` is always there. */
const EVALUATED = new Set(["unevaluatedProperties", "unevaluatedItems"]);

export interface Prepared {
  readonly schema: object | boolean;
  /** Names of members that the schema itself says: all that a report of a payload may repeat. */
  readonly names: ReadonlySet<string>;
  /** The schema asks what no other keyword has looked at. */
  readonly usesUnevaluated: boolean;
}

/** Prepares a schema that has no problems. Its document is one resource, so a dynamic reference is a plain one. */
export function prepareSchema(root: object | boolean, targets: Targets): Prepared {
  const names = new Set<string>();
  let usesUnevaluated = false;

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
          prepared.$ref = `#${encodePointer(resolveRef(targets, String(value)) ?? "")}`;
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
    return prepared;
  };
  const prepareMap = (value: unknown): unknown =>
    isSchemaObject(value)
      ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, prepare(one)]))
      : value;
  const noteNames = (schema: SchemaObject) => {
    const properties = own(schema, "properties");
    if (isSchemaObject(properties)) for (const name of Object.keys(properties)) names.add(name);
  };

  const schema = prepare(root) as object | boolean;
  return { schema, names, usesUnevaluated };
}

function encodePointer(pointer: string): string {
  return pointer.split("/").map(encodeURIComponent).join("/");
}
