import { describe, expect, test } from "bun:test";
import type { JsonSchema } from "../../../../src/model/schema/contract.ts";
import { PayloadParser } from "../../../../src/policy/payload.ts";
import { compileContract } from "../../../../src/policy/schema/contract.ts";

const payloads = new PayloadParser();
const text = new TextEncoder();

/** What a contract has against a payload: `null`, or keyword and place. */
function verdict(schema: JsonSchema, payload: string): string | null {
  const failure = compileContract("s@1", schema, payloads).failure(text.encode(payload));
  if (failure === null) return null;
  return /^Not valid by schema s@1: (.*)$/.exec(failure.error)?.[1] ?? `${failure.reason}: ${failure.error}`;
}

const at = (keyword: string, place: string) => `'${keyword}' fails at ${place}`;
const ROOT = "the payload itself";
const TOO_EXACT = "schema_invalid: A number of the payload is beyond what a validator can hold exactly";

/** Schema, valid payloads, payloads that are not with what is said. */
const CASES: readonly [string, JsonSchema, readonly string[], readonly (readonly [string, string])[]][] = [
  ["true", true, ["1", "{}"], []],
  ["false", false, [], [["1", at("false schema", ROOT)]]],
  [
    "type",
    { type: ["integer", "null"] },
    ["1", "1.0", "-3e2", "null", "9007199254740993"],
    [
      ["1.5", at("type", ROOT)],
      ['"1"', at("type", ROOT)],
    ],
  ],
  [
    "properties and required",
    { type: "object", required: ["id"], properties: { id: { type: "string" }, n: { minimum: 0 } } },
    ['{"id":"x"}', '{"id":"x","n":0,"more":[]}', '{"id":"","n":"text"}'],
    [
      ["{}", at("required", ROOT)],
      ['{"id":1}', at("type", "'/id'")],
      ['{"id":"x","n":-1}', at("minimum", "'/n'")],
    ],
  ],
  [
    "members that every object of JavaScript has",
    { required: ["constructor"], properties: { toString: { type: "string" } } },
    ['{"constructor":1}', '{"constructor":1,"toString":"x"}'],
    [
      ["{}", at("required", ROOT)],
      ['{"constructor":1,"toString":2}', at("type", "'/toString'")],
    ],
  ],
  [
    "additionalProperties",
    {
      properties: { a: true },
      patternProperties: { "^x-": { type: "string" } },
      additionalProperties: false,
    },
    ['{"a":1,"x-b":"c"}', "{}"],
    [
      ['{"constructor":1}', at("additionalProperties", ROOT)],
      ['{"__proto__":1}', at("additionalProperties", ROOT)],
      ['{"x-b":1}', at("type", "'/*'")],
    ],
  ],
  [
    "unevaluatedProperties",
    { allOf: [{ properties: { a: true } }], properties: { b: true }, unevaluatedProperties: false },
    ['{"a":1,"b":2}'],
    [['{"c":1}', at("unevaluatedProperties", ROOT)]],
  ],
  [
    "propertyNames and numbers of members",
    { propertyNames: { maxLength: 2 }, minProperties: 1, maxProperties: 2 },
    ['{"ab":1}'],
    [
      ['{"abc":1}', at("propertyNames", ROOT)],
      ["{}", at("minProperties", ROOT)],
      ['{"a":1,"b":1,"c":1}', at("maxProperties", ROOT)],
    ],
  ],
  [
    "dependentRequired and dependentSchemas",
    { dependentRequired: { a: ["b"] }, dependentSchemas: { c: { required: ["d"] } } },
    ['{"a":1,"b":1}', '{"c":1,"d":1}', "{}"],
    [
      ['{"a":1}', at("dependentRequired", ROOT)],
      ['{"c":1}', at("required", ROOT)],
    ],
  ],
  [
    "items and prefixItems",
    { prefixItems: [{ type: "string" }], items: { type: "integer" }, minItems: 1, maxItems: 3 },
    ['["a"]', '["a",1,2]'],
    [
      ["[1]", at("type", "'/0'")],
      ['["a","b"]', at("type", "'/1'")],
      ["[]", at("minItems", ROOT)],
      ['["a",1,2,3]', at("maxItems", ROOT)],
    ],
  ],
  [
    "contains",
    { contains: { const: 1 }, maxContains: 1 },
    ["[1,2]"],
    [
      ["[2]", at("contains", ROOT)],
      ["[1,1]", at("contains", ROOT)],
    ],
  ],
  [
    "uniqueItems",
    { uniqueItems: true },
    [
      '[1,"1",[1],{"a":1}]',
      "[9007199254740992,9007199254740993]",
      '[{"constructor":[1]},{"constructor":[2]}]',
    ],
    [
      ["[1,1.0]", at("uniqueItems", ROOT)],
      ['["__proto__","__proto__"]', at("uniqueItems", ROOT)],
      ['[{"a":1,"b":2},{"b":2,"a":1.0}]', at("uniqueItems", ROOT)],
      ['[{"constructor":[1]},{"constructor":[1]}]', at("uniqueItems", ROOT)],
      ["[12345678901234567890123,12345678901234567890123]", at("uniqueItems", ROOT)],
    ],
  ],
  [
    "enum and const",
    { properties: { e: { enum: [1, "a", null, { x: [1] }] }, c: { const: 0.1 } } },
    ['{"e":1.0}', '{"e":{"x":[1e0]}}', '{"e":null,"c":0.1}', '{"c":1e-1}'],
    [
      ['{"e":2}', at("enum", "'/e'")],
      ['{"c":0.10000000000000000555}', at("const", "'/c'")],
      ['{"e":1.00000000000000000001}', TOO_EXACT],
    ],
  ],
  [
    "bounds, as numbers are written",
    { maximum: 9007199254740990, exclusiveMinimum: 0 },
    ["9007199254740990", "0.1", "123456789012.95000000000000001"],
    [
      ["9007199254740993", at("maximum", ROOT)],
      ["9007199254740990.2", TOO_EXACT],
      ["0", at("exclusiveMinimum", ROOT)],
    ],
  ],
  [
    "multipleOf, in decimals",
    { multipleOf: 0.01 },
    ["19.99", "0.07", "1e3", "123456789012345.12000000000000000000"],
    [
      ["19.999", at("multipleOf", ROOT)],
      ["123456789012345.12000000000000000001", at("multipleOf", ROOT)],
      ["12345678901234567890.123", TOO_EXACT],
    ],
  ],
  [
    "allOf, anyOf, oneOf, not",
    {
      anyOf: [{ type: "string" }, { minimum: 5 }],
      not: { const: 7 },
      allOf: [{ type: ["string", "integer"] }],
    },
    ['"x"', "5"],
    [
      ["4", at("anyOf", ROOT)],
      ["7", at("not", ROOT)],
      ["5.5", at("type", ROOT)],
    ],
  ],
  ["oneOf", { oneOf: [{ type: "integer" }, { minimum: 2 }] }, ["1", "2.5"], [["3", at("oneOf", ROOT)]]],
  [
    "if, then, else",
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    { if: { required: ["a"] }, then: { required: ["b"] }, else: { required: ["c"] } },
    ['{"a":1,"b":1}', '{"c":1}'],
    [
      ['{"a":1}', at("required", ROOT)],
      ["{}", at("required", ROOT)],
    ],
  ],
  [
    "each pattern is its own",
    {
      properties: { a: { pattern: "^a$" }, b: { pattern: "^b$" } },
      patternProperties: { "^n": { type: "number" } },
      propertyNames: { pattern: "^[a-z]$" },
    },
    ['{"a":"a","b":"b","n":1}', '{"z":"z"}'],
    [
      ['{"a":"a","b":"a"}', at("pattern", "'/b'")],
      ['{"a":"b"}', at("pattern", "'/a'")],
      ['{"n":"1"}', at("type", "'/*'")],
      ['{"aa":1}', at("propertyNames", ROOT)],
    ],
  ],
  [
    "lengths in code points, and patterns",
    { type: "string", minLength: 2, maxLength: 3, pattern: "^\\S{2}.$" },
    ['"ab🙂"', '"abc"'],
    [
      ['"🙂"', at("minLength", ROOT)],
      ['"abcd"', at("maxLength", ROOT)],
      ['"a\\u00a0c"', at("pattern", ROOT)],
      ['"ab\\u2028"', at("pattern", ROOT)],
    ],
  ],
  [
    "references: pointers, anchors, recursion",
    {
      properties: { "a/b": { $ref: "#/$defs/x~1y" }, n: { $ref: "#node" }, d: { $dynamicRef: "#node" } },
      $defs: {
        "x/y": { type: "string" },
        node: { $dynamicAnchor: "node", properties: { v: { type: "integer" }, next: { $ref: "#node" } } },
      },
    },
    ['{"a/b":"x","n":{"v":1,"next":{"v":2}}}'],
    [
      ['{"a/b":1}', at("type", "'/a~1b'")],
      ['{"n":{"next":{"next":{"v":"x"}}}}', at("type", "'/n/next/next/v'")],
      ['{"d":{"v":"x"}}', at("type", "'/d/v'")],
    ],
  ],
];

