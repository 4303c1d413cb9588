/**
 * What a schema has against a value, as problems in our own words: the value, what was expected, and for an unknown key
 * the one that was probably meant. All of them at once, never a secret.
 */
import { z } from "zod";
import type { Problem } from "./errors.ts";
import { formatPath } from "./problem_path.ts";
import { describeValue, expected, listOf, quoted } from "./schema_words.ts";
import { withoutSecrets } from "./secrets.ts";
import { nearestWord } from "./suggest.ts";

const MAX_PROBLEMS = 100;

/** A problem before it has its place in a text. */
export interface SchemaProblem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** What to point at: the value, or the key that should not be there. */
  readonly at: "value" | "key";
}

/** Everything that is wrong with `input`; the first 100, and the count of the others. */
export function schemaProblems(schema: z.ZodType, input: unknown, error: z.ZodError): SchemaProblem[] {
  const found = error.issues.flatMap((issue) => explain(issue, schema, input, []));
  const shown = found.slice(0, MAX_PROBLEMS).map((one) => ({ ...one, message: withoutSecrets(one.message) }));
  if (found.length > MAX_PROBLEMS) {
    shown.push({ path: [], message: `and ${found.length - MAX_PROBLEMS} more problems`, at: "value" });
  }
  return shown;
}

/** As {@link schemaProblems}, with the path as text. */
export function schemaProblemList(schema: z.ZodType, input: unknown, error: z.ZodError): Problem[] {
  return schemaProblems(schema, input, error).map(({ path, message }) => ({
    path: withoutSecrets(formatPath(path)),
    message,
  }));
}

function explain(
  issue: z.core.$ZodIssue,
  root: z.ZodType,
  input: unknown,
  base: readonly PropertyKey[],
): SchemaProblem[] {
  const path = [...base, ...issue.path];
  const value = valueAt(input, path);
  const schemas = schemasAt(root, input, path);
  const problem = (message: string): SchemaProblem[] => [{ path, message, at: "value" }];
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = schemas.flatMap((schema) =>
        schema instanceof z.ZodObject ? Object.keys(schema.shape) : [],
      );
      return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(key, known), at: "key" }));
    }
    case "invalid_type":
      if (value === undefined) return problem(`is missing (expected ${expected(schemas, issue.expected)})`);
      if (issue.expected === "string" && (typeof value === "number" || typeof value === "boolean")) {
        return problem(unquotedText(schemas, value));
      }
      if (issue.expected === "int" && Number.isFinite(value)) {
        return problem(`${value} is a number with a fraction, expected a whole number`);
      }
      return problem(`${describeValue(value, path)}, expected ${expected(schemas, issue.expected)}`);
    case "invalid_value":
      return problem(choice(value, issue.values, path));
    case "invalid_union":
      return union(issue, root, input, path);
    case "invalid_key":
    case "invalid_element":
      return issue.issues.map((inner) => ({ path, message: inner.message, at: "key" }));
    case "too_small":
      return problem(size(issue.origin, "at least", Number(issue.minimum), value));
    case "too_big":
      return problem(size(issue.origin, "at most", Number(issue.maximum), value));
    case "invalid_format":
    case "not_multiple_of":
    case "custom":
      return problem(issue.message);
  }
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearestWord(key, known);
  if (near !== null) return `unknown key '${key}' (did you mean '${near}'?)`;
  return `unknown key '${key}'${known.length === 0 ? "" : ` (known: ${known.join(", ")})`}`;
}

/** A number or boolean where text was expected: what the text would be told, or that it wants quotes. */
function unquotedText(schemas: readonly z.ZodType[], value: number | boolean): string {
  for (const schema of schemas) {
    const asText = schema.safeParse(String(value));
    const message = asText.error?.issues[0]?.message;
    if (message?.startsWith(`'${value}'`)) return message;
  }
  return `${value} is a ${typeof value}, expected text: put it in quotes`;
}

function choice(value: unknown, options: readonly unknown[], path: readonly PropertyKey[]): string {
  const list = listOf(options.map(quoted));
  if (value === undefined) return `is missing (expected ${list})`;
  const near = typeof value === "string" ? nearestWord(value, options.map(String)) : null;
  if (near !== null) return `'${String(value)}' is unknown (did you mean '${near}'?), expected ${list}`;
  return `${describeValue(value, path)}, expected ${list}`;
}

/** Codes that say of a union's branch that it was not meant. */
const MISFIT: ReadonlySet<string> = new Set(["invalid_type", "invalid_value", "unrecognized_keys"]);

