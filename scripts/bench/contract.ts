/**
 * How fast payloads are held against a schema, beside JSON.parse and ajv with its own keywords on the same bytes (which takes
 * numbers that a double rounds for others, and one of two members of a name for all).
 *
 * Small: orders of about 300 bytes, every member described. Large: GitHub's webhook examples of about 10 kB, the members that a rule would
 * look at. `withCondition`: a whole rule with a condition on `data` and the schema, beside the same baseline: it parses once for both.
 *
 *   bun scripts/bench/contract.ts [--json] [--runs 101]
 */
import { parseArgs } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { JsonSchema } from "../../src/model/schema/contract.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { decide } from "../../src/policy/decide.ts";
import { PayloadParser } from "../../src/policy/payload.ts";
import { compileContract } from "../../src/policy/schema/contract.ts";
import { orders, takeTurns, webhooks } from "./payloads.ts";

const { values } = parseArgs({
  options: { json: { type: "boolean", default: false }, runs: { type: "string", default: "101" } },
});

interface Bench {
  readonly payloads: readonly Uint8Array[];
  readonly count: number;
  readonly schema: Exclude<JsonSchema, boolean>;
  readonly when: string;
}

const text = { type: "string" };
const small: Bench = {
  payloads: orders(),
  count: 5000,
  when: "data.total >= 0.0",
  schema: {
    type: "object",
    required: ["id", "customer", "items", "total", "currency"],
    properties: {
      id: { type: "string", pattern: "^ord-[0-9]+$" },
      customer: { type: "object", required: ["id"], properties: { id: text, email: text, phone: text } },
      items: {
        type: "array",
        minItems: 1,
        items: {
          type: "object",
          required: ["sku", "qty"],
          properties: {
            sku: text,
            qty: { type: "integer", minimum: 1 },
            price: { type: "number", minimum: 0 },
          },
        },
      },
      total: { type: "number", minimum: 0 },
      currency: { enum: ["EUR", "USD"] },
      region: text,
      note: { type: "string", maxLength: 200 },
    },
    additionalProperties: false,
  },
};
const large: Bench = {
  payloads: webhooks(),
  count: 250,
  when: "data.repository.id > 0",
  schema: {
    type: "object",
    required: ["sender", "repository"],
    properties: {
      sender: {
        type: "object",
        required: ["login", "id"],
        properties: { login: { type: "string", minLength: 1 }, id: { type: "integer", minimum: 1 } },
      },
      repository: {
        type: "object",
        required: ["full_name", "private"],
        properties: { full_name: text, private: { type: "boolean" }, id: { type: "integer" } },
      },
    },
  },
};

function measure(name: string, { payloads, count, schema, when }: Bench) {
  const decoder = new TextDecoder();
  const validate = new Ajv2020({ allErrors: false }).compile(schema);
  const baseline = (data: Uint8Array) => (validate(JSON.parse(decoder.decode(data))) ? 1 : 0);
  const contract = compileContract(name, schema, new PayloadParser());
  const compiled = compilePolicy({
    tenant: "acme",
    policy: { name: "bench", to: ["tokyo"], rules: [{ subjects: ["acme.>"], when, schema: "s" }] },
    schemas: [{ name: "s", versions: [{ version: 1, schema }] }],
  });
  const event = { subject: "acme.x", headers: new Uint8Array(0), origin: "berlin", timeMs: 0, sequence: 1 };
  const ours = (data: Uint8Array) => (contract.failure(data) === null ? 1 : 0);
  const rule = (data: Uint8Array) => (decide(compiled, { ...event, data }).type === "forward" ? 1 : 0);
  for (const [index, data] of payloads.entries()) {
    if (baseline(data) + ours(data) + rule(data) !== 3)
      throw new Error(`${name}: payload ${index} is not valid`);
  }
  const turns = { payloads, count, runs: Number(values.runs) };
  const result = {
    ...takeTurns(turns, ours, baseline),
    withCondition: takeTurns(turns, rule, baseline),
  };
  if (!values.json) {
    const { ratio, oursNs, baselineNs, withCondition } = result;
    console.log(
      `${name}: contract ${oursNs} ns, JSON.parse and ajv ${baselineNs} ns: ${ratio} times as fast`,
    );
    console.log(`  with a condition ${withCondition.oursNs} ns: ${withCondition.ratio} times as fast`);
  }
  return result;
}

console.log(JSON.stringify({ small: measure("small", small), large: measure("large", large) }));
