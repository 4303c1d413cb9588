import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compilePattern } from "../../../../src/policy/schema/pattern.ts";
import { schemaProblems } from "../../../../src/policy/schema/problems.ts";

const told = (schema: unknown) => schemaProblems(schema).map(({ path, message }) => `${path}: ${message}`);
const nested = (depth: number): object => (depth === 0 ? {} : { items: nested(depth - 1) });

describe("schemaProblems()", () => {
  const bad: readonly (readonly [unknown, readonly string[]])[] = [
    [5, ["#: a JSON Schema is a map, true or false"]],
    [
      { propertys: {}, properties: { a: { minimun: 1 } } },
      [
        "#/propertys: unknown keyword 'propertys' (did you mean 'properties'?)",
        "#/properties/a/minimun: unknown keyword 'minimun' (did you mean 'minimum'?)",
      ],
    ],
    [{ $async: true }, ["#/$async: unknown keyword '$async'"]],
    [{ nullable: true, type: "string" }, ["#/nullable: unknown keyword 'nullable'"]],
    [
      { $ref: "https://example.com/order.json" },
      [
        "#/$ref: 'https://example.com/order.json' is not within this schema: only '#', '#/…' and '#anchor' can be followed",
      ],
    ],
    [{ $ref: "#/$defs/no" }, ["#/$ref: '#/$defs/no' names no schema of this document"]],
    [{ $ref: "#/title", title: "x" }, ["#/$ref: '#/title' names no schema of this document"]],
    [
      { $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }] } } },
      [
        "#/$defs/a/anyOf/0/$ref: '#/$defs/a' leads back here without going into the value: it would never end",
      ],
    ],
    [
      { $schema: "http://json-schema.org/draft-07/schema#" },
      [
        "#/$schema: 'http://json-schema.org/draft-07/schema#' is another dialect, expected https://json-schema.org/draft/2020-12/schema",
      ],
    ],
    [
      { $defs: { a: { $id: "https://example.com" } } },
      ["#/$defs/a/$id: a schema within a schema cannot have an '$id' of its own"],
    ],
    [{ format: "emial" }, ["#/format: format 'emial' is not asserted (did you mean 'email'?)"]],
    [{ maximum: 2 ** 53 }, ["#/maximum: 9007199254740992 is beyond ±(2^53-1), where numbers are rounded"]],
    [
      { properties: JSON.parse('{"__proto__":{}}') as unknown },
      ["#/properties/__proto__: '__proto__' cannot be named here"],
    ],
    [
      { items: { contains: true }, anyOf: [{ unevaluatedItems: false }] },
      [
        "#/anyOf: 'anyOf' cannot stand in a schema with 'unevaluatedItems': which elements its branches have looked at is not followed",
        "#/items/contains: 'contains' cannot stand in a schema with 'unevaluatedItems': which elements it has looked at is not followed",
      ],
    ],
    [
      { if: { properties: { a: { const: 1 } } }, unevaluatedProperties: false },
      [
        "#/if: 'if' cannot stand in a schema with 'unevaluatedItems' or 'unevaluatedProperties': what it has looked at is not followed",
      ],
    ],
    [
      { type: "text" },
      [
        "#/type: must be equal to one of the allowed values (array, boolean, integer, null, number, object, string)",
      ],
    ],
    [{ properties: { a: { minimum: "5" } } }, ["#/properties/a/minimum: must be number"]],
    [nested(40), [expect.stringMatching(/^#(\/items){33}: schemas nest deeper than 32$/)] as never],
    [{ const: "x".repeat(70_000) }, ["#: it is 70012 characters long, 65536 are the most"]],
  ];
  test.each(bad)("%j", (schema, problems) => {
    const found = told(schema);
    if (typeof problems[0] === "string" && problems[0].startsWith("#/type"))
      expect(found[0]).toContain("#/type: must be");
    else expect(found).toEqual([...problems]);
  });

  test("patterns with look-around or back references are refused", () => {
    for (const pattern of ["(?=a)", "(a)\\1", "(?<!a)b", "(?i:a)", "a{2000}"]) {
      expect(told({ pattern })).toHaveLength(1);
      expect(told({ patternProperties: { [pattern]: true } })).toHaveLength(1);
    }
  });

  test("content that looks like code is data", () => {
    const evil = "');globalThis.leafmeshPwned=1;('";
    const schema = {
      title: evil,
      properties: { [evil]: { const: evil, enum: [evil] } },
      required: [evil],
      patternProperties: { "';x": true },
      $defs: { [evil]: true },
      dependentRequired: { [evil]: [evil] },
    };
    expect(told(schema)).toEqual([]);
    expect(Reflect.get(globalThis, "leafmeshPwned")).toBeUndefined();
  });
});

describe("compilePattern()", () => {
  test("finds what ECMAScript finds", () => {
    const piece = fc.constantFrom(
      "a",
      ".",
      "\\s",
      "\\S",
      "\\d",
      "\\w",
      "\\b",
      "[^a]",
      "[\\s-]",
      "[a-c]",
      "\\u00e9",
      "\\u{1f642}",
      "🙂",
      "^",
      "$",
      "(?:a|b)",
      "(?<n>a)",
      "\\p{L}",
      "\\.",
      "\\/",
      "\\x61",
      "\\cJ",
      "[\\d\\-]",
      "\\0",
      "[&&]",
      "[~-]",
    );
    const pattern = fc
      .array(fc.tuple(piece, fc.constantFrom("", "", "*", "+?", "{1,2}")), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.map(([one, times]) => (/^(\^|\$|\\b)$/.test(one) ? one : one + times)).join(""))
      .filter((text) => (text.match(/\(\?<n>/g) ?? []).length < 2);
    const text = fc.array(
      fc.constantFrom(
        "a",
        "b",
        "é",
        "🙂",
        " ",
        "\u00a0",
        "\n",
        "\r",
        "\u2028",
        "\v",
        "1",
        "_",
        "-",
        ".",
        "/",
        "\0",
        "&",
        "~",
      ),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(pattern, text, (source, characters) => {
        const compiled = compilePattern(source);
        if (compiled.type === "invalid") throw new Error(compiled.problem);
        const input = characters.join("");
        expect([source, input, compiled.pattern.test(input)]).toEqual([
          source,
          input,
          new RegExp(source, "u").test(input),
        ]);
      }),
      { seed: 11, numRuns: 2000 },
    );
  });
});
