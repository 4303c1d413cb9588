import { describe, expect, test } from "bun:test";
import { parsePath, type Segment } from "../../../../src/policy/redact/path.ts";

const named = (name: string): Segment => ({ descendant: false, selectors: [{ type: "name", name }] });

describe("parsePath()", () => {
  const valid: [string, Segment[]][] = [
    ["$", []],
    ["$.a.b", [named("a"), named("b")]],
    ["$['a b']", [named("a b")]],
    ['$["a\\"b"]', [named('a"b')]],
    ["$['it\\'s']", [named("it's")]],
    ["$['a\u200b']", [named("a\u200b")]],
    ["$['\\u00e9\\uD83D\\uDE00']", [named("é😀")]],
    ["$.é_1", [named("é_1")]],
    ["$ .a ['b']", [named("a"), named("b")]],
    ["$..a", [{ descendant: true, selectors: [{ type: "name", name: "a" }] }]],
    ["$..*", [{ descendant: true, selectors: [{ type: "wildcard" }] }]],
    ["$..[0]", [{ descendant: true, selectors: [{ type: "range", from: 0, to: 1 }] }]],
    ["$[1:3]", [{ descendant: false, selectors: [{ type: "range", from: 1, to: 3 }] }]],
    ["$[ 1 : 3 : 1 ]", [{ descendant: false, selectors: [{ type: "range", from: 1, to: 3 }] }]],
    ["$[:]", [{ descendant: false, selectors: [{ type: "range", from: 0, to: 2 ** 31 - 1 }] }]],
    [
      "$['a',0,*]",
      [
        {
          descendant: false,
          selectors: [{ type: "name", name: "a" }, { type: "range", from: 0, to: 1 }, { type: "wildcard" }],
        },
      ],
    ],
  ];
  test.each(valid)("reads %s", (text, segments) => {
    expect(parsePath(text)).toEqual({ type: "ok", segments });
  });

  test.each([
    ["", "must begin with '$'"],
    ["a.b", "must begin with '$'"],
    ["$.", "a name or '*' after '.'"],
    ["$.a-b", "'.', '..' or '['"],
    ["$.1a", "a name or '*'"],
    ["$...a", "a name or '*' after '..'"],
    ["$[-1]", "counts from the end"],
    ["$[-2:]", "counts from the end"],
    ["$[::2]", "step 2"],
    ["$[?@.a == 1]", "filter"],
    ["$[a]", "a quoted name, an index, a slice or '*'"],
    ["$[01]", "',' or ']'"],
    ["$['a", "without an end"],
    ["$['a'", "its end"],
    ["$['\\x']", "unknown escape"],
    ["$['\\ud800']", "half a surrogate pair"],
    ["$.a ", "ends with white space"],
    ["$.email\u200b", "an invisible character"],
    ["$.email\u00a0", "an invisible character"],
    ["$..\ufeffemail", "an invisible character"],
    ["$[2:1]", "selects nothing"],
    ["$[:0]", "selects nothing"],
    ["$[3:3]", "selects nothing"],
    ["$[99999999999]", "an index above"],
    [`$${".a".repeat(65)}`, "more than 64 segments"],
  ])("refuses %s: %s", (text, problem) => {
    const parsed = parsePath(text);
    expect(parsed.type === "invalid" ? parsed.problem : "accepted").toContain(problem);
  });
});
