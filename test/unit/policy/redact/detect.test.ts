import { describe, expect, test } from "bun:test";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import { compileRedactor, redactionProblems } from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";

const workspace = new Workspace();

const encoder = new TextEncoder();
const keys = {
  pseudonym: { id: "k1", secret: encoder.encode("0123456789abcdef") },
  encrypt: { id: "e1", secret: new Uint8Array(32).fill(7) },
};

function redact(json: string, redactions: readonly Redaction[]): string {
  const result = compileRedactor(redactions, { keys, tenant: "acme", workspace }).apply(encoder.encode(json));
  return result.type === "ok" ? new TextDecoder().decode(result.data) : `${result.reason}: ${result.error}`;
}
type Detect = NonNullable<Extract<Redaction, { with: "mask" }>["detect"]>;
const mask = (...detect: Detect): Redaction => ({ detect, with: "mask" });
/** A text with what a detector finds put as `[…]`. */
const found = (text: string, ...detect: Detect): string => {
  const redaction: Redaction = { detect, with: "replace", value: "[…]" };
  return JSON.parse(redact(JSON.stringify(text), [redaction])) as string;
};

describe("email", () => {
  test.each([
    ["ada@example.com", "[…]"],
    ["write to ada.lovelace+x@mail.example.co.uk.", "write to […]."],
    ["<ada@example.com>, (bob@example.org)", "<[…]>, ([…])"],
    ["'ada@example.com' *bob@example.com*", "'[…]' *[…]*"],
    ["jörg@bücher.example", "[…]"],
    ["用户@例子.广告", "[…]"],
    ["mail ada@example.comさん", "mail […]さん"],
    ['"ada lovelace"@example.com!', "[…]!"],
    ["https://x.example/?to=ada%40example.com&b=1", "https://x.example/?[…]&b=1"],
    ["ada@[192.0.2.1] ok", "[…] ok"],
    ["a@b.co@c.de", "[…]"],
    ["ada@example.com.5", "[…].5"],
    ["ada@localhost, @handle, a @ b.com, ada@1.2", "ada@localhost, @handle, a @ b.com, ada@1.2"],
    ["ada@example", "ada@example"],
    ["a@x_y.com", "[…]"],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "email")).toBe(expected));
});

describe("card", () => {
  test.each([
    ["4111111111111111", "[…]"],
    ["card 4111 1111 1111 1111, thanks", "card […], thanks"],
    ["4111-1111-1111-1111", "[…]"],
    ["4111.1111.1111.1111", "[…]"],
    ["4111\u00a01111\u20091111\u20131111", "[…]"],
    ["3782 822463 10005", "[…]"],
    ["30569309025904", "[…]"],
    ["6304000000000000", "[…]"],
    ["4222222222222", "[…]"],
    ["order 12 4111 1111 1111 1111 7", "order 12 […] 7"],
    ["x4111111111111111y", "x[…]y"],
    ["4111111111111112", "4111111111111112"],
    ["1700000000000", "1700000000000"],
    ["2024-01-02 2024-01-03", "2024-01-02 2024-01-03"],
    ["41111111111111111111111", "41111111111111111111111"],
    ["4111 1111 1111 111", "4111 1111 1111 111"],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "card")).toBe(expected));
});

describe("iban", () => {
  test.each([
    ["DE89370400440532013000", "[…]"],
    ["IBAN: DE89 3704 0044 0532 0130 00 und mehr", "IBAN: […] und mehr"],
    ["gb82-WEST-1234-5698-7654-32.", "[…]."],
    ["IBANDE89370400440532013000x", "IBAN[…]x"],
    ["NO9386011117947", "[…]"],
    ["MT84MALT011000012345MTLCAST001S", "[…]"],
    ["DE88370400440532013000", "DE88370400440532013000"],
    ["DE8937040044053201300", "DE8937040044053201300"],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "iban")).toBe(expected));
});

