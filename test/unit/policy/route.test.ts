import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ExportPolicy, Rule } from "../../../src/model/schema/policy.ts";
import { overlappingPair } from "../../../src/model/subject.ts";
import { compileRoute } from "../../../src/policy/route.ts";
import { allSubjects, bruteMatch, seeded, tenantPattern } from "./subjects.ts";

const policy = (...rules: Rule[]): ExportPolicy => ({ name: "p", to: ["tokyo"], rules });
const allow = (...subjects: string[]): Rule => ({ subjects });
const deny = (...subjects: string[]): Rule => ({ subjects, deny: true });

/** First match wins, one subject at a time. */
function allowed(rules: readonly Rule[], subject: string): boolean {
  const rule = rules.find((one) => one.subjects.some((pattern) => bruteMatch(pattern, subject)));
  return rule !== undefined && rule.deny !== true;
}

describe("compileRoute()", () => {
  test("is native for plain subjects, without those that another pattern holds", () => {
    expect(compileRoute(policy(allow("acme.orders.>", "acme.orders.a"), allow("acme.catalog.*")))).toEqual({
      type: "native",
      subjects: ["acme.orders.>", "acme.catalog.*"],
    });
  });

  test("needs a view for limits, but not for what nats-server keeps to each peer", () => {
    const rule: Rule = { subjects: ["acme.a"], limit: { messages: "5/s" } };
    expect(compileRoute(policy(rule))).toMatchObject({
      type: "view",
      why: ["rule #1 ('acme.a') has a limit"],
    });
    const exported = { ...policy(allow("acme.a")), limit: { perPeer: "1MiB/s" } };
    expect(compileRoute(exported).type).toBe("native");
    expect(compileRoute({ ...exported, limit: { bytes: "1MiB/s" } })).toMatchObject({
      type: "view",
      why: ["the export has a limit for all its peers together (nats-server keeps only 'perPeer')"],
    });
  });

  test("is native when a deny is expressible", () => {
    expect(compileRoute(policy(deny("acme.*"), allow("acme.>")))).toEqual({
      type: "native",
      subjects: ["acme.*.>"],
    });
    expect(compileRoute(policy(deny("acme.debug.>"), allow("acme.orders.>")))).toEqual({
      type: "native",
      subjects: ["acme.orders.>"],
    });
  });

  test("ignores a deny behind the rule that allows the same", () => {
    const route = compileRoute(policy(allow("acme.orders.>"), deny("acme.orders.x"), allow("acme.orders.*")));
    expect(route).toEqual({ type: "native", subjects: ["acme.orders.>"] });
  });

  test("ignores a deny of what is allowed already, even where patterns could not say the rest", () => {
    const route = compileRoute(policy(allow("acme.a.>"), deny("acme.a.b"), allow("acme.>")));
    expect(route).toEqual({ type: "native", subjects: ["acme.>"] });
  });

  test("is a view with a sentence when a deny is not expressible", () => {
    expect(compileRoute(policy(allow("acme.catalog.>"), deny("acme.debug.>"), allow("acme.>")))).toEqual({
      type: "view",
      subjects: ["acme.>"],
      outputs: ["acme.>"],
      why: [
        "rule #2 ('acme.debug.>') denies a part of rule #3 ('acme.>'), and no set of patterns says 'all but'",
      ],
    });
  });

  test("is a view when two patterns overlap partially, and reads a wider disjoint set", () => {
    expect(compileRoute(policy(allow("acme.*.x", "acme.a.*")))).toEqual({
      type: "view",
      subjects: ["acme.>"],
      outputs: ["acme.>"],
      why: ["'acme.*.x' and 'acme.a.*' both hold 'acme.a.x', and the filters of a consumer may not overlap"],
    });
  });

  test("is a view for each rule with a condition, redactions or header changes", () => {
    const route = compileRoute(
      policy(
        { name: "eu", subjects: ["acme.a"], when: "true" },
        { subjects: ["acme.b", "acme.c"], redact: [{ path: "$.x", with: "mask" }], headers: { drop: ["x"] } },
        { subjects: ["acme.d"], deny: true, when: "true" },
        allow("acme.e"),
      ),
    );
    expect(route).toEqual({
      type: "view",
      subjects: ["acme.a", "acme.b", "acme.c", "acme.e"],
      outputs: ["acme.a", "acme.b", "acme.c", "acme.e"],
      why: [
        "rule #1 \"eu\" has a condition ('when')",
        "rule #2 ('acme.b' and 1 more) has redactions and header changes",
        "rule #3 ('acme.d') has a condition ('when')",
      ],
    });
  });

  test("is native and empty when nothing is allowed", () => {
    expect(compileRoute(policy(deny("acme.>"), allow("acme.a")))).toEqual({ type: "native", subjects: [] });
  });

  test("is a view when it would need too many filters", () => {
    const route = compileRoute(policy(allow(...Array.from({ length: 100 }, (_, i) => `acme.a.t${i}`))));
    expect(route.type).toBe("view");
    expect(route.subjects.length).toBeLessThanOrEqual(64);
    expect(overlappingPair(route.subjects)).toBeNull();
  });

  test("gives every subject the verdict of a first-match evaluator", () => {
    const subjects = allSubjects(4);
    const rule = fc
      .tuple(fc.array(tenantPattern, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([patterns, denies]) => (denies ? deny(...patterns) : allow(...patterns)));
    let native = 0;
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 5 }), (rules) => {
        const route = compileRoute(policy(...rules));
        expect(overlappingPair(route.subjects)).toBeNull();
        if (route.type === "native") native++;
        for (const subject of subjects) {
          const crosses = route.subjects.some((pattern) => bruteMatch(pattern, subject));
          if (route.type === "native") expect(crosses).toBe(allowed(rules, subject));
          else if (allowed(rules, subject)) expect(crosses).toBe(true);
        }
      }),
      { ...seeded, numRuns: 1000 },
    );
    expect(native).toBeGreaterThan(250);
  }, 60_000);
});
