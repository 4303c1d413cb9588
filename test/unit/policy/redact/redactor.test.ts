import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../../src/model/errors.ts";
import type { Redaction } from "../../../../src/model/schema/policy.ts";
import {
  compileRedactor,
  type RedactorOptions,
  redactionProblems,
} from "../../../../src/policy/redact/mod.ts";
import { Workspace } from "../../../../src/policy/redact/workspace.ts";

const workspace = new Workspace();

const encoder = new TextEncoder();
const pseudonymKey = { id: "k1", secret: encoder.encode("0123456789abcdef") };

function redact(
  json: string,
  redactions: Redaction[],
  options: RedactorOptions = { keys: { pseudonym: pseudonymKey } },
): string {
  const result = compileRedactor(redactions, { workspace, ...options }).apply(encoder.encode(json));
  return result.type === "ok" ? new TextDecoder().decode(result.data) : `${result.reason}: ${result.error}`;
}
const mask = (path: string): Redaction => ({ path, with: "mask" });
const remove = (path: string): Redaction => ({ path, with: "remove" });
const pseudonym = (path: string): Redaction => ({ path, with: "pseudonym" });

describe("remove", () => {
  test.each([
    ['{"a":1}', "$.a", "{}"],
    ['{"a":1,"b":2}', "$.a", '{"b":2}'],
    ['{"b":2,"a":1}', "$.a", '{"b":2}'],
    ['{"b":2, "a":1 , "c":3 }', "$.a", '{"b":2 , "c":3 }'],
    ['{ "a" : 1 , "b" : 2 }', "$.a", '{ "b" : 2 }'],
    ['{"a":1,"a":2,"b":3,"a":4,"a":5}', "$.a", '{"b":3}'],
    ['{"a":1,"a":2}', "$.a", "{}"],
    ['{"x":{"a":[1,{"a":2}]},"y":1}', "$..a", '{"x":{},"y":1}'],
    ["[1,2,3]", "$[0]", "[2,3]"],
    ["[1,2,3]", "$[1]", "[1,3]"],
    ["[1,2,3]", "$[2]", "[1,2]"],
    ["[1,2,3,4]", "$[1:3]", "[1,4]"],
    ["[ 1 , 2 ]", "$[*]", "[  ]"],
    ['[{"a":1},{"b":2}]', "$[*].a", '[{},{"b":2}]'],
    ['{"a":{"b":1}}', "$.a.b.c", '{"a":{"b":1}}'],
  ])("of %s by %s gives %s", (json, path, expected) => {
    expect(redact(json, [remove(path)])).toBe(expected);
  });

  test("of the whole payload is refused", () => {
    expect(() => compileRedactor([remove("$")])).toThrow(LeafmeshError);
  });
});