describe("phone", () => {
  test.each([
    ["+49 171 1234567", "[…]"],
    ["call +1 (415) 555-2671 now", "call […] now"],
    ["tel:+442079460958", "tel:[…]"],
    ["+44 (0)20 7946 0958", "[…]"],
    ["0049 30 123456", "[…]"],
    ["030/1234567 oder (0171) 123 45 67", "[…] oder […]"],
    ["06 12 34 56 78", "[…]"],
    ["(415) 555-2671, 415.555.2671, 1-415-555-2671", "[…], […], […]"],
    ["1700000000, 1234567890", "1700000000, 1234567890"],
    ["2024-01-02T03:04:05.123456789Z", "2024-01-02T03:04:05.123456789Z"],
    ["01.02.2024 10:30", "01.02.2024 10:30"],
    ["0.0123456789", "0.0123456789"],
    ["+1 2, + 3", "+1 2, + 3"],
    ["1,234,567,890", "1,234,567,890"],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "phone")).toBe(expected));
});

describe("ip", () => {
  test.each([
    ["from 192.0.2.1:443.", "from […]:443."],
    ["2001:db8::1 and [::1]", "[…] and [[…]]"],
    ["2001:0db8:85a3:0000:0000:8a2e:0370:7334", "[…]"],
    ["::ffff:192.0.2.1", "[…]"],
    ["fe80::1%eth0", "[…]%eth0"],
    ["1.2.3.256, 1.2.3, 1.2.3.4.5", "1.2.3.256, 1.2.3, 1.2.3.4.5"],
    ["12:34:56 std::string a::: 00:1a:2b:3c:4d:5e", "12:34:56 std::string a::: 00:1a:2b:3c:4d:5e"],
    ["1:2:3:4:5:6:7:8:9, :: ok", "1:2:3:4:5:6:7:8:9, :: ok"],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "ip")).toBe(expected));
});

describe("token", () => {
  const random = "q7Zk2Lm9Xw4Vb8Nc3Rt6Yp1Hs5Jd0GfA";
  test.each([
    ["Bearer abcdefgh", "Bearer […]"],
    ["Authorization: Bearer a1b2c3d4e5", "Authorization: Bearer […]"],
    ["auth=Bearer a1b2c3d4e5", "auth=Bearer […]"],
    ["Basic dXNlcjpwYXNz", "Basic […]"],
    ["the bearer of news, basic training", "the bearer of news, basic training"],
    ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl.", "[…]."],
    [`ghp_${"a1B2".repeat(9)} x`, "[…] x"],
    ["key AKIAIOSFODNN7EXAMPLEX1", "key […]"],
    [`sk-${"abcd1234".repeat(4)}`, "[…]"],
    [`x ${random} y`, "x […] y"],
    [`SUAM${"A2B3".repeat(13)}XY`, "[…]"],
    ["k: -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----, end", "k: […], end"],
    ["-----BEGIN PRIVATE KEY-----\nabc", "[…]"],
    [`${"0123456789abcdef".repeat(3)} 3f2504e0-4f89-11d3-9a0c-0305e82c3301`, null],
    ["https://x.example/Repos/Codertocat/Hello-World/Issues/Comments/1234567890", null],
    ["-----BEGIN CERTIFICATE-----", null],
    [".".repeat(50), null],
  ])("in %j leaves %j", (text, expected) => expect(found(text, "token")).toBe(expected ?? text));
});

