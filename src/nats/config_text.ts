/** Writes nats-server's configuration language from plain data. Every string is quoted, so no value can break out. */

/** A value of the configuration; in a map the key `include` becomes an include directive, and one with `#` a comment. */
export type ConfValue = string | number | boolean | readonly ConfValue[] | ConfMap;
export interface ConfMap {
  readonly [key: string]: ConfValue | undefined;
}

const LINE_WIDTH = 110;

/** The fields of a whole file or of a block, one a line; fields that are `undefined` are left out. */
export function renderFields(fields: ConfMap, indent = ""): string {
  return Object.entries(fields)
    .map(([key, value]) => (value === undefined ? "" : `${indent}${renderField(key, value, indent)}\n`))
    .join("");
}

function renderField(key: string, value: ConfValue, indent: string): string {
  if (key.startsWith("#")) return `# ${String(value).replace(/\p{Cc}/gu, " ")}`;
  if (key === "include") return `include ${renderInline(value)}`;
  if (isList(value)) {
    if (value.every((item) => typeof item !== "object")) {
      const flat = `${key}: ${renderInline(value)}`;
      if (indent.length + flat.length <= LINE_WIDTH) return flat;
    }
    const items = value.map((item) => `${indent}  ${renderItem(item, `${indent}  `)}\n`).join("");
    return `${key}: [\n${items}${indent}]`;
  }
  if (typeof value !== "object") return `${key}: ${renderInline(value)}`;
  const flat = `${key}: ${renderInline(value)}`;
  if (!hasLines(value) && !isNested(value) && indent.length + flat.length <= LINE_WIDTH) return flat;
  return `${key} {\n${renderFields(value, `${indent}  `)}${indent}}`;
}

function renderItem(value: ConfValue, indent: string): string {
  const flat = renderInline(value);
  if (typeof value !== "object" || isList(value)) return flat;
  // The parser knows an include only at the start of a line.
  if (!hasLines(value) && indent.length + flat.length <= LINE_WIDTH) return flat;
  return `{\n${renderFields(value, `${indent}  `)}${indent}}`;
}

function renderInline(value: ConfValue): string {
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value);
  if (isList(value)) return value.length === 0 ? "[]" : `[${value.map(renderInline).join(", ")}]`;
  const fields = Object.entries(value).flatMap(([key, item]) =>
    item === undefined ? [] : [`${key}: ${renderInline(item)}`],
  );
  return `{ ${fields.join(", ")} }`;
}

/** A quoted string; the language knows the escapes `\\`, `\"` and `\xNN`. */
function quote(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that must not stand raw
  const escaped = text.replace(/[\\"\u0000-\u001f\u007f]/g, (character) =>
    character === "\\" || character === '"'
      ? `\\${character}`
      : `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  return `"${escaped}"`;
}

function isList(value: ConfValue): value is readonly ConfValue[] {
  return Array.isArray(value);
}

/** Whether a map holds what must stand in a line of its own. */
function hasLines(value: ConfMap): boolean {
  return Object.keys(value).some((key) => key === "include" || key.startsWith("#"));
}

/** Whether a map holds maps or lists of maps, and so reads better over several lines. */
function isNested(value: ConfMap): boolean {
  return Object.values(value).some(
    (item) =>
      item !== undefined &&
      typeof item === "object" &&
      (!isList(item) || item.some((inner) => typeof inner === "object")),
  );
}