describe("mask", () => {
  test("hides whole values of any kind and leaves every other byte alone", () => {
    const json =
      '{ "n":1.0, "big":123456789012345678901,"e":1e400, "z":"\\u00e9\\/", "o":{"x":[1]}, "z":2 ,"t":true}';
    expect(redact(json, [mask("$.o"), mask("$.t"), mask("$.n")])).toBe(
      '{ "n":"***", "big":123456789012345678901,"e":1e400, "z":"\\u00e9\\/", "o":"***", "z":2 ,"t":"***"}',
    );
    expect(redact(" [1] ", [mask("$")])).toBe(' "***" ');
  });

  test.each([
    ['"ada@example.com"', '"***@example.com"'],
    ['"ada\\u0040example.com"', '"***@example.com"'],
    ['"ada@ex\\u0061mple.co.uk"', '"***@example.co.uk"'],
    ['"ada@bücher.example"', '"***@bücher.example"'],
    ['"ada"', '"***"'],
    ['"a@b@example.com"', '"***"'],
    ['"@example.com"', '"***"'],
    ['"ada@"', '"***"'],
    ['"ada@localhost"', '"***"'],
    ['"call me @ 555 1234"', '"***"'],
    ['"ada@example.com, secret"', '"***"'],
    ['"ada@555.1234"', '"***"'],
    ['"ada@a..example"', '"***"'],
    ["17", '"***"'],
    ["null", '"***"'],
    ['{"a":"ada@example.com"}', '"***"'],
    ['["ada@example.com"]', '"***"'],
  ])("keeps the domain of %s as %s", (json, expected) => {
    expect(redact(`{"v":${json}}`, [{ path: "$.v", with: "mask", keep: "domain" }])).toBe(
      `{"v":${expected}}`,
    );
  });

  test.each([
    ['"4111111111111111"', { last: 4 }, '"***1111"'],
    ['"Lovelace"', { first: 1 }, '"L***"'],
    ['"1234"', { last: 4 }, '"***"'],
    ['"12345"', { last: 4 }, '"***"'],
    ['"abc"', { first: 4 }, '"***"'],
    ['""', { first: 1 }, '"***"'],
    ['"12345678"', { last: 4 }, '"***5678"'],
    ['"12345678"', { first: 2, last: 2 }, '"12***78"'],
    ['"12345678"', { first: 3, last: 2 }, '"***"'],
    ['"😀é日x"', { first: 2 }, '"😀é***"'],
    ['"x😀"', { last: 1 }, '"***😀"'],
    ['"\\ud83d\\ude00\\n\\"x"', { first: 3 }, '"***"'],
    ['"\\ud83d\\ude00\\n\\"xyz"', { first: 3 }, '"😀\\u000a\\"***"'],
    ["12345", { last: 2 }, '"***"'],
  ])("of %s with keep %j gives %s", (json, keep, expected) => {
    expect(redact(`[${json}]`, [{ path: "$[0]", with: "mask", keep }])).toBe(`[${expected}]`);
  });
});

describe("pseudonym", () => {
  test("is the same for the same text, however it is escaped, and carries the key's id", () => {
    const first = redact('{"id":"c-991"}', [pseudonym("$.id")]);
    expect(first).toMatch(/^\{"id":"psn_k1_[A-Za-z0-9_-]{22}"\}$/);
    expect(redact('{"id":"\\u0063-\\u0039\\u0039\\u0031"}', [pseudonym("$.id")])).toBe(first);
    expect(redact('{"id":"c-992"}', [pseudonym("$.id")])).not.toBe(first);
    expect(
      redact('{"id":"c-991"}', [pseudonym("$.id")], {
        keys: { pseudonym: { ...pseudonymKey, secret: new Uint8Array(16) } },
      }),
    ).not.toBe(first);
  });

  test("works on scalars; objects and arrays are masked", () => {
    expect(redact("[7,true,null]", [pseudonym("$[*]")])).toMatch(
      /^\["psn_k1_.{22}","psn_k1_.{22}","psn_k1_.{22}"\]$/,
    );
    expect(redact('[{"a":1},[1]]', [pseudonym("$[*]")])).toBe('["***","***"]');
  });

  test("needs a key", () => {
    expect(() => compileRedactor([pseudonym("$.id")])).toThrow(LeafmeshError);
  });

  test("of half a surrogate pair fails, for other receivers may read another text", () => {
    expect(redact('["\\ud800"]', [pseudonym("$[0]")])).toStartWith("redaction_failed");
    expect(redact('["\\ud800 long"]', [{ path: "$[0]", with: "mask", keep: { last: 2 } }])).toStartWith(
      "redaction_failed",
    );
    for (const broken of [
      "\\ud800\\ue000",
      "\\ud800\\u0041",
      "\\ud800\\ud800",
      "\\udc00\\ud800",
      "\\ud800x",
    ]) {
      expect(redact(`["${broken}"]`, [pseudonym("$[0]")])).toStartWith("redaction_failed");
    }
    expect(redact('["\\ud800"]', [mask("$[0]")])).toBe('["***"]');
  });
});

