import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LeafmeshError } from "../../../../src/model/errors.ts";
import { decryptValue, encryptorOf } from "../../../../src/policy/redact/encrypt.ts";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";
import { seeded } from "../subjects.ts";

/** One for all: starting a scanner takes longer than most of what is tried here. */
const workspace = new Workspace();
const encoder = new TextEncoder();
const key = { id: "e1", secret: new Uint8Array(32).fill(7) };
const old = { id: "e0", secret: new Uint8Array(32).fill(8) };

function encrypted(json: string, by = key, tenant = "acme"): string {
  const redactor = compileRedactor([{ path: "$.v", with: "encrypt" }], {
    keys: { encrypt: by },
    tenant,
    workspace,
  });
  const result = redactor.apply(encoder.encode(`{"v":${json}}`));
  if (result.type === "failed") throw new Error(result.error);
  return (JSON.parse(new TextDecoder().decode(result.data)) as { v: string }).v;
}
function failure(work: () => unknown): LeafmeshError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof LeafmeshError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("encrypt", () => {
  test.each([
    '"text \\u00e9 😀"',
    "12.50",
    "1e400",
    "90071992547409931",
    "true",
    "null",
    '{ "a": [1, {}] }',
    "[]",
    '""',
    '"\\ud800"',
  ])("keeps %s as it was written", (json) => {
    const value = encrypted(json);
    expect(value).toMatch(/^enc_e1_[A-Za-z0-9_-]+$/);
    expect(decryptValue(value, [old, key], "acme")).toBe(json);
  });

  test("any JSON value comes back", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = JSON.stringify(value);
        expect(decryptValue(encrypted(json), [key], "acme")).toBe(json);
      }),
      { ...seeded, numRuns: 300 },
    );
  });

  test("of the same value gives the same bytes, and of another value, key or tenant other ones from the nonce on", () => {
    const same = encrypted('"secret"');
    expect(encrypted('"secret"')).toBe(same);
    const nonce = (value: string) => value.slice("enc_e1_".length).slice(0, 16);
    for (const other of [
      encrypted('"secreu"'),
      encrypted('"secret"', key, "shop"),
      encrypted('"secret"', old),
    ]) {
      expect(nonce(other)).not.toBe(nonce(same));
    }
  });

  test("does not decrypt when a byte is changed, in another tenant's name, or with another key of the id", () => {
    const value = encrypted('"secret"');
    const body = value.slice("enc_e1_".length);
    for (let i = 0; i < body.length - 1; i++) {
      const changed = `enc_e1_${body.slice(0, i)}${body[i] === "A" ? "B" : "A"}${body.slice(i + 1)}`;
      expect(failure(() => decryptValue(changed, [key], "acme")).code).toBe("key_invalid");
    }
    expect(failure(() => decryptValue(value, [key], "shop")).code).toBe("key_invalid");
    expect(failure(() => decryptValue(value, [{ ...old, id: "e1" }], "acme")).code).toBe("key_invalid");
    expect(failure(() => decryptValue(value, [old], "acme")).code).toBe("not_found");
  });

  test.each([
    "",
    "secret",
    "psn_k1_abc",
    "enc_e1_",
    "enc_e1_AAAA",
    "enc__AAAA",
    '"enc_e1_AAAA"',
    "enc_e1_!!!!",
  ])("%j is no encrypted value", (text) =>
    expect(failure(() => decryptValue(text, [key], "acme")).code).toBe("request_invalid"),
  );

  // The envelope is for other programs too: derived keys, nonce and context are part of it.
  test("has the envelope that is documented", () => {
    const encrypt = encryptorOf(key, "acme");
    expect(encrypt(encoder.encode('"secret"'))).toBe(
      "enc_e1_vRYe-MwWUEEDf8_5upz2UvRRaCvqDetOFvq91aPzrrMNaDe7",
    );
  });

  test("needs a key", () => {
    const error = failure(() => compileRedactor([{ path: "$.v", with: "encrypt" }]));
    expect([error.code, error.problems]).toEqual([
      "policy_invalid",
      [{ path: "[0].with", message: "Encryption needs a key, and none was given" }],
    ]);
  });
});
