import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";
import { seeded } from "../subjects.ts";
import {
  blanks,
  type Change,
  name,
  path,
  print,
  select,
  type Tree,
  tokens,
  tree,
  write,
} from "./reference.ts";

/** Starting a scanner takes longer than most of what is tried here. */
const workspace = new Workspace();
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const pseudonymKey = { id: "k1", secret: encoder.encode("a secret of the site") };
const runs = { ...seeded, numRuns: 1500 };

function redact(redactions: readonly Redaction[], json: string): { text: string; count: number } {
  const result = compileRedactor(redactions, { keys: { pseudonym: pseudonymKey }, workspace }).apply(
    encoder.encode(json),
  );
  if (result.type === "failed") throw new Error(`${result.reason}: ${result.error}`);
  return { text: decoder.decode(result.data), count: result.count };
}

function pseudonymOf(node: Tree): string {
  if (node.type === "object" || node.type === "array") return '"***"';
  const content = node.type === "string" ? node.text.value : node.raw;
  const digest = createHmac("sha256", pseudonymKey.secret).update(content).digest();
  return `"psn_k1_${digest.subarray(0, 16).toString("base64url")}"`;
}

describe("a redactor against a slow reference", () => {
  test("masks and pseudonyms change the selected values, and no other byte", () => {
    fc.assert(
      fc.property(tree, blanks, path, path, (root, spaces, masked, renamed) => {
        const stars = select(root, masked);
        const names = select(root, renamed);
        const change: Change = (node) => {
          if (stars.has(node)) return '"***"';
          return names.has(node) ? pseudonymOf(node) : undefined;
        };
        const { text } = redact(
          [
            { path: renamed, with: "pseudonym" },
            { path: masked, with: "mask" },
          ],
          print(root, spaces),
        );
        expect(text).toBe(print(root, spaces, change));
      }),
      runs,
    );
  }, 60_000);

  test("removal takes the selected members and elements, and no other token", () => {
    fc.assert(
      fc.property(tree, blanks, path, path, (root, spaces, removed, masked) => {
        const gone = select(root, removed);
        const stars = select(root, masked);
        const change: Change = (node) => (gone.has(node) ? null : stars.has(node) ? '"***"' : undefined);
        const { text, count } = redact(
          [
            { path: masked, with: "mask" },
            { path: removed, with: "remove" },
          ],
          print(root, spaces),
        );
        expect(tokens(text)).toEqual(tokens(print(root, spaces, change)));
        JSON.parse(text);
        if (gone.size + stars.size === 0) expect(count).toBe(0);
      }),
      runs,
    );
  }, 60_000);

  test("with nothing selected the payload comes back as the same array", () => {
    fc.assert(
      fc.property(tree, blanks, (root, spaces) => {
        const data = encoder.encode(print(root, spaces));
        const result = compileRedactor([{ path: "$..nowhere", with: "mask" }], { workspace }).apply(data);
        if (result.type === "failed") throw new Error(result.error);
        expect(result.data).toBe(data);
      }),
      runs,
    );
  }, 60_000);

  test("a planted secret survives in no form", () => {
    const secret = "hunter2-Zürich-😀";
    const planted = fc
      .tuple(
        name,
        fc.nat(),
        fc.array(tree, { maxLength: 2 }),
        fc.nat({ max: 3 }),
        fc.constantFrom("pin", "card no"),
      )
      .map(([, escapes, around, shape, key]) => {
        const value: Tree = { type: "string", text: write(secret, escapes) };
        const inside: readonly Tree[] = [
          value,
          { type: "array", elements: [...around, value] },
          { type: "object", members: [{ name: write("inner", escapes), value }] },
          { type: "array", elements: [{ type: "object", members: [{ name: write("x", 0), value }] }] },
        ];
        return { name: write(key, escapes), value: inside[shape] ?? value };
      });
    // Trees whose objects also hold secrets, twice under one name.
    const guarded = fc
      .tuple(tree, fc.array(planted, { minLength: 1, maxLength: 4 }), fc.nat({ max: 3 }))
      .map(([root, members, levels]) => {
        let inner: Tree = {
          type: "object",
          members: [...members, { name: write("rest", 0), value: root }, ...members],
        };
        for (let i = 0; i < levels; i++) inner = { type: "array", elements: [root, inner, inner] };
        return inner;
      });
    const action = fc.constantFrom<("mask" | "pseudonym" | "remove")[]>("mask", "pseudonym", "remove");
    fc.assert(
      fc.property(guarded, blanks, action, action, (root, spaces, one, two) => {
        const { text } = redact(
          [
            { path: "$..pin", with: one },
            { path: "$..['card no']", with: two },
          ],
          print(root, spaces),
        );
        for (const form of [text, JSON.stringify(JSON.parse(text)), ...tokens(text).map(unescaped)]) {
          expect(form).not.toContain("hunter2");
          expect(form).not.toContain("ürich");
        }
      }),
      runs,
    );
  }, 60_000);
});

/** A token with its \uXXXX read. */
function unescaped(token: string): string {
  return token.replace(/\\u([0-9a-fA-F]{4})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