describe("several redactions", () => {
  test("of one value: remove before mask before pseudonym before a mask that keeps a part", () => {
    const keep: Redaction = { path: "$.a", with: "mask", keep: { first: 1 } };
    const other = '"b":1';
    expect(redact(`{"a":"xyz",${other}}`, [keep, pseudonym("$.a"), mask("$.a"), remove("$.a")])).toBe(
      `{${other}}`,
    );
    expect(redact('{"a":"xyz"}', [keep, pseudonym("$.a"), mask("$.a")])).toBe('{"a":"***"}');
    expect(redact('{"a":"xyz"}', [keep, pseudonym("$.a")])).toContain("psn_k1_");
    expect(redact('{"a":"xyz"}', [keep, { path: "$.a", with: "mask", keep: { last: 1 } }])).toBe(
      '{"a":"x***"}',
    );
  });

  test("of nested values: the outermost counts", () => {
    expect(redact('{"a":{"b":"x"}}', [remove("$.a.b"), mask("$.a")])).toBe('{"a":"***"}');
    expect(redact('{"a":{"a":1},"c":[{"a":2}]}', [mask("$..a")])).toBe('{"a":"***","c":[{"a":"***"}]}');
  });

  test("names compare unescaped, exactly, and every duplicate counts", () => {
    expect(redact('{"em\\u0061il":1,"email":2,"EMAIL":3,"e\\u006dail":{"x":1}}', [mask("$.email")])).toBe(
      '{"em\\u0061il":"***","email":"***","EMAIL":3,"e\\u006dail":"***"}',
    );
    expect(
      redact('{"\\u00e9":1,"é":2,"\\ud83d\\ude00":3,"😀":4}', [mask("$.é"), mask("$['\\uD83D\\uDE00']")]),
    ).toBe('{"\\u00e9":"***","é":"***","\\ud83d\\ude00":"***","😀":"***"}');
  });
});

describe("bounds", () => {
  test("a payload may not be larger than the bound, before or after", () => {
    const long = `[${"1,".repeat(50)}1]`;
    expect(redact(long, [mask("$.x")], { maxBytes: 103 })).toBe(long);
    expect(redact(long, [mask("$.x")], { maxBytes: 102 })).toStartWith("payload_too_large");
    expect(redact(long, [mask("$[*]")], { maxBytes: 103 })).toStartWith("payload_too_large");
  });

  test("values that grow are written beyond the payload, and a large payload after a small one and back", () => {
    const ones = (n: number) => `[${Array(n).fill("1").join(",")}]`;
    const stars = (n: number) => `[${Array(n).fill('"***"').join(",")}]`;
    const redactor = compileRedactor([mask("$[*]")]);
    for (const n of [1, 3, 5000, 2, 2_000_000, 1, 20_000]) {
      const result = redactor.apply(encoder.encode(ones(n)));
      if (n > 1_500_000) expect(result).toMatchObject({ reason: "payload_too_large" });
      else expect(result.type === "ok" && new TextDecoder().decode(result.data)).toBe(stars(n));
    }
  });

  test("results are memory of their own", () => {
    const redactor = compileRedactor([mask("$[0]")]);
    const first = redactor.apply(encoder.encode('["secret",1]'));
    redactor.apply(encoder.encode('["another",2]'));
    expect(first.type === "ok" && new TextDecoder().decode(first.data)).toBe('["***",1]');
  });

  test("errors name places and never content", () => {
    const failures = ['{"pin":"hunter2"', '{"pin":hunter2}', '{"hunter2\\ud800":1}', '"hunter2\u0001"'];
    for (const json of failures) expect(redact(json, [mask("$.pin")])).not.toContain("hunter2");
  });
});

describe("redactionProblems()", () => {
  test("names every path that does not parse", () => {
    expect(
      redactionProblems([mask("$.a"), mask("a"), mask("$.a[-1]"), mask("$[?@.x]")]).map((one) => one.path),
    ).toEqual(["[1].path", "[2].path", "[3].path"]);
  });

  test("refuses paths that together need too many states", () => {
    const paths = Array.from({ length: 14 }, (_, i) => mask(`$..a${".*".repeat(i)}.b`));
    const [problem] = redactionProblems(paths);
    expect(problem?.message).toContain("states");
  });
});
