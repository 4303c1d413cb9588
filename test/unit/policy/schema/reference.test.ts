import { expect, test } from "bun:test";
import fc from "fast-check";
import type { JsonSchema } from "../../../../src/model/schema/contract.ts";
import { PayloadParser } from "../../../../src/policy/payload.ts";
import { compileContract } from "../../../../src/policy/schema/contract.ts";
import { schemaProblems } from "../../../../src/policy/schema/problems.ts";
import { seeded } from "../subjects.ts";
import { isValid, type Json, type Schema } from "./reference.ts";

const name = fc.constantFrom("a", "b", "ab");
const small = fc.nat(3);
const VALUES = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<Json>(null, true, false, 0, 1, 2, 3, 0.5, -1, "", "a", "ab", "b", "😀"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));
const value = VALUES.value;
const ofTexts = fc.dictionary(name, fc.constantFrom("a", "ab", "b", "😀"), {
  minKeys: 1,
  noNullPrototype: true,
});

const schema = fc.letrec<{ schema: Schema }>((tie) => {
  const inner = tie("schema");
  const some = fc.array(inner, { minLength: 1, maxLength: 2 });
  const byName = fc.dictionary(name, inner, { minKeys: 1, maxKeys: 2, noNullPrototype: true });
  const pattern = fc.constantFrom("^a", "b$", "a", "^.$");
  const keywords = {
    type: fc.constantFrom(
      "object",
      "array",
      "string",
      "number",
      "integer",
      ["null", "array"],
      ["object", "boolean"],
    ),
    enum: fc.uniqueArray(value, { minLength: 1, maxLength: 3, selector: (one) => JSON.stringify(one) }),
    const: value,
    minimum: small,
    maximum: small,
    exclusiveMinimum: small,
    multipleOf: fc.constantFrom(1, 2, 0.5),
    minLength: small,
    maxLength: small,
    pattern,
    prefixItems: some,
    items: inner,
    contains: inner,
    minContains: fc.constantFrom(1, 2),
    maxContains: fc.constantFrom(2, 3),
    uniqueItems: fc.boolean(),
    minItems: small,
    maxItems: small,
    properties: byName,
    patternProperties: fc.dictionary(pattern, inner, { minKeys: 1, maxKeys: 2, noNullPrototype: true }),
    additionalProperties: inner,
    required: fc.uniqueArray(name, { maxLength: 2 }),
    dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 2 }), { noNullPrototype: true }),
    dependentSchemas: byName,
    propertyNames: inner,
    minProperties: small,
    maxProperties: small,
    allOf: some,
    anyOf: some,
    oneOf: some,
    not: inner,
    if: inner,
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: inner,
    else: inner,
    unevaluatedProperties: inner,
    unevaluatedItems: inner,
    $ref: fc.constant("#/$defs/shared"),
  };
  // Few keywords at a time: of many, nothing is valid.
  const some4 = fc
    .subarray(Object.keys(keywords) as (keyof typeof keywords)[], { minLength: 1, maxLength: 4 })
    .chain((names) => fc.record(Object.fromEntries(names.map((one) => [one, keywords[one]]))));
  // Several patterns side by side.
  const text = fc.record({ pattern });
  const texts = fc.record({
    properties: fc.record({ a: text, b: text }),
    patternProperties: fc.dictionary(pattern, text, { maxKeys: 1, noNullPrototype: true }),
  });
  const any = fc.oneof({ depthSize: "small" }, fc.boolean(), some4, some4, some4, texts);
  return { schema: any as fc.Arbitrary<Schema> };
}).schema;

const payloads = new PayloadParser();
const text = new TextEncoder();

test("contracts say of any value what the specification says", () => {
  let compiled = 0;
  let valid = 0;
  const shared: Schema = {
    type: ["object", "array"],
    properties: { a: { pattern: "a" } },
    prefixItems: [true],
  };
  fc.assert(
    fc.property(
      schema,
      fc.array(fc.oneof(value, ofTexts), { minLength: 8, maxLength: 8 }),
      (given, values) => {
        const whole: Schema = { $defs: { shared }, allOf: [given] };
        if (schemaProblems(whole).length > 0) return;
        compiled++;
        const contract = compileContract("s@1", whole as JsonSchema, payloads);
        for (const one of values) {
          const json = JSON.stringify(one);
          const passes = contract.failure(text.encode(json)) === null;
          if (passes) valid++;
          if (passes !== isValid(whole, one)) {
            throw new Error(`${json} ${passes ? "passes" : "is refused"}: ${JSON.stringify(whole)}`);
          }
        }
      },
    ),
    { ...seeded, numRuns: 100 },
  );
  expect(compiled).toBeGreaterThan(50);
  expect(valid).toBeGreaterThan(50);
}, 60_000);
