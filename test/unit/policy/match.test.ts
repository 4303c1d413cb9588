import { expect, test } from "bun:test";
import fc from "fast-check";
import { SubjectMatcher } from "../../../src/policy/match.ts";
import { allSubjects, bruteMatch, pattern, seeded } from "./subjects.ts";

test("SubjectMatcher.matches() agrees with a brute-force matcher", () => {
  const subjects = [...allSubjects(4), "tt", "ta.a", "t.aa", "t.a.bb", "t.a.zzzz"];
  fc.assert(
    fc.property(pattern, (one) => {
      const matcher = new SubjectMatcher(one);
      for (const subject of subjects) expect(matcher.matches(subject)).toBe(bruteMatch(one, subject));
    }),
    seeded,
  );
}, 60_000);