describe("a pattern", () => {
  const employee = { name: "employee", pattern: "EMP-[0-9]{6}" };
  test("finds all its matches, beyond ASCII too", () => {
    expect(found("EMP-123456, ü EMP-654321 EMP-12", employee)).toBe("[…], ü […] EMP-12");
    expect(found("Straße, STRASSE", { name: "s", pattern: "(?i)straße" })).toBe("[…], STRASSE");
  });

  test.each([
    ["(", "does not compile"],
    ["(?=a)", "does not compile"],
    ["(a)\\1", "does not compile"],
    ["a*", "matches an empty text"],
    ["a|", "matches an empty text"],
    ["(a{200}){5}", "instructions"],
    ["[a-z]{1,600}", "instructions"],
  ])("%s is refused when the policy is written", (pattern, told) => {
    const [problem] = redactionProblems([mask("email", { name: "mine", pattern })]);
    expect(problem?.path).toBe("[0].detect[1].pattern");
    expect(problem?.message).toContain(`Pattern '${pattern}' of detector 'mine'`);
    expect(problem?.message).toContain(told);
  });

  test("that would take too long for a payload has it quarantined, in bounded time", () => {
    const evil = mask({ name: "evil", pattern: "(x+x+)+y|z" });
    expect(redact(JSON.stringify("z".repeat(200_000)), [evil])).toStartWith(
      "redaction_failed: Payload has more",
    );
    expect(redact(JSON.stringify("x".repeat(1000)), [evil])).toBe(JSON.stringify("x".repeat(1000)));
  });
});

