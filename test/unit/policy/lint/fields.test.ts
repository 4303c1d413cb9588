/** Whether redactions cover a field: by examples, and against the redactor on documents that hold every short path. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type JsonValue, query } from "jsonpath-rfc9535";
import type { Redaction, Rule } from "../../../../src/model/schema/policy.ts";
import { isRedacted, treatmentOf } from "../../../../src/policy/lint/fields.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";
import { seeded } from "../subjects.ts";

const workspace = new Workspace();

const mask = (...paths: string[]): Redaction[] => paths.map((path) => ({ path, with: "mask" }));
const remove = (...paths: string[]): Redaction[] => paths.map((path) => ({ path, with: "remove" }));
/** What a rule with these redactions does. */
const by = (redact: Redaction[], envelope?: Rule["envelope"]) =>
  treatmentOf({ redact, ...(envelope === undefined ? {} : { envelope }) });

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
    expect(isRedacted(path, [by(redactions)])).toBe(true);
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
    expect(isRedacted(path, [by(redactions)])).toBe(false);
  });

  test("a detector is no proof", () => {
    const detectors: Redaction[] = [
      { path: "$", detect: ["email"], with: "mask" },
      { detect: ["email"], with: "remove" },
    ];
    expect(isRedacted(field, [by(detectors)])).toBe(false);
  });

  test("what only shortens is no proof", () => {
    expect(isRedacted(field, [by([{ path: field, with: "truncate", length: 4 }])])).toBe(false);
  });

  test.each<Redaction>([
    { path: field, with: "replace", value: null },
    { path: field, with: "pseudonym" },
    { path: field, with: "encrypt" },
    { path: field, with: "mask", keep: "domain" },
  ])("%j hides", (redaction) => {
    expect(isRedacted(field, [by([redaction])])).toBe(true);
  });

  test("any rule on the way will do, but indexes move where elements are removed", () => {
    const way = (...rules: Redaction[][]) =>
      isRedacted(
        "$.a[1].b",
        rules.map((rule) => by(rule)),
      );
    expect(way([], mask("$.a[1].b"))).toBe(true);
    expect(way(remove("$.c"), mask("$.a[1].b"))).toBe(true);
    expect(way(remove("$.a[0]"), mask("$.a[1].b"))).toBe(false);
    expect(way(remove("$.a[0]"), mask("$.a[*].b"))).toBe(true);
    expect(way(mask("$.a[1].c"), mask("$.d"))).toBe(false);
  });

  test("behind a rule that changes the form of events, only one that means their data counts", () => {
    const way = (first: Rule["envelope"], second: Rule["envelope"]) =>
      isRedacted(field, [by([], first), by(mask(field), second)]);
    expect(way(undefined, undefined)).toBe(true);
    expect(way("cloudevents-structured", undefined)).toBe(false);
    expect(way("cloudevents-structured", "cloudevents")).toBe(true);
    expect(way("cloudevents", { out: "structured" })).toBe(true);
    expect(way("cloudevents", { in: "none" })).toBe(false);
  });

  test("agrees with the redactor on documents that hold every path of four steps", () => {
    let covered = 0;
    fc.assert(
      fc.property(path, fc.array(path, { minLength: 1, maxLength: 3 }), (wanted, paths) => {
        const redactor = compileRedactor(mask(...paths), { workspace });
        const left = DOCUMENTS.some(({ bytes, value }) => {
          const redacted = redactor.apply(bytes);
          if (redacted.type === "failed") throw new Error(redacted.error);
          const text = new TextDecoder().decode(redacted.data);
          return query(value, wanted)
            .flatMap(leavesOf)
            .some((secret) => text.includes(secret));
        });
        expect(isRedacted(wanted, [by(mask(...paths))])).toBe(!left);
        if (!left) covered += 1;
      }),
      seeded,
    );
    expect(covered).toBeGreaterThan(40);
  }, 30_000);
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
