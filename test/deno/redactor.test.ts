import { compileRedactor } from "../../src/policy/redact/mod.ts";

Deno.test("payloads are redacted byte for byte, as on Bun", () => {
  const redactor = compileRedactor([
    { path: "$.customer.email", with: "mask", keep: "domain" },
    { path: "$..phone", with: "remove" },
  ]);
  const apply = (text: string): string => {
    const result = redactor.apply(new TextEncoder().encode(text));
    return result.type === "ok" ? new TextDecoder().decode(result.data) : result.reason;
  };
  const cases: readonly (readonly [string, string])[] = [
    [
      '{"id": 90071992547409931, "customer": {"em\\u0061il": "ada@example.net", "phone": "+49"}, "n": 1e400}',
      '{"id": 90071992547409931, "customer": {"em\\u0061il": "***@example.net"}, "n": 1e400}',
    ],
    [`[${'{"phone":1,"é":"😀"},'.repeat(5000)}{"phone":2}]`, `[${'{"é":"😀"},'.repeat(5000)}{}]`],
    ['{"customer":', "payload_not_json"],
    ["[".repeat(200), "payload_too_deep"],
  ];
  for (const [before, after] of cases) {
    const found = apply(before);
    if (found !== after) throw new Error(`${before.slice(0, 80)} became ${found.slice(0, 80)}`);
  }
});
