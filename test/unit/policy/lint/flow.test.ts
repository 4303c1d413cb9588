/** What rules let out of sets of subjects, and whether patterns together hold another. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Rule } from "../../../../src/model/schema/policy.ts";
import { outsideOf } from "../../../../src/model/subject_cover.ts";
import { exampleOf, exportFlow, importFlow, publishedFlow } from "../../../../src/policy/lint/flow.ts";
import { rewriteOf } from "../../../../src/policy/lint/rewrite.ts";
import { patternOf, Wildcards } from "../../../../src/policy/lint/terms.ts";
import { allSubjects, bruteMatch, pattern, seeded } from "../subjects.ts";

describe("outsideOf()", () => {
  test("finds a subject that no other pattern holds, and only where there is one", () => {
    const subjects = allSubjects(5);
    let covered = 0;
    fc.assert(
      fc.property(pattern, fc.array(pattern, { maxLength: 6 }), (one, cuts) => {
        const left = subjects.some(
          (subject) => bruteMatch(one, subject) && !cuts.some((cut) => bruteMatch(cut, subject)),
        );
        const found = outsideOf(one, cuts);
        expect(found !== null).toBe(left);
        if (found === null) covered += 1;
        else expect(bruteMatch(one, found.replaceAll("*", "zz"))).toBe(true);
      }),
      seeded,
    );
    expect(covered).toBeGreaterThan(40);
  }, 30_000);

  test("several patterns may hold together what none holds alone", () => {
    expect(outsideOf("a.>", ["a.*", "a.*.>"])).toBeNull();
    expect(outsideOf("a.>", ["a.*", "a.*.*.>"])).toBe("a.*.*");
    expect(outsideOf("a.*", ["a.b", "a.c"])).toBe("a.*");
  });
});

describe("exportFlow() and importFlow()", () => {
  /** `published -> now #rule` of what is left of `t.>` behind the rules and what an import accepts. */
  const through = (rules: readonly Rule[], accepted: readonly string[] = ["t.>"]) => {
    const wildcards = new Wildcards();
    return exportFlow(publishedFlow("t.>", wildcards), { rules: [...rules] }, rewriteOf, wildcards).flatMap(
      (flow) =>
        importFlow(flow, accepted, wildcards).map(
          (one) =>
            `${patternOf(one.source)} -> ${patternOf(one.now)} #${flow.rule}${one.cuts.length > 0 ? " cut" : ""}`,
        ),
    );
  };

  test("the first rule without a condition takes what it matches; one with a condition leaves it too", () => {
    expect(through([{ subjects: ["t.a.*"], deny: true }, { subjects: ["t.a.>"] }])).toEqual([
      "t.a.> -> t.a.> #1 cut",
    ]);
    expect(through([{ subjects: ["t.a.>"], deny: true }, { subjects: ["t.a.*"] }])).toEqual([]);
    expect(through([{ subjects: ["t.a"], when: "true", deny: true }, { subjects: ["t.a"] }])).toEqual([
      "t.a -> t.a #1",
    ]);
    expect(through([{ subjects: ["t.a", "t.b"] }, { subjects: ["t.*"] }], ["t.a"])).toEqual([
      "t.a -> t.a #0",
    ]);
  });

  test("what is accepted of a rewritten subject narrows what was published", () => {
    const rules = [{ subjects: ["t.orders.*.v1"], rewrite: "t.shared.*" }];
    expect(through(rules)).toEqual(["t.orders.*.v1 -> t.shared.* #0"]);
    expect(through(rules, ["t.shared.eu", "t.orders.>"])).toEqual(["t.orders.eu.v1 -> t.shared.eu #0"]);
    expect(through([{ subjects: ["t.*.*"], rewrite: "t.$2.$1.$2" }], ["t.a.*.a", "t.b.*.c"])).toEqual([
      "t.*.a -> t.a.*.a #0",
    ]);
    expect(through([{ subjects: ["t.a.>"], rewrite: "t.b.x.>" }], ["t.b.*.*", "t.b.*.c.d.>"])).toEqual([
      "t.a.* -> t.b.x.* #0",
      "t.a.c.d.> -> t.b.x.c.d.> #0",
    ]);
  });

  test("within a rule the first pattern gives the wildcards", () => {
    const rules = [{ subjects: ["t.*.a", "t.b.*"], rewrite: "t.x.*" }];
    expect(through(rules, ["t.x.b"])).toEqual(["t.b.a -> t.x.b #0", "t.b.b -> t.x.b #0"]);
    expect(through(rules, ["t.x.a"])).toEqual(["t.a.a -> t.x.a #0"]);
  });

  test("an example is a subject that comes through", () => {
    const wildcards = new Wildcards();
    const [flow] = exportFlow(
      publishedFlow("t.>", wildcards),
      { rules: [{ subjects: ["t.a.*"], deny: true }, { subjects: ["t.a.>"] }] },
      rewriteOf,
      wildcards,
    );
    expect(flow === undefined ? null : exampleOf(flow)).toBe("t.a.*.*");
  });
});
