import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import type { MeshEvent } from "../../../src/model/event.ts";
import { compilePredicate, predicateProblem } from "../../../src/policy/predicate.ts";

const encoder = new TextEncoder();
const event = (change: { data?: string; headers?: string; subject?: string } = {}): MeshEvent => ({
  subject: change.subject ?? "acme.orders.created",
  headers: encoder.encode(
    change.headers ?? "NATS/1.0\r\nregion: EU\r\nregion: EU\r\nvia: a\r\nvia: b\r\n\r\n",
  ),
  data: encoder.encode(change.data ?? '{"total":12,"id":"7","list":[{"id":1,"tags":["a","b"]}]}'),
  origin: "berlin",
  timeMs: Date.UTC(2026, 0, 2),
  sequence: 1,
});
const evaluate = (text: string, change = {}) => compilePredicate(text).evaluate(event(change));

describe("a condition", () => {
  test.each([
    'subject == "acme.orders.created"',
    'tokens[1] == "orders" && size(tokens) == 3',
    'headers["region"] == "EU"',
    '!("Region" in headers)',
    '"via" in headers && headers.exists(name, name == "via")',
    "data.total > 10.0",
    "data.total > 10",
    "data.total == 12",
    'origin == "berlin"',
    'time > timestamp("2026-01-01T00:00:00Z")',
    "size == 56",
    "data.list.exists(x, x.tags.exists(t, t == 'b') && x.id in [1, 2] && 'acme' in tokens)",
    'data.id.matches("^[0-9]$") && !subject.matches("^orders")',
    "data.total == 12.0 && data.total != 12.5 && -0.0 == 0.0",
    "data.missing == 1 || data.total == 12",
    "cel.bind(first, data.list[0], first.id == 1)",
    'has(data.id) && !has(data.missing) && !has(data.constructor) && !("toString" in data)',
  ])("%s is true", (text) => {
    expect(evaluate(text)).toEqual({ type: "value", value: true });
  });

  test.each([
    ["data.total > 100", {}],
    ['headers["region"] == "US"', {}],
    ["data.id == 9007199254740993", { data: '{"id":9007199254740992}' }],
  ])("%s is false", (text, change) => {
    expect(evaluate(text, change)).toEqual({ type: "value", value: false });
  });

  test("integers of 64 bits keep their value", () => {
    expect(evaluate("data.id == 9007199254740993", { data: '{"id":9007199254740993}' })).toEqual({
      type: "value",
      value: true,
    });
    expect(evaluate("data.id == 9007199254740993", { data: '[{"id":9007199254740993}]' }).type).toBe(
      "failed",
    );
  });

  test("members with names of JavaScript are members like others", () => {
    const data = '{"constructor":{"name":"x"},"__proto__":{"admin":true},"list":[{"constructor":1}]}';
    expect(evaluate('data.constructor.name == "x"', { data })).toMatchObject({ value: true });
    expect(evaluate("data.list[0].constructor == 1", { data })).toMatchObject({ value: true });
    expect(evaluate("has(data.admin)", { data })).toMatchObject({ value: false });
    expect(evaluate('data["__proto__"].admin', { data })).toMatchObject({ value: true });
    expect(evaluate("data == data && size(data) == 3", { data })).toMatchObject({ value: true });
    const large = `{"__proto__":{"__proto__":9007199254740993},"id":9007199254740993}`;
    expect(evaluate('data["__proto__"]["__proto__"] == data.id', { data: large })).toMatchObject({
      value: true,
    });
  });

  test.each(["constructor", "__proto__", "prototype", "toString", "name"])(
    "whatever a member is called, '%s' too, a key of another type is no key of JSON",
    (name) => {
      const data = `{"${name}":1}`;
      expect(evaluate("1 in data", { data })).toMatchObject({ type: "failed" });
      expect(evaluate("data[1] == 1", { data })).toMatchObject({ type: "failed" });
      expect(evaluate(`"${name}" in data && data["${name}"] == 1`, { data })).toMatchObject({ value: true });
      expect(evaluate('"other" in data', { data })).toMatchObject({ value: false });
    },
  );

  test.each([
    ["data.missing == 1", {}, "predicate_failed", "no_such_key"],
    ['headers["nope"] == "x"', {}, "predicate_failed", "no_such_key"],
    ["data.id > 5", {}, "predicate_failed", "no_such_overload"],
    ["data", {}, "predicate_failed", "neither true nor false"],
    ["data.total", {}, "predicate_failed", "neither true nor false"],
    ["data.total > 1", { data: '{"total":1,"total":12}' }, "predicate_failed", "two members"],
    ["data.a.total > 1", { data: '{"a":{"total":1,"t\\u006ftal":12}}' }, "predicate_failed", "two members"],
    ["data.total > 1", { data: "{" }, "payload_not_json", "byte 1"],
    ["data.total > 1", { data: "" }, "payload_not_json", "byte 0"],
    ["data.total > 1", { data: `${"[".repeat(200)}${"]".repeat(200)}` }, "payload_too_deep", ""],
    [
      'headers["region"] == "EU"',
      { headers: "NATS/1.0\r\nregion: EU\n\r\n\r\n" },
      "header_invalid",
      "malformed",
    ],
    ['headers["via"] == "a"', {}, "predicate_failed", "header_repeated"],
    ['headers["via"] != "b"', {}, "predicate_failed", "header_repeated"],
    [
      'headers.via == "a"',
      { headers: "NATS/1.0\r\nvia: a\r\nvia:\r\n\r\n" },
      "predicate_failed",
      "header_repeated",
    ],
    ['headers.exists(name, headers[name] == "x")', {}, "predicate_failed", "header_repeated"],
    ["data.n > 5", { data: '{"n":18446744073709551615}' }, "predicate_failed", "number_not_exact"],
    ["data.n > 5", { data: '{"n":1e400}' }, "predicate_failed", "number_not_exact"],
    ["data.n < 5", { data: '{"n":-1e400}' }, "predicate_failed", "number_not_exact"],
    ["data.list == [1]", { data: '{"list":[1e400]}' }, "predicate_failed", "number_not_exact"],
    ["data.list.exists(n, n > 5)", { data: '{"list":[1,1e400]}' }, "predicate_failed", "number_not_exact"],
    [
      "data.n < 9007199254740993.0",
      { data: '{"n":9007199254740993}' },
      "predicate_failed",
      "number_not_exact",
    ],
    ["data.n / 0 == 1", { data: '{"n":9007199254740993}' }, "predicate_failed", "division_by_zero"],
    ["data.n + data.n > 0", { data: '{"n":9223372036854775807}' }, "predicate_failed", "integer_overflow"],
    ["data.missing || data.total == 0", {}, "predicate_failed", "no_such_key"],
    ["!data.missing", {}, "predicate_failed", "no_such_key"],
    ["has(data.missing.deeper)", {}, "predicate_failed", "no_such_key"],
    ["data.list[1].id == 1", {}, "predicate_failed", "index_out_of_range"],
    [
      "data.id.contains(data.half)",
      { data: '{"id":"\ud83d\ude00","half":"\\udE00"}' },
      "predicate_failed",
      "text_malformed",
    ],
    ["data.list.all(x, x.id < 5 && data.id)", {}, "predicate_failed", "no_such_overload"],
  ])("%s fails on %j with %s", (text, change, reason, error) => {
    const result = evaluate(text, change);
    expect(result).toMatchObject({ type: "failed", reason });
    expect(result.type === "failed" ? result.error : "").toContain(error);
  });

  test("parses the payload only when it is used", () => {
    expect(compilePredicate('subject == "x"').readsData).toBe(false);
    expect(compilePredicate('subject == "x" || data.a == 1').readsData).toBe(true);
    expect(evaluate('origin == "berlin"', { data: "no json" })).toMatchObject({ value: true });
  });

  test("its errors hold nothing of the event", () => {
    for (const text of [
      "int(data.s) == 1",
      "headers[data.s] == 'x'",
      "timestamp(data.s) == time",
      "data.s > 5",
    ]) {
      expect(JSON.stringify(evaluate(text, { data: '{"s":"hunter2"}' }))).not.toContain("hunter2");
    }
  });
});

