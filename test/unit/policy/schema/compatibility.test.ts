import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { JsonSchema } from "../../../../src/model/schema/contract.ts";
import { PayloadParser } from "../../../../src/policy/payload.ts";
import { compatibilityProblems } from "../../../../src/policy/schema/compatibility.ts";
import { compileContract } from "../../../../src/policy/schema/contract.ts";
import { schemaProblems, structureProblems } from "../../../../src/policy/schema/problems.ts";

const backward = (earlier: JsonSchema, later: JsonSchema) =>
  compatibilityProblems(earlier, later, "backward").map(
    ({ path, message }) => `${path}: ${message.replace("not backward compatible: ", "")}`,
  );

const order = {
  type: "object",
  required: ["id"],
  properties: { id: { type: "string" }, total: { type: "number", minimum: 0 } },
  additionalProperties: false,
};
const withProperties = (more: Record<string, unknown>, rest: Record<string, unknown> = {}) => ({
  ...order,
  ...rest,
  properties: { ...order.properties, ...more },
});
const tree = (leaf: unknown, name = "node") => ({
  $ref: `#/$defs/${name}`,
  $defs: {
    [name]: {
      type: "object",
      properties: { value: leaf, children: { type: "array", items: { $ref: `#/$defs/${name}` } } },
      additionalProperties: false,
    },
  },
});

