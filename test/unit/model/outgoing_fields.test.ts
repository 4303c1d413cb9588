import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { parseLocated } from "../../../src/model/site_file.ts";

/** What is wrong with a policy whose rule has one more line. */
function problemsOf(line: string): string[] {
  const text = `name: a\nto: [tokyo]\nrules:\n  - subjects: ["acme.a"]\n    ${line}\n`;
  try {
    parseLocated(ExportPolicy, text, "policy.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof LeafmeshError)) throw error;
    return (error.problems ?? []).map((one) => `${one.line}:${one.column} ${one.path}: ${one.message}`);
  }
}

describe("envelope, headers and rewrite of a rule", () => {
  test.each([
    [
      "envelope: yes",
      "5:15 rules[0].envelope: 'yes' is text, expected 'cloudevents' or 'cloudevents-structured' or a map",
    ],
    [
      "envelope: { out: xml }",
      "5:22 rules[0].envelope.out: 'xml' is text, expected 'same', 'binary' or 'structured'",
    ],
    ["envelope: { typ: a }", "5:17 rules[0].envelope.typ: unknown key 'typ' (did you mean 'type'?)"],
    [
      "envelope: { type: 'a b' }",
      "5:23 rules[0].envelope.type: 'a b' has white space or what is not printable ASCII",
    ],
    ["envelope: { source: '' }", "5:25 rules[0].envelope.source: '' is empty"],
    ["rewrite: 5", "5:14 rules[0].rewrite: 5 is a number, expected text: put it in quotes"],
    [
      "rewrite: 'a b'",
      "5:14 rules[0].rewrite: 'a b' is no subject to rewrite to: it has white space or a control character in token 1",
    ],
    [
      `rewrite: 'acme.${"a".repeat(256)}'`,
      `5:14 rules[0].rewrite: 'acme.${"a".repeat(256)}' is no subject to rewrite to: it is longer than 256 characters`,
    ],
    [
      "rewrite: 'acme.>.a'",
      "5:14 rules[0].rewrite: 'acme.>.a' is no subject to rewrite to: it has '>' before its last token",
    ],
    ["headers: { keep: [] }", "5:22 rules[0].headers.keep: is empty, expected at least 1 entry"],
    ["headers: { rename: { a: 'b c' } }", "5:29 rules[0].headers.rename.a: 'b c' is no header name"],
    ["headers: { rename: { 'a b': c } }", "5:26 rules[0].headers.rename[\"a b\"]: 'a b' is no header name"],
    [
      "headers: { rename: { __proto__: c } }",
      "5:37 rules[0].headers.rename.__proto__: '__proto__' cannot be named here",
    ],
    [
      "headers: { set: { a: b, __proto__: c } }",
      "5:40 rules[0].headers.set.__proto__: '__proto__' cannot be named here",
    ],
    [
      "headers: { set: { a: 1 } }",
      "5:26 rules[0].headers.set.a: 1 is a number, expected text: put it in quotes",
    ],
    ["headers: { mask: ['*'] }", "5:23 rules[0].headers.mask[0]: '*' is no header name (a '*' may end it)"],
    ["headers: { rename: [a] }", "5:24 rules[0].headers.rename: is a list, expected a map"],
    ["headers: { keeps: [a] }", "5:16 rules[0].headers.keeps: unknown key 'keeps' (did you mean 'keep'?)"],
    [
      "deny: true\n    rewrite: acme.b",
      "6:14 rules[0].rewrite: a rule that denies cannot also rewrite subjects: nothing of the event leaves",
    ],
  ])("%s is refused", (line, problem) => {
    expect(problemsOf(line)).toEqual([problem]);
  });

  test.each([
    "envelope: cloudevents",
    "envelope: { in: structured, out: binary, type: com.example.a, source: 'urn:a' }",
    "rewrite: 'acme.{{wildcard(1)}}.b'",
    "headers: { keep: ['x-*'], mask: [x-a], rename: { a: b } }",
  ])("%s is taken", (line) => {
    expect(problemsOf(line)).toEqual([]);
  });
});
