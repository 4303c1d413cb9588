import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HeaderCursor, headerValue, messageId } from "../../../src/policy/header_block.ts";
import { compileHeaderRules, forwardHeaders, headerProblems } from "../../../src/policy/headers.ts";
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
});
