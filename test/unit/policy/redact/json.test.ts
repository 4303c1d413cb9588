import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileRedactor } from "../../../../src/policy/redact/mod.ts";
import { seeded } from "../subjects.ts";
import { blanks, print, tree } from "./reference.ts";

const encoder = new TextEncoder();
const bytes = (...values: (number | string)[]) =>
  Uint8Array.from(
    values.flatMap((value) => (typeof value === "number" ? [value] : [...encoder.encode(value)])),
  );
const live = compileRedactor([{ path: "$..zz", with: "remove" }]);
const dead = compileRedactor([{ path: "$.zz", with: "mask" }]);
const accepts = (data: Uint8Array) => {
  const verdicts = [live, dead].map((redactor) => redactor.apply(data));
  expect(verdicts[0]?.type).toBe(verdicts[1]?.type as "ok" | "failed");
  return verdicts[0]?.type === "ok";
};

/** After JSONTestSuite (github.com/nst/JSONTestSuite): y_ must be accepted, n_ must be refused. */
const ACCEPTED = [
  "[]",
  "{}",
  "0",
  "-0",
  "-1",
  "1.5",
  "1E1",
  "1e+1",
  "1e-1",
  "0e1",
  "[1e400]",
  "123456789012345678901234567890",
  "true",
  "false",
  "null",
  '""',
  '"\\u0000"',
  '"\\"\\\\\\/\\b\\f\\n\\r\\t"',
  '"\\u00e9\\uD834\\uDD1E"',
  '"\u007f"',
  '"\u2028\u2029"',
  '"😀"',
  '"\ufeff"',
  '"\\uDADA"',
  '["\\uDd1ea"]',
  "[[],[],{}]",
  " [ 1 , 2 ] ",
  "\t\r\n1\n",
  '{"a":1,"a":1}',
  '{"":0}',
  '{"a":{"a":{"a":[]}}}',
  "[0.1234e5]",
  '"a\\/b"',
  '"\\\\"',
  '{"\\u0000":1}',
  '[null,1,"1",{}]',
];
const REFUSED = [
  "",
  " ",
  "[",
  "]",
  "{",
  "}",
  "[1,]",
  "[,1]",
  "[1,,2]",
  "[1 2]",
  "[1",
  "[1,",
  '["a"',
  '["a',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{,"a":1}',
  '{"a" 1}',
  '{"a"::1}',
  '{"a":1 "b":2}',
  "{a:1}",
  "{'a':1}",
  "{1:1}",
  "{[]:1}",
  "{null:1}",
  "[1}",
  '{"a":1]',
  "[]]",
  "{}}",
  "[][]",
  "1 2",
  "nul",
  "nulll",
  "NULL",
  "True",
  "tru",
  "fals",
  "falsey",
  "NaN",
  "-NaN",
  "Infinity",
  "-Infinity",
  "undefined",
  "+1",
  "01",
  "-01",
  "00",
  "1.",
  ".1",
  "-.1",
  "1.e1",
  "1e",
  "1e+",
  "1E-",
  "--1",
  "-",
  "0x1",
  "1_0",
  "0.3e",
  "1eE2",
  "- 1",
  "2.e3",
  '"',
  '"a',
  '"\\',
  '"\\"',
  '"\\x"',
  '"\\u"',
  '"\\u12"',
  '"\\u12g4"',
  '"\\U0041"',
  '"\\a"',
  '"\\0"',
  '"\\\u0000"',
  '"\n"',
  '"\t"',
  '"\u0000"',
  '"\u001f"',
  "'a'",
  "\u00a01",
  "\v1",
  "\f1",
  "\u20601",
  "\ufeff[]",
  "[1]\u0000",
  "[1]x",
  "/**/1",
  "1//",
  "[1]#",
  '{"a":/**/1}',
  "é",
  '["\\u00A"]',
  "[\u0000]",
  "*",
  "<null>",
  '{"a":"b"}/',
  '{"a"}',
  '{"a":1,"b"}',
  '["a":1]',
  ",",
  ":",
  '"a"b',
  '""""',
  "[true false]",
  '{"a":tru}',
  "[-]",
  "[- 1]",
  "[1.]",
  "[+]",
];
const REFUSED_BYTES: readonly [string, Uint8Array][] = [
  ["a lone continuation byte", bytes('"', 0x80, '"')],
  ["a truncated sequence", bytes('"', 0xe2, 0x82, '"')],
  ["an overlong slash", bytes('"', 0xc0, 0xaf, '"')],
  ["an overlong NUL", bytes('"', 0xc0, 0x80, '"')],
  ["a surrogate in UTF-8", bytes('"', 0xed, 0xa0, 0x80, '"')],
  ["a code point above 10FFFF", bytes('"', 0xf4, 0x90, 0x80, 0x80, '"')],
  ["0xFF", bytes('"', 0xff, '"')],
  ["Latin-1 in a name", bytes('{"', 0xe9, '":1}')],
  ["Latin-1 behind an escape", bytes('"\\n', 0xe9, '"')],
  ["UTF-16 LE", bytes(0x22, 0, 0x61, 0, 0x22, 0)],
  ["UTF-16 with a mark", bytes(0xff, 0xfe, 0x22, 0, 0x22, 0)],
  ["a byte order mark", bytes(0xef, 0xbb, 0xbf, "{}")],
  ["a non-ASCII byte between tokens", bytes("[", 0xc2, 0xa0, "1]")],
];

