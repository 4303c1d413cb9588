/** Planted secrets: whatever the action or detector, and however a text is escaped, none of it survives, and nothing else changes. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import { DETECTOR_NAMES, type DetectorName } from "../../../../src/model/schema/redaction.ts";
import { decryptValue } from "../../../../src/policy/redact/encrypt.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";
import { seeded } from "../subjects.ts";
import { blanks, type Change, print, select, type Tree, tree, write } from "./reference.ts";

/** One for all: starting a scanner takes longer than most of what is tried here. */
const workspace = new Workspace();
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const runs = { ...seeded, numRuns: 600 };
const encrypt = { id: "e1", secret: new Uint8Array(32).fill(9) };
const keys = { pseudonym: { id: "k1", secret: new Uint8Array(32).fill(5) }, encrypt };

function redact(redactions: readonly Redaction[], json: string): string {
  const result = compileRedactor(redactions, { keys, tenant: "acme", workspace }).apply(encoder.encode(json));
  if (result.type === "failed") throw new Error(`${result.reason}: ${result.error}`);
  return decoder.decode(result.data);
}

/** Every form in which a text may be read off a payload. */
function forms(json: string): string[] {
  const unescaped = json.replace(/\\u([0-9a-fA-F]{4})/g, (_, hex) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return [json, unescaped, JSON.stringify(JSON.parse(json))];
}

describe("a value that a path selects", () => {
  const secret = "hunter2-Zürich-😀";
  const actions: readonly [string, Redaction][] = [
    ["remove", { path: "$..pin", with: "remove" }],
    ["mask", { path: "$..pin", with: "mask" }],
    ["mask with its length", { path: "$..pin", with: "mask", keep: "length" }],
    ["mask with its domain", { path: "$..pin", with: "mask", keep: "domain" }],
    ["mask with its ends", { path: "$..pin", with: "mask", keep: { first: 3, last: 3 } }],
    ["replace", { path: "$..pin", with: "replace", value: 'a "text"' }],
    ["replace by a number", { path: "$..pin", with: "replace", value: -1.5 }],
    ["truncate", { path: "$..pin", with: "truncate", length: 3 }],
    ["pseudonym", { path: "$..pin", with: "pseudonym" }],
    ["encrypt", { path: "$..pin", with: "encrypt" }],
  ];
  const planted = fc
    .tuple(tree, blanks, fc.nat(), fc.nat(), fc.nat({ max: 3 }))
    .map(([rest, spaces, escapes, named, shape]) => {
      const value: Tree = { type: "string", text: write(secret, escapes) };
      const inner: readonly Tree[] = [
        value,
        { type: "array", elements: [rest, value] },
        { type: "object", members: [{ name: write("x", 0), value }] },
        { type: "array", elements: [{ type: "array", elements: [value] }] },
      ];
      const member = { name: write("pin", named), value: inner[shape] ?? value };
      const root: Tree = {
        type: "object",
        members: [member, { name: write("rest", 0), value: rest }, member],
      };
      return { root, spaces };
    });

  test.each(actions)("%s: nothing of its middle is left, in any form", (_, redaction) => {
    fc.assert(
      fc.property(planted, ({ root, spaces }) => {
        const json = redact([redaction], print(root, spaces));
        for (const form of forms(json)) expect(form).not.toMatch(/ter2|ürich|Zür/);
      }),
      runs,
    );
  });

  test("encrypt: comes back byte for byte, and no other byte changes", () => {
    fc.assert(
      fc.property(tree, blanks, (root, spaces) => {
        const nodes = select(root, "$..['a','email',1]");
        const hidden: string[] = [];
        const json = redact([{ path: "$..['a','email',1]", with: "encrypt" }], print(root, spaces));
        // Every value as it stands in the payload: the outermost of those that are selected.
        const opened = json.replace(/"(enc_e1_[A-Za-z0-9_-]+)"/g, (_, value: string) => {
          hidden.push(value);
          return decryptValue(value, [encrypt], "acme");
        });
        expect(opened).toBe(print(root, spaces));
        expect(hidden.length > 0).toBe(nodes.size > 0);
      }),
      runs,
    );
  });
});

/** Texts that a detector must find, each with the part that may not survive. */
const PLANTS: Readonly<Record<DetectorName, fc.Arbitrary<string>>> = {
  email: fc
    .tuple(
      fc.stringMatching(/^[a-z][a-z0-9._+-]{2,10}[a-z]$/),
      fc.stringMatching(/^[a-z]{3,9}\.(?:com|de|example)$/),
    )
    .map(([local, domain]) => `${local}@${domain}`),
  card: fc
    .tuple(fc.stringMatching(/^[2-9][0-9]{14}$/), fc.constantFrom("", " ", "-", "\u00a0"))
    .map(([digits, separator]) => (withCheckDigit(digits).match(/.{4}/g) ?? []).join(separator)),
  iban: fc
    .tuple(fc.stringMatching(/^[0-9]{18}$/), fc.constantFrom("", " "))
    .map(([bban, separator]) => (germanIban(bban).match(/.{1,4}/g) ?? []).join(separator)),
  phone: fc
    .tuple(
      fc.stringMatching(/^[1-9][0-9]{2}$/),
      fc.stringMatching(/^[0-9]{7}$/),
      fc.constantFrom(" ", "-", "/", ""),
    )
    .map(([area, line, separator]) => `+49${separator}${area}${separator}${line}`),
  ip: fc.oneof(
    fc.ipV4(),
    fc.ipV6().filter((one) => one.length > 6),
  ),
  token: fc.stringMatching(/^[A-Za-z0-9]{36}$/).map((one) => `ghp_${one}`),
};

function withCheckDigit(digits: string): string {
  let sum = 0;
  for (const [index, digit] of [...digits].reverse().entries()) {
    const doubled = index % 2 === 0 ? Number(digit) * 2 : Number(digit);
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return `${digits}${(10 - (sum % 10)) % 10}`;
}

function germanIban(bban: string): string {
  // D is 13, E is 14.
  const check = 98n - (BigInt(`${bban}131400`) % 97n);
  return `DE${String(check).padStart(2, "0")}${bban}`;
}

describe("what a detector finds in a text", () => {
  // Nothing that a detector could take for a part of what is planted.
  const around = fc.constantFrom("", "see: ", "ü, ", "😀 (", '"\\\n\t', "日本語: ", "<b> ");
  const behind = fc.constantFrom("", ", ok", "; ü", " 😀", ")", '"\\', "\n");

  for (const name of DETECTOR_NAMES) {
    test(`${name}: is gone however it is escaped, and every other byte is as it was`, () => {
      fc.assert(
        fc.property(
          tree,
          blanks,
          around,
          PLANTS[name],
          behind,
          fc.nat(),
          fc.nat(),
          (rest, spaces, before, plant, after, a, b) => {
            // The escapes of each part are its own, so the text that should come out can be written down.
            const raw = (text: string, escapes: number) => write(text, escapes).raw.slice(1, -1);
            const text = (middle: string): Tree => ({
              type: "string",
              text: { value: "", raw: `"${raw(before, a)}${middle}${raw(after, b)}"` },
            });
            const value = text(raw(plant, a ^ b));
            const root: Tree = {
              type: "array",
              elements: [{ type: "object", members: [{ name: write("t", 0), value }] }, rest],
            };
            const found = new Set<Tree>([value]);
            const change: Change = (node) =>
              found.has(node) ? `"${raw(before, a)}***${raw(after, b)}"` : undefined;
            const json = redact([{ path: "$[0]", detect: [name], with: "mask" }], print(root, spaces));
            expect(json).toBe(print(root, spaces, change));
            for (const form of forms(
              redact([{ path: "$[0]", detect: [name], with: "pseudonym" }], print(root, spaces)),
            )) {
              expect(form).not.toContain(plant);
            }
          },
        ),
        runs,
      );
    }, 60_000);
  }

  test("all of them together, in every string of a payload, and nothing throws for any text", () => {
    const all: Redaction = {
      detect: [...DETECTOR_NAMES, { name: "pin", pattern: "PIN-[0-9]{4}" }],
      with: "remove",
    };
    const redactor = compileRedactor([all]);
    const piece = fc.oneof(
      ...Object.values(PLANTS),
      fc.constantFrom(
        "PIN-1234",
        "@",
        ".",
        "+49",
        "::",
        "1.2.3",
        "Bearer ",
        "eyJ",
        "-----BEGIN ",
        "%40",
        " ",
        "é",
        "😀",
        "DE89",
      ),
      fc.string({ unit: "binary", maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(), (pieces, escapes) => {
        const text = pieces.join("").toWellFormed();
        const result = redactor.apply(encoder.encode(`[${write(text, escapes).raw}]`));
        if (result.type === "failed") throw new Error(result.error);
        const [left] = JSON.parse(decoder.decode(result.data)) as [string];
        // What is left is the text with parts taken out, in order.
        let at = 0;
        for (const char of left) {
          at = text.indexOf(char, at);
          expect(at).toBeGreaterThanOrEqual(0);
          at += char.length;
        }
        expect(left).not.toMatch(/PIN-[0-9]{4}/);
      }),
      { ...seeded, numRuns: 3000 },
    );
  }, 60_000);

  test("long texts made to be slow are looked through in time that grows with their length", () => {
    const all = compileRedactor([{ detect: [...DETECTOR_NAMES], with: "mask" }]);
    const size = 200_000;
    const texts = [
      "@",
      "a@",
      "a@b.",
      "a.b%40a.co",
      "1",
      "1 ",
      "12 ",
      "1234 ",
      ".",
      "1.",
      ":",
      "a:",
      "1:",
      "::",
      "+",
      "+1",
      "(",
      "0",
      "00",
      "DE",
      "DE89",
      "-",
      "-----BEGIN PRIVATE KEY",
      "Bearer ",
      "eyJ",
      "aB1",
      "é@",
      "\\u0040",
      "1.1.1.1",
      "-s",
      "a=bearer ",
    ];
    for (const text of texts) {
      const data = encoder.encode(`["${text.repeat(Math.floor(size / text.length))}"]`);
      const start = performance.now();
      expect(all.apply(data).type).toBe("ok");
      // A second is a hundred times what it takes; what grows with the square takes minutes.
      expect(performance.now() - start).toBeLessThan(5000);
    }
  }, 120_000);
});
