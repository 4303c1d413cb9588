/** Whether redactions cover a field: by examples, and against the redactor on documents that hold every short path. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type JsonValue, query } from "jsonpath-rfc9535";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import { isRedacted } from "../../../../src/policy/lint/fields.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { seeded } from "../subjects.ts";

const mask = (...paths: string[]): Redaction[] => paths.map((path) => ({ path, with: "mask" }));
const remove = (...paths: string[]): Redaction[] => paths.map((path) => ({ path, with: "remove" }));

describe("isRedacted()", () => {
  const field = "$.customer.email";
  test.each([
    [field, mask("$.customer.email")],
    [field, mask("$..email")],
    [field, mask("$.*.email")],
    [field, mask("$.customer.*")],
    [field, remove("$.customer")],
    [field, mask("$")],
    [field, mask("$['customer']['em\\u0061il']")],
    [field, mask("$.customer['phone','email']")],
    [field, mask("$..customer..email")],
    ["$..email", mask("$..*")],
    ["$.items[*].email", mask("$.items[0:5].email", "$.items[5:].email", "$.items.*.email")],
    ["$.items[2].email", mask("$.items[0:5].email")],
    ["$.a['x','y']", mask("$.a.x", "$.a.y")],
  ])("%s is covered by %j", (path, redactions) => {
    expect(isRedacted(path, [redactions])).toBe(true);
  });

  test.each([
    [field, []],
    [field, mask("$.email")],
    [field, mask("$.customer.emails")],
    [field, mask("$.customer.email.text")],
    [field, mask("$.Customer.email")],
    [field, mask("$.customer[0]")],
    ["$..email", mask("$.*.email")],
    ["$.*.email", mask("$.customer.email")],
    ["$.items[*].email", mask("$.items[0].email")],
    ["$.items[*].email", mask("$.items[0:5].email", "$.items[5:].email")],
    ["$..a..b", mask("$.*..a..b")],
    ["no path", mask("$")],
  ])("%s is not covered by %j", (path, redactions) => {
    expect(isRedacted(path, [redactions])).toBe(false);
  });

  test("a detector is no proof", () => {
    const detector = [
      { path: "$", detect: ["email"], with: "mask" },
      { detect: ["email"], with: "remove" },
    ];
    expect(isRedacted(field, [detector as unknown as Redaction[]])).toBe(false);
  });

  test("what only shortens is no proof", () => {
    const truncate = [{ path: field, with: "truncate", length: 4 }] as unknown as Redaction[];
    expect(isRedacted(field, [truncate])).toBe(false);
  });

  test("any rule on the way will do, but indexes move where elements are removed", () => {
    expect(isRedacted("$.a[1].b", [[], mask("$.a[1].b")])).toBe(true);
    expect(isRedacted("$.a[1].b", [remove("$.c"), mask("$.a[1].b")])).toBe(true);
    expect(isRedacted("$.a[1].b", [remove("$.a[0]"), mask("$.a[1].b")])).toBe(false);
    expect(isRedacted("$.a[1].b", [remove("$.a[0]"), mask("$.a[*].b")])).toBe(true);
    expect(isRedacted("$.a.b", [mask("$.a.c"), mask("$.d")])).toBe(false);
  });

  test("agrees with the redactor on documents that hold every path of four steps", () => {
    let covered = 0;
    fc.assert(
      fc.property(path, fc.array(path, { minLength: 1, maxLength: 3 }), (wanted, paths) => {
        const redactor = compileRedactor(mask(...paths));
        const left = DOCUMENTS.some(({ bytes, value }) => {
          const redacted = redactor.apply(bytes);
          if (redacted.type === "failed") throw new Error(redacted.error);
          const text = new TextDecoder().decode(redacted.data);
          return query(value, wanted)
            .flatMap(leavesOf)
            .some((secret) => text.includes(secret));
        });
        expect(isRedacted(wanted, [mask(...paths)])).toBe(!left);
        if (!left) covered += 1;
      }),
      seeded,
    );
    expect(covered).toBeGreaterThan(40);
  });
});

const name = fc.constantFrom("a", "b");
const selector = fc.oneof(
  { weight: 3, arbitrary: name.map((one) => `.${one}`) },
  { weight: 2, arbitrary: fc.constant(".*") },
  { weight: 1, arbitrary: fc.constantFrom("[0]", "[1:]", "[:2]", "['a','b']", "['a',1]") },
  { weight: 2, arbitrary: fc.constantFrom("..a", "..b", "..*", "..[0]") },
);
const path = fc.array(selector, { minLength: 1, maxLength: 3 }).map((parts) => `$${parts.join("")}`);

/** The texts below a value. */
function leavesOf(value: JsonValue): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(leavesOf) : [];
}

/** Each level is all objects or all arrays, in every mixture and depth: together they hold every path of names and indexes. */
const DOCUMENTS = [1, 2, 3, 4, 5].flatMap((deepest) =>
  Array.from({ length: 2 ** deepest }, (_, kinds) => {
    let next = 0;
    const build = (depth: number): JsonValue => {
      if (depth === deepest) return `<${next++}>`;
      const [a = null, b = null, other = null] = [0, 1, 2].map(() => build(depth + 1));
      return (kinds >> depth) % 2 === 0 ? [a, b, other] : { a, b, other };
    };
    const value = build(0);
    return { value, bytes: new TextEncoder().encode(JSON.stringify(value)) };
  }),
);