describe("the redactor's reading of JSON", () => {
  test.each(ACCEPTED)("accepts %j", (text) => {
    expect(accepts(encoder.encode(text))).toBe(true);
    expect(accepts(encoder.encode(`{"k":[${text}]}`))).toBe(true);
  });

  test.each(REFUSED)("refuses %j", (text) => {
    expect(accepts(encoder.encode(text))).toBe(false);
    const result = live.apply(encoder.encode(text));
    expect(result).toMatchObject({ type: "failed", reason: "payload_not_json" });
  });

  test.each(REFUSED_BYTES)("refuses %s", (_, data) => {
    expect(accepts(data)).toBe(false);
  });

  test("refuses half a surrogate pair in a name, where receivers differ, but not in a value that stays", () => {
    expect(live.apply(encoder.encode('{"\\ud800":1}'))).toMatchObject({ reason: "redaction_failed" });
    expect(dead.apply(encoder.encode('{"x":{"a\\udc00\\ud800":1}}'))).toMatchObject({
      reason: "redaction_failed",
    });
    expect(live.apply(encoder.encode('{"x":"\\ud800"}'))).toMatchObject({ type: "ok", count: 0 });
  });

  test("refuses what nests deeper than the bound, and reads what is just as deep", () => {
    for (const redactor of [live, dead]) {
      const nested = (depth: number) => encoder.encode(`${"[".repeat(depth)}${"]".repeat(depth)}`);
      expect(redactor.apply(nested(128)).type).toBe("ok");
      expect(redactor.apply(nested(129))).toMatchObject({ reason: "payload_too_deep" });
      expect(redactor.apply(nested(1_000_000))).toMatchObject({ reason: "payload_too_deep" });
      expect(redactor.apply(encoder.encode('{"a":'.repeat(200_000)))).toMatchObject({
        reason: "payload_too_deep",
      });
    }
  });

  test("agrees with JSON.parse on texts with one byte changed, left out or put in", () => {
    const interesting = fc.constantFrom(...[...'{}[],:"\\u0eE+-.1tfn /\n', "\u0000", "é"].map((one) => one));
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    fc.assert(
      fc.property(
        tree,
        blanks,
        fc.nat(),
        fc.constantFrom(0, 1, 2),
        interesting,
        (root, spaces, place, kind, byte) => {
          const whole = encoder.encode(print(root, spaces));
          const at = place % (whole.length + 1);
          const data = bytes(
            ...whole.subarray(0, at),
            ...(kind === 0 ? [] : [...encoder.encode(byte)].slice(0, 1 + (place % 2))),
            ...whole.subarray(kind === 1 ? at : at + 1),
          );
          let valid = true;
          try {
            JSON.parse(strict.decode(data));
          } catch {
            valid = false;
          }
          const result = live.apply(data);
          if (result.type === "failed" && result.reason === "redaction_failed") return;
          expect(result.type === "ok").toBe(valid);
        },
      ),
      { ...seeded, numRuns: 6_000 },
    );
  }, 60_000);

  test("never throws and never answers with anything but the input or JSON, for any bytes", () => {
    const redactor = compileRedactor([
      { path: "$..a", with: "remove" },
      { path: "$[0]", with: "mask", keep: { last: 2 } },
    ]);
    const alphabet = fc.constantFrom(...encoder.encode('{}[],:"\\ua01e-.tn \u0000é'));
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.array(alphabet, { maxLength: 40 })),
        (list) => {
          const data = Uint8Array.from(list);
          const before = data.slice();
          const result = redactor.apply(data);
          expect(data).toEqual(before);
          if (result.type === "ok") JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(result.data));
        },
      ),
      { ...seeded, numRuns: 6_000 },
    );
  }, 60_000);
});
