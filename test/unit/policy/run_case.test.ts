import { describe, expect, test } from "bun:test";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { jsonDifferences } from "../../../src/policy/json_diff.ts";
import { runCase } from "../../../src/policy/run_case.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const compiled = compilePolicy({
  tenant: "acme",
  policy: { name: "p", to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] },
});
const event = (json: string, headers = "") => ({
  subject: "acme.a",
  headers: bytes(headers === "" ? "" : `NATS/1.0\r\n${headers}\r\n\r\n`),
  data: bytes(json),
  origin: "berlin",
  timeMs: 0,
  sequence: 1,
});

describe("runCase()", () => {
  test("finds a text however it is written, in payload, headers and subject", () => {
    const faults = (not: string[], json: string, headers = "") =>
      runCase(compiled, "view", event(json, headers), { outcome: "forward", not }).faults.map(
        (one) => one.message,
      );
    expect(faults(["Ada"], '{"a":"\\u0041da"}')).toEqual(["'Ada' stands in the payload"]);
    expect(faults(["Ada"], '{"\\u0041da":1}')).toEqual(["'Ada' stands in the payload"]);
    expect(faults(["12"], '{"n":3123}')).toEqual(["'12' stands in the payload"]);
    expect(faults(["v-1"], "x", "a: v-1")).toEqual(["'v-1' stands in a header"]);
    expect(faults(["Ada Ö"], "x", "ce-subject: Ada%20%C3%96")).toEqual(["'Ada Ö' stands in a header"]);
    expect(faults(["acme.a"], "x")).toEqual(["'acme.a' stands in the subject"]);
    expect(faults(["Ada", "b"], "Bob")).toEqual(["'b' stands in the payload"]);
    expect(faults(["Ada"], "{}")).toEqual([]);
  });

  test("takes a rule by its place, and headers on a native route as they are", () => {
    const expected = { outcome: "forward", rule: "#1", present: { "Nats-TTL": "1" } } as const;
    expect(runCase(compiled, "native", event("", "Nats-TTL: 1"), expected).faults).toEqual([]);
    const { faults } = runCase(compiled, "view", event("", "Nats-TTL: 1"), expected);
    expect(faults).toEqual([
      { at: ["headers", "present", "Nats-TTL"], message: "is missing; there are none" },
    ]);
  });

  test("misses a header of a name that every object of JavaScript has", () => {
    const expected = { outcome: "forward", present: { constructor: "x" } } as const;
    expect(runCase(compiled, "view", event(""), expected).faults).toEqual([
      { at: ["headers", "present", "constructor"], message: "is missing; there are none" },
    ]);
    expect(runCase(compiled, "view", event("", "constructor: x"), expected).faults).toEqual([]);
  });

  test("shows bytes around the first difference, short, and as base64 where they are no text", () => {
    const long = (end: string) => bytes("x".repeat(500) + end);
    const fault = (want: Uint8Array, got: Uint8Array) =>
      runCase(
        compiled,
        "view",
        { ...event(""), data: got },
        { outcome: "forward", payload: { type: "bytes", data: want } },
      ).faults[0]?.message ?? "";
    expect(fault(long("a"), long("b"))).toStartWith("differs from byte 500 on\n- expected …xxx");
    expect(fault(long("a"), long("b")).length).toBeLessThan(300);
    expect(fault(bytes("a"), new Uint8Array([0xff]))).toContain("+ got      base64 /w==");
    expect(fault(bytes("a"), bytes(""))).toContain("+ got      nothing (0 bytes)");
    expect(fault(bytes("a"), bytes("a"))).toBe("");
  });
});

describe("jsonDifferences()", () => {
  test("finds places, in whatever order members stand", () => {
    expect(jsonDifferences({ a: [1, { b: 2 }], c: 3 }, { c: 3, a: [1, { b: 2 }] })).toEqual([]);
    expect(jsonDifferences({ a: [1, { "b c": 2 }] }, { a: [1, { "b c": null }, 4] })).toEqual([
      { path: '$.a[1]["b c"]', expected: "2", got: "null" },
      { path: "$.a[2]", expected: null, got: "4" },
    ]);
    expect(jsonDifferences({}, [])).toEqual([{ path: "$", expected: "{}", got: "[]" }]);
    expect(jsonDifferences({}, { __proto__: 1, toString: 1 })).toHaveLength(1);
    expect(jsonDifferences(Array(50).fill(0), Array(50).fill(1))).toHaveLength(20);
    expect(jsonDifferences(0, -0)).toEqual([]);
  });
});
