import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HeaderCursor, headerValue, messageId } from "../../../src/policy/header_block.ts";
import { compileHeaderRules, forwardHeaders } from "../../../src/policy/headers.ts";
import { headerProblems } from "../../../src/policy/headers_check.ts";
import { seeded } from "./subjects.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const block = (...lines: string[]) => encoder.encode(["NATS/1.0", ...lines, "", ""].join("\r\n"));
const none = compileHeaderRules(undefined);
const EMPTY = new Uint8Array(0);
const text = (bytes: Uint8Array | null) => (bytes === null ? null : decoder.decode(bytes));

describe("forwardHeaders()", () => {
  test("returns the same array when nothing changes", () => {
    const plain = block("region: EU", "Nats-Msg-Id: 7", "X-A:1");
    expect(forwardHeaders(plain, none)).toBe(plain);
    expect(forwardHeaders(EMPTY, none)).toEqual(EMPTY);
  });

  test("drops what servers and sidecars act on, in any case, but not Nats-Msg-Id", () => {
    const acting = [
      "Nats-Rollup: all",
      "Nats-TTL: 1s",
      "Nats-Expected-Stream: x",
      "Nats-Expected-Last-Sequence: 1",
      "Nats-Schedule: @at",
      "Nats-Schedule-Target: x",
      "Nats-Trace-Dest: x",
      "Nats-Batch-Id: x",
      "Nats-Stream-Source: x",
      "nats-rollup: all",
      "NATS-Whatever: x",
      "Leafmesh-Position: 1",
      "leafmesh-policy: x",
      "nats-msg-id: other",
      "Nats-Msg-Id2: x",
    ];
    const kept = ["a: 1", "Nats-Msg-Id: 7", "X-Nats-Rollup: x", "Natsy: x", "Nmqtt-Pub: 0a"];
    const mixed = block(...kept.flatMap((line, i) => [line, ...acting.slice(i * 3, i * 3 + 3)]));
    expect(text(forwardHeaders(mixed, none))).toBe(decoder.decode(block(...kept)));
    expect(forwardHeaders(block(...acting), none)).toEqual(EMPTY);
  });

  test("drops and sets by the rule, whatever the case of names", () => {
    const rules = compileHeaderRules({
      drop: ["X-Internal-*", "secret"],
      set: { classification: "shared", "x-new": "ä" },
    });
    const given = block(
      "x-internal-a: 1",
      "SECRET: 2",
      "Classification: top",
      "secrets: 3",
      "classification: top",
      "X-INTERNAL-: 4",
    );
    expect(text(forwardHeaders(given, rules))).toBe(
      decoder.decode(block("secrets: 3", "classification: shared", "x-new: ä")),
    );
    expect(text(forwardHeaders(EMPTY, rules))).toBe(
      decoder.decode(block("classification: shared", "x-new: ä")),
    );
    expect(text(forwardHeaders(block("secret: 1"), rules))).toBe(
      decoder.decode(block("classification: shared", "x-new: ä")),
    );
    expect(text(forwardHeaders(block("a: 1"), rules))).toBe(
      decoder.decode(block("a: 1", "classification: shared", "x-new: ä")),
    );
  });

  test("keeps only what 'keep' names, and the id", () => {
    const rules = compileHeaderRules({ keep: ["X-Region", "ce-*"], set: { x: "1" } });
    const given = block(
      "x-region: EU",
      "traceparent: 00",
      "Nats-Msg-Id: 7",
      "CE-Type: a",
      "x-regions: b",
      "X-REGION: US",
      "Nats-TTL: 1",
    );
    expect(text(forwardHeaders(given, rules))).toBe(
      decoder.decode(block("x-region: EU", "Nats-Msg-Id: 7", "CE-Type: a", "X-REGION: US", "x: 1")),
    );
    expect(text(forwardHeaders(block("traceparent: 00"), compileHeaderRules({ keep: ["a"] })))).toBe("");
  });

  test("masks every value of a name, and never the id", () => {
    const rules = compileHeaderRules({ mask: ["x-user*", "n*", "token"] });
    const given = block(
      "X-User-Id: 1",
      "x-user-id:2",
      "Nats-Msg-Id: 7",
      "name:\tada ",
      "token:",
      "a: nats",
      "Nats-TTL: 1",
    );
    expect(text(forwardHeaders(given, rules))).toBe(
      decoder.decode(
        block("X-User-Id: ***", "x-user-id:***", "Nats-Msg-Id: 7", "name:\t***", "token:***", "a: nats"),
      ),
    );
  });

  test("renames every header of a name, in place of those that have the new one", () => {
    const rules = compileHeaderRules({ rename: { "X-Region": "region", a: "B", b: "A" }, mask: ["a"] });
    const given = block("x-region: EU", "Region: forged", "X-REGION:US", "a: 1", "B: 2", "regions: x");
    expect(text(forwardHeaders(given, rules))).toBe(
      decoder.decode(block("region: EU", "region:US", "B: ***", "A: 2", "regions: x")),
    );
    // Also where there is nothing to rename.
    expect(text(forwardHeaders(block("REGION: forged", "c: 1"), rules))).toBe(decoder.decode(block("c: 1")));
  });

  test("keeps what it renames, and drops and renames by the old name", () => {
    const rules = compileHeaderRules({ keep: ["c"], drop: ["c-*"], rename: { a: "c-new" } });
    expect(text(forwardHeaders(block("a: 1", "b: 2", "c: 3", "c-new: 4"), rules))).toBe(
      decoder.decode(block("c-new: 1", "c: 3")),
    );
  });

  test("grows a block whose names become longer", () => {
    const to = "x".repeat(200);
    const lines = Array.from({ length: 50 }, (_, i) => `a: ${i}`);
    expect(text(forwardHeaders(block(...lines), compileHeaderRules({ rename: { a: to } })))).toBe(
      decoder.decode(block(...lines.map((line) => line.replace("a:", `${to}:`)))),
    );
  });

  test("keeps bytes of values as they are", () => {
    const raw = Uint8Array.from([
      ...encoder.encode("NATS/1.0\r\na:\t\xff"),
      0xff,
      ...encoder.encode("\r\nNats-TTL: 1\r\n\r\n"),
    ]);
    expect(forwardHeaders(raw, none)).toEqual(
      Uint8Array.from([...encoder.encode("NATS/1.0\r\na:\t\xff"), 0xff, ...encoder.encode("\r\n\r\n")]),
    );
  });

  test.each([
    ["no version", "a: 1\r\n\r\n"],
    ["another version", "NATS/1.1\r\na: 1\r\n\r\n"],
    ["a status of a server", "NATS/1.0 503\r\n\r\n"],
    ["a status with text", "NATS/1.0 100 Idle Heartbeat\r\n\r\n"],
    ["no end", "NATS/1.0\r\na: 1\r\n"],
    ["nothing behind the version", "NATS/1.0\r\n"],
    ["a cut line", "NATS/1.0\r\na: 1"],
    ["a cut name", "NATS/1.0\r\na"],
    ["a line without colon", "NATS/1.0\r\nabc\r\n\r\n"],
    ["an empty name", "NATS/1.0\r\n: 1\r\n\r\n"],
    ["a space in a name", "NATS/1.0\r\na b: 1\r\n\r\n"],
    ["a space before the colon", "NATS/1.0\r\nNats-Rollup : all\r\n\r\n"],
    ["a folded line", "NATS/1.0\r\na: 1\r\n b\r\n\r\n"],
    ["a bare LF that hides a header", "NATS/1.0\r\na: 1\nNats-Rollup: all\r\n\r\n"],
    ["a bare CR that hides a header", "NATS/1.0\r\na: 1\rNats-Rollup: all\r\n\r\n"],
    ["a NUL", "NATS/1.0\r\na: \0\r\n\r\n"],
    ["a non-ASCII name", "NATS/1.0\r\né: 1\r\n\r\n"],
    ["something behind the end", "NATS/1.0\r\na: 1\r\n\r\nNats-Rollup: all\r\n\r\n"],
    ["CRLF alone", "\r\n"],
  ])("refuses a block with %s", (_, raw) => {
    expect(forwardHeaders(encoder.encode(raw), none)).toBeNull();
  });

  test("never throws, and what it forwards is well-formed and without transport headers", () => {
    const token = fc.constantFrom(
      "NATS/1.0",
      "\r\n",
      "\r",
      "\n",
      ":",
      " ",
      "Nats-Rollup",
      "nats-ttl",
      "a",
      "Leafmesh-X",
      "x-int",
      "\0",
    );
    const rules = compileHeaderRules({ drop: ["x-*"] });
    fc.assert(
      fc.property(fc.array(token, { maxLength: 14 }), fc.boolean(), (parts, proper) => {
        const raw = encoder.encode(proper ? `NATS/1.0\r\n${parts.join("")}\r\n\r\n` : parts.join(""));
        const out = forwardHeaders(raw, rules);
        if (out === null || out.length === 0) return;
        expect(forwardHeaders(out, none)).toBe(out);
        expect(decoder.decode(out)).not.toMatch(/(^|\n|\r)(nats-rollup|nats-ttl|leafmesh|x-)/i);
      }),
      { ...seeded, numRuns: 5000 },
    );
  }, 60_000);
});

