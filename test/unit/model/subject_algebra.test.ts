import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  includes,
  intersect,
  intersectSets,
  matches,
  overlappingPair,
  overlaps,
  reduce,
  subtract,
} from "../../../src/model/subject.ts";
import { allSubjects, bruteMatch, pattern, seeded } from "../policy/subjects.ts";

const subjects = allSubjects(4);
const some = (patterns: readonly string[], subject: string) =>
  patterns.some((one) => bruteMatch(one, subject));

describe("subject algebra against a brute-force matcher, over all subjects of up to four tokens", () => {
  test("matches() says what the brute-force matcher says", () => {
    fc.assert(
      fc.property(pattern, (one) => {
        for (const subject of subjects) expect(matches(one, subject)).toBe(bruteMatch(one, subject));
      }),
      seeded,
    );
  }, 60_000);

  test("includes(), intersect() and overlaps() agree with the sets of subjects", () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const shared = intersect(a, b);
        expect(overlaps(a, b)).toBe(shared !== null);
        let inner = true;
        for (const subject of subjects) {
          const inA = bruteMatch(a, subject);
          const inB = bruteMatch(b, subject);
          if (inB && !inA) inner = false;
          expect(shared !== null && bruteMatch(shared, subject)).toBe(inA && inB);
        }
        expect(includes(a, b)).toBe(inner);
      }),
      seeded,
    );
  }, 60_000);

  test("subtract() gives exactly the difference, disjoint, and null only where a token would have to be 'all but'", () => {
    fc.assert(
      fc.property(pattern, pattern, (a, b) => {
        const rest = subtract(a, b);
        if (rest === null) {
          expect(overlaps(a, b)).toBe(true);
          expect(includes(b, a)).toBe(false);
          return;
        }
        expect(overlappingPair(rest)).toBeNull();
        for (const subject of subjects) {
          expect(some(rest, subject)).toBe(bruteMatch(a, subject) && !bruteMatch(b, subject));
        }
      }),
      seeded,
    );
  }, 60_000);

  test("subtract() cuts lengths out of an open pattern", () => {
    expect(subtract("acme.>", "acme.*.*")).toEqual(["acme.*", "acme.*.*.>"]);
    expect(subtract("acme.>", "*.>")).toEqual([]);
    expect(subtract("acme.>", "*.*.>")).toEqual(["acme.*"]);
    expect(subtract("acme.>", "acme.*.*.>")).toEqual(["acme.*", "acme.*.*"]);
    expect(subtract("acme.>", "acme.debug.>")).toBeNull();
    expect(subtract("acme.a", "acme.b")).toEqual(["acme.a"]);
  });

  test("reduce() keeps the set and leaves no pattern inside another", () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 6 }), (patterns) => {
        const reduced = reduce(patterns);
        for (const subject of subjects) expect(some(reduced, subject)).toBe(some(patterns, subject));
        for (const [i, a] of reduced.entries()) {
          for (const [j, b] of reduced.entries()) if (i !== j) expect(includes(a, b)).toBe(false);
        }
      }),
      seeded,
    );
  }, 60_000);

  test("intersectSets() gives the intersection, disjoint when both sets are", () => {
    const sets = fc.array(pattern, { maxLength: 4 });
    fc.assert(
      fc.property(sets, sets, (a, b) => {
        const shared = intersectSets(a, b);
        for (const subject of subjects) {
          expect(some(shared, subject)).toBe(some(a, subject) && some(b, subject));
        }
        if (overlappingPair(a) === null && overlappingPair(b) === null) {
          expect(overlappingPair(shared)).toBeNull();
        }
      }),
      seeded,
    );
  }, 60_000);
});