describe("compileContract()", () => {
  test.each(CASES)("%s", (_, schema, valid, invalid) => {
    for (const payload of valid) expect([payload, verdict(schema, payload)]).toEqual([payload, null]);
    for (const [payload, said] of invalid)
      expect([payload, verdict(schema, payload)]).toEqual([payload, said]);
  });

  test("fails closed on what cannot be judged", () => {
    expect(verdict(true, '{"a":1,"a":1}')).toBe(
      "schema_invalid: An object of the payload has two members of one name",
    );
    expect(verdict(true, '{"a":1e400}')).toMatch(/^schema_invalid: A number of the payload is beyond/);
    expect(verdict(true, "1e-400")).toMatch(/^schema_invalid: A number/);
    expect(verdict(true, '{"a":')).toMatch(/^payload_not_json: /);
    expect(verdict(true, `${"[".repeat(200)}${"]".repeat(200)}`)).toMatch(/^payload_too_deep: /);
    // ajv takes `constructor` for evaluated.
    const closed = { anyOf: [{ properties: { a: true } }, true], unevaluatedProperties: false };
    for (const name of ["constructor", "toString", "__proto__", "valueOf"]) {
      expect(verdict(closed, `{"${name}":1}`)).toMatch(/^schema_invalid: |^'unevaluatedProperties'/);
    }
  });

  test("says no value and no name that the schema does not say", () => {
    const schema = {
      properties: { card: { additionalProperties: { properties: { list: { items: { type: "string" } } } } } },
    };
    const said = verdict(schema, '{"card":{"4111111111111111":{"list":["a",123456789]}}}');
    expect(said).toBe(at("type", "'/card/*/list/1'"));
    expect(verdict({ additionalProperties: { type: "string" } }, '{"1234":5}')).toBe(at("type", "'/*'"));
  });

  test("gives up on a payload that would take exponential time", () => {
    const branch = { properties: { x: { $ref: "#" } } };
    const schema = { properties: { v: { type: "string" } }, anyOf: [branch, branch] };
    const deep = `${'{"x":'.repeat(60)}{"v":1}${"}".repeat(60)}`;
    const started = performance.now();
    expect(verdict(schema, deep)).toBe("schema_invalid: Schema s@1 takes too long on this payload");
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("finds two equal items of a large list, and a pattern in a long text, without trying all pairs", () => {
    const list = JSON.stringify(Array.from({ length: 50_000 }, (_, i) => ({ i })));
    expect(verdict({ uniqueItems: true }, list)).toBeNull();
    expect(verdict({ pattern: "^(a+)+$" }, JSON.stringify(`${"a".repeat(50_000)}!`))).toBe(
      at("pattern", ROOT),
    );
  });
});