describe("forwardHeaders() with any rules and blocks", () => {
  const name = fc.constantFrom("a", "A", "b", "x-a", "X-B", "ce-id", "traceparent", "natsy", "leaf");
  const acting = fc.constantFrom(
    "Nats-Rollup",
    "nats-ttl",
    "NATS-X",
    "Leafmesh-Position",
    "leafmesh-",
    "nats-msg-id",
  );
  const id = fc.constant("Nats-Msg-Id");
  const value = fc.string({ unit: fc.constantFrom("v", " ", "\t", ":", "é", "*"), maxLength: 6 });
  const line = fc.tuple(fc.oneof(name, acting, id), fc.constantFrom(":", ": ", ":\t"), value);
  const patterns = fc.uniqueArray(
    fc.constantFrom("a", "b", "x-*", "X-A", "ce-*", "n*", "nats-*", "l*", "tr*"),
    {
      minLength: 1,
      maxLength: 3,
    },
  );
  const rules = fc.record(
    {
      drop: patterns,
      keep: patterns,
      mask: patterns,
      rename: fc.dictionary(fc.constantFrom("a", "b", "X-A"), fc.constantFrom("b", "a", "c", "ce-id"), {
        maxKeys: 2,
      }),
      set: fc.dictionary(fc.constantFrom("d", "A", "ce-id"), fc.constantFrom("set", ""), { maxKeys: 2 }),
    },
    { requiredKeys: [] },
  );
  const transport = /^(nats-|leafmesh-)/i;

  test("lets no transport header out but the id, and leaves other lines as they are", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), rules, (lines, given) => {
        fc.pre(headerProblems(given).every((one) => !one.path.startsWith("rename")));
        const raw = block(...lines.map((parts) => parts.join("")));
        const out = forwardHeaders(raw, compileHeaderRules(given));
        if (out === null) throw new Error("a block that is well-formed was refused");
        if (out.length === 0) return;
        const cursor = new HeaderCursor();
        const input = new Set(lines.map((parts) => parts.join("")));
        const set = new Set(Object.entries(given.set ?? {}).map(([key, one]) => `${key}: ${one}`));
        const masked = given.mask ?? [];
        cursor.start(out);
        while (cursor.next()) {
          const key = cursor.name();
          expect(transport.test(key) && key !== "Nats-Msg-Id").toBe(false);
          const whole = decoder.decode(out.subarray(cursor.lineFrom, cursor.lineTo - 2));
          const renamed = Object.values<string>(given.rename ?? {}).includes(key);
          const hidden = masked.length > 0 && cursor.value() === "***";
          expect(input.has(whole) || set.has(whole) || renamed || hidden).toBe(true);
        }
        expect(cursor.invalid).toBe(false);
        // Once more changes nothing of what is masked, dropped and kept.
        expect(forwardHeaders(out, none)).toBe(out);
      }),
      { ...seeded, numRuns: 3000 },
    );
  }, 60_000);
});