describe("what is found", () => {
  test("in escapes is redacted, and the rest stays byte for byte", () => {
    const json = '{ "a" : "\\u0041\\/ ada\\u0040ex\\u0061mple.com\\n\\ud83d\\ude00 \\u00e9", "n":1.0 }';
    expect(redact(json, [mask("email")])).toBe(
      '{ "a" : "\\u0041\\/ ***\\n\\ud83d\\ude00 \\u00e9", "n":1.0 }',
    );
    expect(redact('["\\ud83d\\ude00ada@example.com\\u00e9 \\u20ac a@b.co"]', [mask("email")])).toBe(
      '["***\\u00e9 \\u20ac ***"]',
    );
  });

  test.each([
    [{ with: "mask" }, "card ***."],
    [{ with: "mask", keep: { last: 4 } }, "card ***1111."],
    [{ with: "mask", keep: "length" }, "card ****************."],
    [{ with: "remove" }, "card ."],
    [{ with: "replace", value: 'a "card"' }, 'card a "card".'],
  ] as const)("is written as %j says", (action, expected) => {
    const redaction = { detect: ["card"], ...action } as Redaction;
    expect(JSON.parse(redact('"card 4111111111111111."', [redaction]))).toBe(expected);
  });

  test("has the pseudonym that a value of that text has", () => {
    const whole = redact('"ada@example.com"', [{ path: "$", with: "pseudonym" }]);
    const part = redact('"to ada@example.com"', [{ detect: ["email"], with: "pseudonym" }]);
    expect(part).toBe(`"to ${JSON.parse(whole)}"`);
  });

  test("in several redactions goes to the strictest, of equals to the first", () => {
    const email: Redaction = { detect: ["email"], with: "mask", keep: "domain" };
    const word: Redaction = {
      detect: [{ name: "word", pattern: "example.com now" }],
      with: "replace",
      value: "W",
    };
    expect(redact('"ada@example.com now"', [email, word])).toBe('"W"');
    expect(redact('"ada@example.com then"', [email, word])).toBe('"***@example.com then"');
    const other: Redaction = { detect: ["email"], with: "replace", value: "E" };
    expect(redact('"ada@example.com"', [word, other, mask("email")])).toBe('"E"');
    // Two that each keep a part of their own keep nothing together.
    const tail: Redaction = { detect: [{ name: "t", pattern: "m now" }], with: "mask", keep: { last: 1 } };
    expect(redact('"ada@example.com now"', [email, tail])).toBe('"***"');
  });

  test("is looked for below the path, in what no path selects, and in what truncate leaves", () => {
    const json = '{"a":{"b":["x@y.zz"],"c":"x@y.zz"},"d":"x@y.zz","e":"x@y.zz"}';
    expect(redact(json, [{ path: "$.a", detect: ["email"], with: "mask" }])).toBe(
      '{"a":{"b":["***"],"c":"***"},"d":"x@y.zz","e":"x@y.zz"}',
    );
    expect(
      redact(json, [
        mask("email"),
        { path: "$.a.b", with: "remove" },
        { path: "$.d", with: "mask", keep: { last: 2 } },
      ]),
    ).toBe('{"a":{"c":"***"},"d":"***zz","e":"***"}');
    const cut = (length: number): Redaction => ({ path: "$[0]", with: "truncate", length });
    expect(redact('["mail ada@example.com, bob@example.com"]', [cut(9), mask("email")])).toBe('["mail ***"]');
    expect(redact('["mail ada@example.com, bob@example.com"]', [cut(23), mask("email")])).toBe(
      '["mail ***, ***"]',
    );
    expect(redact('["mail ada@example.com, bob@example.com"]', [cut(21), mask("email")])).toBe(
      '["mail ***,"]',
    );
  });

  test("in a name quarantines, unless the member is removed", () => {
    expect(redact('{"ada@example.com":1}', [mask("email")])).toStartWith(
      "redaction_failed: Payload has a name in which a detector finds something at byte 1",
    );
    expect(redact('{"x":{"ada\\u0040example.com":1}}', [mask("email")])).toStartWith("redaction_failed");
    expect(
      redact('{"ada@example.com":1,"b":2}', [
        mask("email"),
        { path: "$['ada@example.com']", with: "remove" },
      ]),
    ).toBe('{"b":2}');
    expect(redact('{"ada@example.com":1,"b":"x@y.zz"}', [{ ...mask("email"), path: "$.b" }])).toBe(
      '{"ada@example.com":1,"b":"***"}',
    );
  });

  test("in a number takes all of it; other numbers stay as they are", () => {
    expect(redact("[4111111111111111,1.0,1e400,4111111111111112,-4111111111111111]", [mask("card")])).toBe(
      '["***",1.0,1e400,4111111111111112,-4111111111111111]',
    );
    expect(redact("[4111111111111111]", [{ detect: ["card"], with: "remove" }])).toBe('[""]');
    const written = "[4111111111111111.0, 4.111111111111111e15,4111111111111111e0,41111111111111110e-1]";
    expect(redact(written, [mask("card"), mask("email")])).toBe('["***", "***","***","***"]');
    const others = "[4111111111111111.5,4.111111111111112E15,52.520006599999,1.7976931348623157e308]";
    expect(redact(others, [mask("card")])).toBe(others);
    expect(redact("[7,true,null]", [mask({ name: "n", pattern: "7|true|null" })])).toBe('["***",true,null]');
  });

  test("in a text with half a surrogate pair quarantines", () => {
    expect(redact('["\\ud800 x@y.zz"]', [mask("email")])).toStartWith("redaction_failed: Payload has half");
  });
});

describe("truncate", () => {
  const cut = (length: number): Redaction => ({ path: "$[0]", with: "truncate", length });
  test.each([
    ['["abcdef"]', 3, '["abc"]'],
    ['["abc"]', 3, '["abc"]'],
    ['["😀é日x"]', 2, '["😀é"]'],
    ['["\\ud83d\\ude00\\u00e9x"]', 1, '["\\ud83d\\ude00"]'],
    ['["a\\n\\"x"]', 2, '["a\\n"]'],
    ["[12345]", 2, '["***"]'],
    ['[{"a":1}]', 2, '["***"]'],
    ['["ab\\ud800"]', 1, "redaction_failed"],
  ])("of %s to %d gives %s", (json, length, expected) => {
    expect(redact(json, [cut(length)])).toStartWith(expected);
  });
});

describe("replace", () => {
  test.each(["[gone]", "", 'q"\\\u0001😀', 0, 1.5, -3, true, false, null])(
    "writes %j for any value",
    (value) => {
      const written = redact('{"a":[1],"b":"x","c":2}', [
        { path: "$.a", with: "replace", value },
        { path: "$.b", with: "replace", value },
      ]);
      expect(JSON.parse(written)).toEqual({ a: value, b: value, c: 2 });
    },
  );
});