describe("compatibilityProblems(): what was valid stays valid", () => {
  const kept: readonly (readonly [string, JsonSchema, JsonSchema])[] = [
    ["the same", order, { ...order, title: "an order", properties: { ...order.properties } }],
    [
      "a new member that may be left out, of an object that was closed",
      order,
      withProperties({ note: { type: "string" } }),
    ],
    ["a closed object is opened", order, { ...order, additionalProperties: true }],
    ["an open object stays open", { properties: { a: true } }, { properties: { a: true, b: {} } }],
    ["a member is not required any more", order, { ...order, required: [] }],
    ["integer becomes number", { type: "integer" }, { type: "number" }],
    ["one more type", { type: "string" }, { type: ["string", "null"] }],
    ["one more value", { enum: ["a", "b"] }, { enum: ["c", "b", "a"] }],
    ["const becomes enum, and enum a type", { const: 5 }, { type: "integer", minimum: 5 }],
    [
      "lower and upper bounds move away",
      { type: "number", minimum: 1, maximum: 5 },
      { minimum: 0.5, exclusiveMaximum: 5.1 },
    ],
    [
      "integers beyond an exclusive bound",
      { type: "integer", exclusiveMinimum: 0 },
      { type: "integer", minimum: 1 },
    ],
    ["lengths", { type: "string", minLength: 2, maxLength: 3 }, { type: "string", maxLength: 4 }],
    ["multiples", { type: "number", multipleOf: 0.1 }, { multipleOf: 0.01 }],
    ["integers are multiples of 0.5", { type: "integer" }, { multipleOf: 0.5 }],
    [
      "patterns that stay",
      { type: "string", pattern: "^a", format: "date" },
      { type: "string", pattern: "^a" },
    ],
    ["a branch more", { anyOf: [{ type: "string" }] }, { anyOf: [{ type: "integer" }, { type: "string" }] }],
    ["types to branches", { type: ["string", "null"] }, { anyOf: [{ type: "null" }, { type: "string" }] }],
    [
      "branches that exclude each other",
      { oneOf: [{ type: "string" }, { type: "integer" }] },
      { oneOf: [{ type: "integer" }, { type: "string" }, { type: "null" }] },
    ],
    [
      "a discriminated union grows",
      { oneOf: [{ type: "object", required: ["t"], properties: { t: { const: "a" } } }] },
      {
        oneOf: [
          { type: "object", required: ["t"], properties: { t: { const: "a" } } },
          { type: "object", required: ["t"], properties: { t: { const: "b" } } },
        ],
      },
    ],
    [
      "allOf split up",
      { type: "object", required: ["a"], maxProperties: 2 },
      { allOf: [{ required: ["a"] }, { maxProperties: 3 }] },
    ],
    [
      "lists",
      { prefixItems: [{ type: "integer" }], items: { type: "string" } },
      { items: { type: ["number", "string"] } },
    ],
    [
      "elements that are never there",
      { type: "array", maxItems: 1 },
      { type: "array", maxItems: 2, prefixItems: [true, { type: "string" }], uniqueItems: true },
    ],
    [
      "patternProperties",
      { patternProperties: { "^x": { type: "integer" } }, additionalProperties: false },
      { patternProperties: { "^x": { type: "number" } }, additionalProperties: false },
    ],
    [
      "pattern to all",
      { patternProperties: { "^x": { type: "integer" } }, additionalProperties: false },
      { additionalProperties: { type: "number" } },
    ],
    ["references, renamed", tree({ type: "integer" }), tree({ type: "number" }, "other")],
    ["recursion", tree({ type: "integer" }), tree({ type: ["integer", "null"] })],
    [
      "conditions that stay",
      { if: { required: ["a"] }, else: { required: ["b"] } },
      { if: { required: ["a"] }, else: { required: ["b"] } },
    ],
    ["nothing was valid", { type: "string", enum: [1] }, false],
    ["booleans are listed", { type: "boolean" }, { enum: [true, false, "maybe"] }],
  ];
  test.each(kept)("%s", (_, earlier, later) => {
    expect([...schemaProblems(earlier), ...schemaProblems(later)]).toEqual([]);
    expect(backward(earlier, later)).toEqual([]);
  });

  const broken: readonly (readonly [string, JsonSchema, JsonSchema, readonly string[]])[] = [
    [
      "a member is required",
      order,
      { ...order, required: ["id", "total"] },
      ["#/required: 'total' is required now and was not before"],
    ],
    [
      "a type goes",
      { type: ["string", "null"] },
      { type: "string" },
      ["#/type: type null was allowed and is not any more"],
    ],
    ["any type", {}, { type: "string" }, ["#/type: any type was allowed and is not any more"]],
    [
      "number becomes integer",
      { type: "number" },
      { type: "integer" },
      ["#/type: type number was allowed and is not any more"],
    ],
    [
      "a value goes",
      { enum: ["a", "b"] },
      { enum: ["a"] },
      ['#: the value "b" that was allowed is not any more'],
    ],
    [
      "only listed values",
      { type: "string" },
      { enum: ["a"] },
      ["#/enum: only listed values are allowed now, others were before"],
    ],
    [
      "bounds",
      order,
      withProperties({ total: { type: "number", minimum: 1, maximum: 9 } }),
      ["#/properties/total/minimum: 1 now, 0 before", "#/properties/total/maximum: 9 now, none before"],
    ],
    [
      "a member of an open object",
      { type: "object" },
      { type: "object", properties: { a: { type: "string" } } },
      [
        "#/properties/a: a member 'a' could be anything before (the object was open), and is held to this now",
      ],
    ],
    [
      "an object is closed",
      { properties: { a: true } },
      { properties: { b: true }, additionalProperties: false },
      [
        "#/additionalProperties: member 'a' was allowed and is not any more",
        "#/additionalProperties: members of other names were allowed and are not any more",
      ],
    ],
    [
      "a member goes from a closed object",
      order,
      { ...order, properties: { id: { type: "string" } } },
      ["#/additionalProperties: member 'total' was allowed and is not any more"],
    ],
    [
      "a pattern",
      { type: "string", pattern: "^a" },
      { type: "string", pattern: "^(a)" },
      ["#/pattern: cannot be proved: every text that was allowed would have to be of pattern '^(a)'"],
    ],
    [
      "lengths",
      { type: "string" },
      { type: "string", maxLength: 5, minLength: 1 },
      ["#/minLength: at least 1 now, 0 before", "#/maxLength: at most 5 now, any number before"],
    ],
    [
      "a branch goes",
      { anyOf: [{ type: "string" }, { type: "integer" }] },
      { anyOf: [{ type: "string" }] },
      ["#/anyOf: cannot be proved: no branch takes all that was allowed"],
    ],
    [
      "oneOf that may overlap",
      { type: "integer" },
      { oneOf: [{ type: "integer" }, { minimum: 5 }] },
      ["#/oneOf: cannot be proved: no branch, and that one alone, takes all that was allowed"],
    ],
    [
      "not",
      { type: "integer" },
      { not: { const: 5 } },
      ["#/not: cannot be proved: something of what was allowed may be what is excluded now"],
    ],
    [
      "unevaluatedProperties",
      { type: "object" },
      { type: "object", unevaluatedProperties: false },
      [
        "#/unevaluatedProperties: cannot be proved: it is understood only where the whole schema is as before",
      ],
    ],
    [
      "recursion",
      tree({ type: "number" }),
      tree({ type: "integer" }),
      ["#/$defs/node/properties/value/type: type number was allowed and is not any more"],
    ],
    [
      "uniqueItems, contains",
      { type: "array" },
      { type: "array", uniqueItems: true, contains: true },
      [
        "#/uniqueItems: two equal elements were allowed and are not any more",
        "#/contains: cannot be proved: it is understood only where it is as before",
      ],
    ],
    ["nothing is valid", true, false, ["#: nothing is valid here any more"]],
  ];
  test.each(broken)("not where %s", (_, earlier, later, problems) => {
    expect(backward(earlier, later)).toEqual([...problems]);
  });

  test("two schemas that differ in one place are not taken for the same in another", () => {
    const of = (last: string) => ({
      $defs: {
        a: { properties: { b: { $ref: "#/$defs/b" }, z: { type: last } } },
        b: { properties: { a: { $ref: "#/$defs/a" } } },
      },
      properties: { x: { $ref: "#/$defs/a" }, y: { $ref: "#/$defs/b" } },
    });
    expect(backward(of("string"), of("integer")).length).toBeGreaterThan(0);
  });

  test("forward turns the question round, full asks both, none neither", () => {
    const wider = { ...order, required: [] };
    expect(compatibilityProblems(order, wider, "forward")).toEqual([
      {
        path: "#/required",
        message:
          "not forward compatible, what the version before asks here is not asked any more: 'id' is required now and was not before",
      },
    ]);
    expect(compatibilityProblems(wider, order, "forward")).toEqual([]);
    expect(compatibilityProblems(wider, order, "full")).toHaveLength(1);
    expect(compatibilityProblems(order, order, "full")).toEqual([]);
    expect(compatibilityProblems(wider, false, "none")).toEqual([]);
  });
});

