/** How values and schemas are called in messages. */
import { z } from "zod";

const MAX_SHOWN = 60;
/** Fields whose values may be secrets: a wrong value there is described by its kind alone. */
const SECRET_FIELD = /token|secret|password|seed|credential|key$/i;

/** `5 is a number`, `'yes' is text`, `a list`: what was found, short. */
export function describeValue(value: unknown, path: readonly PropertyKey[]): string {
  if (value === null) return "is empty";
  if (Array.isArray(value)) return "is a list";
  if (typeof value === "object") return "is a map";
  if (typeof value !== "string") return `${String(value)} is a ${typeof value}`;
  const secret = path.some((part) => typeof part === "string" && SECRET_FIELD.test(part));
  if (secret) return "is text";
  const shown = value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
  return `'${shown}' is text`;
}

/** What would have been taken: `text`, `a list`, `'domain' or a map with 'first'`. */
export function expected(schemas: readonly z.ZodType[], fallback: string): string {
  const words = [...new Set(schemas.map(word).filter((text) => text !== null))];
  return words.length === 0 ? (KINDS[fallback] ?? fallback) : listOf(words);
}

/** `a, b or c`. */
export function listOf(words: readonly string[]): string {
  const last = words[words.length - 1] ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

/** Text in quotes, other values as they are. */
export function quoted(value: unknown): string {
  return typeof value === "string" ? `'${value}'` : String(value);
}

const KINDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  record: "a map",
};

function word(schema: z.ZodType): string | null {
  if (schema instanceof z.ZodLiteral) return listOf([...schema.values].map(quoted));
  if (schema instanceof z.ZodEnum) return listOf(schema.options.map(quoted));
  if (schema instanceof z.ZodObject) {
    const required = Object.entries(schema.shape).flatMap(([key, field]) =>
      field instanceof z.ZodOptional ? [] : [`'${key}'`],
    );
    return required.length === 0 ? "a map" : `a map with ${required.join(", ")}`;
  }
  if (schema instanceof z.ZodString) return "text";
  if (schema instanceof z.ZodNumber) return "a number";
  if (schema instanceof z.ZodBoolean) return "true or false";
  if (schema instanceof z.ZodArray) return "a list";
  if (schema instanceof z.ZodRecord) return "a map";
  return null;
}