describe("predicateProblem()", () => {
  test.each([
    ["data.total >", ""],
    ["nope == 1", "Unknown variable: nope"],
    ["subject", "its result is a string"],
    ['size == "x"', "no such overload"],
    ["data.a.matches(data.b)", "the pattern of 'matches' must be a literal"],
    ['data.a.matches("(a")', "the pattern of 'matches' does not compile"],
    ['data.a.matches("(?=a)")', "the pattern of 'matches' does not compile"],
    ['data.a.matches("((a{100}){100}){100}")', "matches"],
    [`data.a.matches("${"a".repeat(600)}")`, "longer than 512"],
    ["data.a == 1u", "unsigned integers and bytes are not supported"],
    ["data.a == b'x'", "unsigned integers and bytes are not supported"],
    ["bytes(data.a).size() > 1", "'bytes' is not supported"],
    ["uint(data.a) == data.b", "'uint' is not supported"],
    ["type(data.a) == string", "'type' is not supported"],
    ["data.?a.hasValue()", "Expected IDENTIFIER"],
    ["google.protobuf.Timestamp == data", "'google' is not supported here"],
    ['time.getHours("Europe/Berlin") == 1', "zone 'Europe/Berlin' is not supported"],
    ["data.n == 18446744073709551616", "18446744073709551616 is no int of 64 bits"],
    ["data.n < 1e400", "Invalid number"],
    ["data.a.all(x, data.a.all(y, x == y))", "inside of a loop may only go over a part of 'x'"],
    ["data.a.exists(x, x.b.exists(y, x.b.exists(z, z == y)))", "a part of 'y'"],
    ["data.a.map(x, data.a).size() > 0 && data.a.all(x, x in data.a)", "'in' inside of a loop"],
    ["data.a.all(x, cel.bind(x, data.a, x.all(y, y == 1)))", "'cel.bind' stands inside of a loop"],
    [`${"(".repeat(60)}true${")".repeat(60)}`, "maxDepth"],
    [Array.from({ length: 400 }, () => "true").join(" && "), ""],
    [`subject == "${"x".repeat(5000)}"`, "longer than 4096"],
  ])("refuses %s", (text, problem) => {
    expect(predicateProblem(text)).toContain(problem);
    expect(() => compilePredicate(text)).toThrow(LeafmeshError);
  });
});