// ── small schemas and values, so that many of each meet ──

const name = fc.constantFrom("a", "b", "xa");
const scalar = fc.constantFrom<unknown>(null, true, false, 0, 1, 2, 0.5, -1, "", "a", "xa", "xyz");
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value;
const type = fc.constantFrom("null", "boolean", "object", "array", "string", "integer", "number");
const small = fc.integer({ min: 0, max: 3 });

const schema: fc.Arbitrary<JsonSchema> = fc.letrec<{ schema: JsonSchema; some: JsonSchema[] }>((tie) => ({
  some: fc.array(tie("schema"), { minLength: 1, maxLength: 2 }),
  schema: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom<JsonSchema>(true, {}, { type: "string" }, { type: "integer" }, { const: 1 }, false),
    fc.record(
      {
        type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 2 })),
        minimum: small,
        exclusiveMaximum: small,
        multipleOf: fc.constantFrom(1, 0.5, 2),
        maxLength: small,
        minLength: small,
        pattern: fc.constantFrom("^x", "a$"),
      },
      { requiredKeys: [] },
    ),
    fc.record(
      {
        properties: fc.dictionary(name, tie("schema"), { maxKeys: 2, noNullPrototype: true }),
        patternProperties: fc.dictionary(fc.constantFrom("^x", "a$"), tie("schema"), {
          maxKeys: 1,
          noNullPrototype: true,
        }),
        additionalProperties: tie("schema"),
        required: fc.uniqueArray(name, { maxLength: 2 }),
        minProperties: small,
        maxProperties: small,
        propertyNames: tie("schema"),
        dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 1 }), {
          maxKeys: 1,
          noNullPrototype: true,
        }),
        dependentSchemas: fc.dictionary(name, tie("schema"), { maxKeys: 1, noNullPrototype: true }),
      },
      { requiredKeys: [] },
    ),
    fc.record(
      {
        prefixItems: tie("some"),
        items: tie("schema"),
        minItems: small,
        maxItems: small,
        uniqueItems: fc.boolean(),
        contains: tie("schema"),
      },
      { requiredKeys: [] },
    ),
    fc.record(
      { allOf: tie("some"), anyOf: tie("some"), oneOf: tie("some"), not: tie("schema") },
      { requiredKeys: [] },
    ),
    fc.record({ enum: fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 }) }),
  ) as fc.Arbitrary<JsonSchema>,
})).schema;

/** The same schema with one thing changed in it: pairs that have nothing in common prove little. */
function changed(one: JsonSchema, other: JsonSchema, pick: number): JsonSchema {
  if (typeof one === "boolean" || typeof other === "boolean") return pick % 2 === 0 ? one : other;
  const keys = Object.keys(one);
  const dropped = keys[pick % (keys.length + 1)];
  const rest = Object.fromEntries(Object.entries(one).filter(([key]) => key !== dropped));
  return pick % 3 === 0 ? rest : pick % 3 === 1 ? { anyOf: [one, other] } : { ...rest, ...other };
}

describe("compatibilityProblems()", () => {
  test("never calls compatible what refuses a value that was valid", () => {
    const payloads = new PayloadParser();
    const encoder = new TextEncoder();
    let proved = 0;
    let tried = 0;
    fc.assert(
      fc.property(
        schema,
        schema,
        fc.nat(1000),
        fc.array(value, { minLength: 10, maxLength: 20 }),
        (one, other, pick, values) => {
          const later = changed(one, other, pick);
          if (structureProblems(one).length > 0 || structureProblems(later).length > 0) return;
          if (compatibilityProblems(one, later, "backward").length > 0) return;
          proved++;
          const before = compileContract("s@1", one, payloads);
          const after = compileContract("s@2", later, payloads);
          for (const each of values) {
            const data = encoder.encode(JSON.stringify(each));
            if (before.failure(data) !== null) continue;
            tried++;
            const failure = after.failure(data);
            if (failure !== null) throw new Error(`${JSON.stringify(each)}: ${failure.error}`);
          }
        },
      ),
      { seed: 7, numRuns: Number(process.env.SCHEMA_RUNS ?? 250) },
    );
    // The property says nothing where nothing is proved.
    expect(proved).toBeGreaterThan(30);
    expect(tried).toBeGreaterThan(100);
  }, 60_000);
});