describe("headerValue() and messageId()", () => {
  test("give the first value of a name in this very case, without white space around it", () => {
    const valid = block("nats-msg-id: low", "Nats-Msg-Id:  7 \t", "Nats-Msg-Id: 8", "x: ü");
    expect(messageId(valid)).toBe("7");
    expect(headerValue(valid, "x")).toBe("ü");
    expect(headerValue(valid, "X")).toBeNull();
    expect(messageId(EMPTY)).toBeNull();
    expect(messageId(block())).toBeNull();
  });

  test("a cursor can be started again after a malformed block", () => {
    const cursor = new HeaderCursor();
    expect(messageId(encoder.encode("x"), cursor)).toBeNull();
    expect(messageId(block("Nats-Msg-Id: 7"), cursor)).toBe("7");
  });
});

describe("headerProblems()", () => {
  test("refuses to set what servers and sidecars act on, and line breaks", () => {
    const problems = headerProblems({
      set: { "Nats-Rollup": "all", "leafmesh-x": "1", ok: "1", bad: "a\r\nb: c" },
    });
    expect(problems.map((one) => one.path)).toEqual(["set.Nats-Rollup", "set.leafmesh-x", "set.bad"]);
  });

  test.each([
    [{ set: { a: "1", A: "2" } }, "set.A: Header 'A' is set twice, as 'a' too: names count in any case"],
    [
      { keep: ["Nats-*"] },
      "keep[0]: Header 'Nats-*' cannot be kept: of the headers that begin with Nats- or Leafmesh- only Nats-Msg-Id crosses, and it does so by itself",
    ],
    [{ keep: ["x-a"], drop: ["X-*"] }, "keep[0]: Header 'x-a' is kept, and dropped by 'X-*'"],
    [
      { mask: ["nats-msg-id"] },
      "mask[0]: Header 'nats-msg-id' cannot be masked: servers and sidecars act on it",
    ],
    [{ mask: ["a"], drop: ["A"] }, "mask[0]: Header 'a' is masked, and dropped by 'A'"],
    [{ mask: ["a"], keep: ["b*"] }, "mask[0]: Header 'a' is masked, and 'keep' leaves it out"],
    [
      { rename: { a: "Nats-Rollup" } },
      "rename.a: Header 'a' cannot be renamed to 'Nats-Rollup': servers and sidecars act on headers that begin with Nats- or Leafmesh-",
    ],
    [
      { rename: { "nats-msg-id": "id" } },
      "rename.nats-msg-id: Header 'nats-msg-id' cannot be renamed to 'id': servers and sidecars act on headers that begin with Nats- or Leafmesh-",
    ],
    [
      { rename: { a: "b", A: "c" } },
      "rename.A: Header 'A' is renamed twice, as 'a' too: names count in any case",
    ],
    [{ rename: { a: "c", b: "C" } }, "rename.b: Headers 'a' and 'b' are both renamed to 'C'"],
    [
      { rename: { a: "b" }, set: { B: "1" } },
      "rename.a: Header 'a' is renamed to 'b', which 'set' puts in: only one of them can be",
    ],
    [{ rename: { a: "b" }, drop: ["a*"] }, "rename.a: Header 'a' is renamed, and dropped by 'a*'"],
    [{ rename: { a: "b" }, set: { A: "1" } }, "rename.a: Header 'a' is renamed, and 'set' replaces it"],
  ])("says of %j what is wrong", (rules, message) => {
    expect(headerProblems(rules).map((one) => `${one.path}: ${one.message}`)).toEqual([message]);
  });

  test("has nothing against rules that fit together", () => {
    const rules = { keep: ["Nats-Msg-Id", "b", "x-*"], mask: ["x-user", "a"], rename: { a: "c", b: "a" } };
    expect(headerProblems(rules)).toEqual([]);
  });
});
