/** A slow, obvious reading of JSONPath over a tree that remembers how it is written, to hold the redactor against. */
import fc from "fast-check";
import { parsePath, type Segment } from "../../../../src/policy/redact/path.ts";

export type Tree =
  | { readonly type: "object"; readonly members: readonly { readonly name: Text; readonly value: Tree }[] }
  | { readonly type: "array"; readonly elements: readonly Tree[] }
  | { readonly type: "string"; readonly text: Text }
  | { readonly type: "other"; readonly raw: string };

/** A string and how it is written. */
export interface Text {
  readonly value: string;
  readonly raw: string;
}

/** A string literal of `value`; bit n of `escapes` writes the n-th code unit as \uXXXX. */
export function write(value: string, escapes: number): Text {
  let raw = "";
  for (let i = 0; i < value.length; i++) {
    const unit = value[i] ?? "";
    const hex = value.charCodeAt(i).toString(16).padStart(4, "0");
    const forced = ((escapes >>> (i % 31)) & 1) === 1;
    // Both halves of a pair are written the same way.
    const half = /[\ud800-\udfff]/.test(unit);
    if (forced && !half) raw += `\\u${i % 2 === 0 ? hex : hex.toUpperCase()}`;
    else raw += half ? unit : JSON.stringify(unit).slice(1, -1);
  }
  return { value, raw: `"${raw}"` };
}

const NAMES = ["a", "b", "email", "phone", "é", "", "a b", "constructor"];
export const name: fc.Arbitrary<Text> = fc
  .tuple(fc.constantFrom(...NAMES), fc.nat())
  .map(([v, e]) => write(v, e));
const text: fc.Arbitrary<Text> = fc
  .tuple(
    fc.oneof(fc.constantFrom("x@example.com", "a@b@c", "", "日本語 😀"), fc.string({ unit: "grapheme" })),
    fc.nat(),
  )
  .map(([v, e]) => write(v.toWellFormed(), e));
const raw = fc.constantFrom("1.0", "1e400", "-0", "12345678901234567890", "0.1E-7", "true", "false", "null");

export const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    raw.map((one): Tree => ({ type: "other", raw: one })),
    text.map((one): Tree => ({ type: "string", text: one })),
    fc
      .array(fc.record({ name, value: tie("tree") }), { maxLength: 6 })
      .map((members): Tree => ({ type: "object", members })),
    fc.array(tie("tree"), { maxLength: 6 }).map((elements): Tree => ({ type: "array", elements })),
  ),
})).tree;

/** White space to put between tokens, over and over. */
export const blanks: fc.Arbitrary<readonly string[]> = fc.array(
  fc.constantFrom("", "", " ", "\n\t", "\r\n  "),
  {
    minLength: 1,
    maxLength: 7,
  },
);

export const path: fc.Arbitrary<string> = fc
  .array(
    fc.constantFrom(
      ".a",
      ".b",
      ".email",
      "['a b']",
      "['\\u00e9']",
      '[""]',
      ".*",
      "[*]",
      "[0]",
      "[1:3]",
      "[2:]",
      "..a",
      "..phone",
      "..*",
      "..[0]",
      "['a','b']",
      "..['email',1]",
      ".constructor",
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => `$${parts.join("")}`);

/** The nodes that a path selects. */
export function select(root: Tree, text: string): Set<Tree> {
  const parsed = parsePath(text);
  if (parsed.type === "invalid") throw new Error(`${text} ${parsed.problem}`);
  let nodes = new Set([root]);
  for (const segment of parsed.segments) {
    const from = segment.descendant ? new Set([...nodes].flatMap((node) => [...below(node)])) : nodes;
    nodes = new Set([...from].flatMap((node) => children(node, segment)));
  }
  return nodes;
}

function* below(node: Tree): Generator<Tree> {
  yield node;
  for (const child of all(node)) yield* below(child);
}

function all(node: Tree): readonly Tree[] {
  if (node.type === "object") return node.members.map((member) => member.value);
  return node.type === "array" ? node.elements : [];
}

function children(node: Tree, segment: Segment): Tree[] {
  return segment.selectors.flatMap((selector) => {
    if (selector.type === "wildcard") return all(node);
    if (selector.type === "name") {
      if (node.type !== "object") return [];
      return node.members
        .filter((member) => member.name.value === selector.name)
        .map((member) => member.value);
    }
    return node.type === "array" ? node.elements.slice(selector.from, selector.to) : [];
  });
}

/** What to write instead of a node: a text, `null` to leave it out, `undefined` to write it as it is. */
export type Change = (node: Tree) => string | null | undefined;

/** Writes a tree. */
export function print(node: Tree, spaces: readonly string[], change: Change = () => undefined): string {
  let count = 0;
  const blank = () => spaces[count++ % spaces.length] ?? "";
  const value = (one: Tree): string => {
    const changed = change(one);
    const written = plain(one);
    return changed === undefined ? written : (changed ?? "");
  };
  const list = (parts: readonly (string | null)[], open: string, close: string) =>
    `${open}${parts.filter((part) => part !== null).join(",")}${blank()}${close}`;
  const plain = (one: Tree): string => {
    switch (one.type) {
      case "other":
        return one.raw;
      case "string":
        return one.text.raw;
      case "array":
        return list(
          one.elements.map((element) => {
            const written = `${blank()}${value(element)}${blank()}`;
            return change(element) === null ? null : written;
          }),
          "[",
          "]",
        );
      case "object":
        return list(
          one.members.map((member) => {
            const written = `${blank()}${member.name.raw}${blank()}:${blank()}${value(member.value)}${blank()}`;
            return change(member.value) === null ? null : written;
          }),
          "{",
          "}",
        );
    }
  };
  return `${blank()}${value(node)}${blank()}`;
}

/** The tokens of a JSON text, without white space. */
export function tokens(json: string): string[] {
  return json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs) ?? [];
}