/** The one branch that fits the kind of value speaks; otherwise all that would have been taken is listed. */
function union(
  issue: z.core.$ZodIssueInvalidUnion,
  root: z.ZodType,
  input: unknown,
  path: readonly PropertyKey[],
): SchemaProblem[] {
  const value = valueAt(input, path);
  if ("options" in issue && Array.isArray(issue.options)) {
    return [{ path, message: choice(value, issue.options, path), at: "value" }];
  }
  const apart = issue.errors.filter(
    (branch) => !branch.some((one) => one.path.length === 0 && MISFIT.has(one.code)),
  );
  const [only] = apart;
  if (apart.length === 1 && only !== undefined)
    return only.flatMap((inner) => explain(inner, root, input, path));
  const schemas = schemasAt(root, input, path, "all");
  const known = schemas.flatMap((schema) => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []));
  const unknown = isMap(value) ? Object.keys(value).filter((key) => !known.includes(key)) : [];
  if (unknown.length > 0) {
    return unknown.map((key) => ({ path: [...path, key], message: unknownKey(key, known), at: "key" }));
  }
  const wanted = expected(schemas, "another value");
  const told =
    value === undefined
      ? `is missing (expected ${wanted})`
      : `${describeValue(value, path)}, expected ${wanted}`;
  return [{ path, message: told, at: "value" }];
}

function size(origin: string, bound: string, limit: number, value: unknown): string {
  const things = (unit: string) => `${bound} ${limit} ${unit}${limit === 1 ? "" : "s"}`;
  if (origin === "array" || origin === "set") {
    const count = Array.isArray(value) ? value.length : 0;
    return `${count === 0 ? "is empty" : `has ${count} entries`}, expected ${bound} ${limit} ${limit === 1 ? "entry" : "entries"}`;
  }
  if (origin === "string") {
    const length = typeof value === "string" ? value.length : 0;
    return `${length === 0 ? "is empty" : `has ${length} characters`}, expected ${things("character")}`;
  }
  return `${String(value)} is out of range, expected ${bound} ${limit}`;
}

function isMap(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

/**
 * The schemas that speak about a place: more than one under a union. `fitting`: without the branches whose literals (a
 * discriminator) the value contradicts.
 */
function schemasAt(
  root: z.ZodType,
  input: unknown,
  path: readonly PropertyKey[],
  branches: "fitting" | "all" = "fitting",
): z.ZodType[] {
  let value = input;
  let schemas = open(root, value, branches);
  for (const key of path) {
    const child = valueAt(value, [key]);
    schemas = schemas
      .flatMap((schema) => step(schema, key))
      .flatMap((schema) => open(schema, child, branches));
    value = child;
  }
  return schemas;
}

function step(schema: z.ZodType, key: PropertyKey): z.ZodType[] {
  if (schema instanceof z.ZodObject) {
    const inner: unknown = Object.hasOwn(schema.shape, key) ? schema.shape[String(key)] : undefined;
    return inner instanceof z.ZodType ? [inner] : [];
  }
  if (schema instanceof z.ZodArray) return schema.element instanceof z.ZodType ? [schema.element] : [];
  if (schema instanceof z.ZodRecord) return schema.valueType instanceof z.ZodType ? [schema.valueType] : [];
  return [];
}

function open(schema: z.ZodType, value: unknown, branches: "fitting" | "all"): z.ZodType[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodReadonly) {
    const inner = schema.unwrap();
    return inner instanceof z.ZodType ? open(inner, value, branches) : [];
  }
  if (schema instanceof z.ZodPipe)
    return schema.out instanceof z.ZodType ? open(schema.out, value, branches) : [];
  if (!(schema instanceof z.ZodUnion)) return [schema];
  const options = schema.options.filter((option) => option instanceof z.ZodType);
  const fitting = branches === "all" ? options : options.filter((option) => fits(option, value));
  return fitting.flatMap((option) => open(option, value, branches));
}

function fits(schema: z.ZodType, value: unknown): boolean {
  if (!(schema instanceof z.ZodObject)) return true;
  return Object.entries(schema.shape).every(
    ([key, field]) => !(field instanceof z.ZodLiteral) || field.values.has(literalAt(value, key)),
  );
}

function literalAt(value: unknown, key: string): z.core.util.Literal {
  const found = valueAt(value, [key]);
  return typeof found === "string" || typeof found === "number" || typeof found === "boolean"
    ? found
    : undefined;
}
