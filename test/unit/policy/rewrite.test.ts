import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { ExportPolicy, Rule } from "../../../src/model/schema/policy.ts";
import { matches } from "../../../src/model/subject.ts";
import { checkRules } from "../../../src/policy/check_rules.ts";
import { compilePolicy, policyVersion } from "../../../src/policy/compile.ts";
import { decide } from "../../../src/policy/decide.ts";
import { compileRewrite, outputsOf, parseRewrite, patternLacks } from "../../../src/policy/rewrite.ts";
import { rewriteNotes } from "../../../src/policy/rewrite_check.ts";
import { compileRoute } from "../../../src/policy/route.ts";
import { allSubjects, seeded, tenantPattern } from "./subjects.ts";

const policyOf = (...rules: Rule[]): ExportPolicy => ({ name: "shared", to: ["tokyo"], rules });
const problemsOf = (...rules: Rule[]) =>
  checkRules(policyOf(...rules), "").map((one) => `${one.path}: ${one.message}`);

describe("compileRewrite()", () => {
  test.each([
    ["acme.shared.orders.*", ["acme.orders.*.v1"], "acme.orders.new.v1", "acme.shared.orders.new"],
    ["acme.lines.$2.$1", ["acme.plants.*.lines.*"], "acme.plants.p.lines.l", "acme.lines.l.p"],
    ["acme.{{wildcard(2)}}.x.{{Wildcard(1)}}", ["acme.*.*"], "acme.a.b", "acme.b.x.a"],
    ["acme.$1.$1", ["acme.*"], "acme.a", "acme.a.a"],
    ["acme.shared.>", ["acme.orders.>"], "acme.orders.a.b.c", "acme.shared.a.b.c"],
    ["acme.s.*.>", ["acme.*.x.>"], "acme.a.x.b.c", "acme.s.a.b.c"],
    ["acme.one", ["acme.orders.>"], "acme.orders.a.b", "acme.one"],
    // The first pattern that matches gives the wildcards.
    ["acme.s.*", ["acme.a.*", "acme.*.b"], "acme.a.b", "acme.s.b"],
    ["acme.s.*", ["acme.*.b", "acme.a.*"], "acme.a.b", "acme.s.a"],
    ["acme.s.*", ["acme.*.b", "acme.a.*"], "acme.a.c", "acme.s.c"],
    ["acme.$1.b", ["acme.*"], "acme.$9", "acme.$9.b"],
  ])("%s for %j turns %s into %s", (text, subjects, subject, expected) => {
    expect(compileRewrite(text, subjects).apply(subject)).toBe(expected);
  });

  test("gives no subject that is longer than a view takes, in bytes", () => {
    const rewriter = compileRewrite("acme.$1.$1", ["acme.*"]);
    expect(rewriter.apply(`acme.${"a".repeat(1900)}`)).not.toBeNull();
    expect(rewriter.apply(`acme.${"a".repeat(1920)}`)).toBeNull();
    expect(rewriter.apply(`acme.${"é".repeat(1000)}`)).toBeNull();
  });

  test("gives subjects of its output pattern, and different ones where no wildcard is left out", () => {
    const subjects = allSubjects(4).filter((one) => one.startsWith("t."));
    fc.assert(
      fc.property(
        tenantPattern,
        fc.array(fc.constantFrom("*", "x", ">"), { minLength: 1, maxLength: 4 }),
        (input, tail) => {
          const text = ["t", ...tail].join(".");
          const parsed = parseRewrite(text);
          if (parsed.type === "invalid" || patternLacks(parsed.template, input) !== null) return;
          const rule: Rule = { subjects: [input], rewrite: text };
          const [renamed] = outputsOf(rule);
          const rewriter = compileRewrite(text, [input]);
          const seen = new Map<string, string>();
          for (const subject of subjects.filter((one) => matches(input, one))) {
            const out = rewriter.apply(subject) ?? "";
            expect(matches(renamed?.output ?? "", out)).toBe(true);
            if (seen.has(out)) expect(rewriteNotes(policyOf(rule))).not.toEqual([]);
            seen.set(out, subject);
          }
        },
      ),
      seeded,
    );
  });
});

describe("a rule that rewrites", () => {
  test("decides by the old subject and sends the new one", () => {
    const compiled = compilePolicy({
      tenant: "acme",
      policy: policyOf(
        { subjects: ["acme.orders.*.v1"], rewrite: "acme.shared.orders.*" },
        { subjects: ["acme.>"] },
      ),
    });
    const event = (subject: string) => ({
      subject,
      headers: new Uint8Array(),
      data: new Uint8Array(),
      origin: "berlin",
      timeMs: 0,
      sequence: 1,
    });
    expect(decide(compiled, event("acme.orders.new.v1"))).toMatchObject({
      type: "forward",
      subject: "acme.shared.orders.new",
    });
    expect(decide(compiled, event("acme.shared.orders.new"))).toMatchObject({
      rule: { index: 1 },
      subject: "acme.shared.orders.new",
    });
    expect(
      decide(
        compilePolicy({ tenant: "acme", policy: policyOf({ subjects: ["acme.*"], rewrite: "acme.$1.$1" }) }),
        event(`acme.${"a".repeat(2000)}`),
      ),
    ).toMatchObject({ type: "quarantine", reason: "subject_invalid" });
  });

  test("is a view that reads the old subjects and holds the new ones", () => {
    expect(
      compileRoute(
        policyOf({ subjects: ["acme.orders.*.v1"], rewrite: "acme.shared.*" }, { subjects: ["acme.a"] }),
      ),
    ).toEqual({
      type: "view",
      subjects: ["acme.orders.*.v1", "acme.a"],
      outputs: ["acme.shared.*", "acme.a"],
      why: ["rule #1 ('acme.orders.*.v1') has a subject rewrite"],
    });
  });

  test("has another version with another rewrite", () => {
    const versions = ["acme.s.*", "acme.t.*"].map((rewrite) =>
      policyVersion(policyOf({ subjects: ["acme.*"], rewrite })),
    );
    expect(versions[0]).not.toBe(versions[1]);
  });
});

describe("checkRules() on rewrites", () => {
  test.each([
    ["other.a", "Rewrite 'other.a' leaves the tenant's subjects ('acme.>')"],
    ["acme", "Rewrite 'acme' leaves the tenant's subjects ('acme.>')"],
    ["*.a", "Rewrite '*.a' leaves the tenant's subjects ('acme.>')"],
    ["$1.a", "Rewrite '$1.a' leaves the tenant's subjects ('acme.>')"],
    ["acme.*.*", "Rewrite 'acme.*.*' takes wildcard 2, and 'acme.a.*' has 1"],
    ["acme.b.$3", "Rewrite 'acme.b.$3' takes wildcard 3, and 'acme.a.*' has 1"],
    ["acme.b.>", "Rewrite 'acme.b.>' ends with '>', and 'acme.a.*' does not"],
    ["acme.$0", "Rewrite 'acme.$0' counts wildcards from 1, not '$0'"],
    [
      "acme.a$1",
      "Rewrite 'acme.a$1' has a token 'a$1' that is neither text nor a wildcard (a wildcard stands alone, as *, $1 or {{wildcard(1)}})",
    ],
    [
      "acme.{{partition(3)}}",
      "Rewrite 'acme.{{partition(3)}}' has a token '{{partition(3)}}' that is neither text nor a wildcard (a wildcard stands alone, as *, $1 or {{wildcard(1)}})",
    ],
    ["acme.*.$1", "Rewrite 'acme.*.$1' has '*' beside numbered wildcards: number all of them"],
  ])("refuses %s for acme.a.*", (rewrite, message) => {
    expect(problemsOf({ subjects: ["acme.a.*"], rewrite })).toContain(`.rules[0].rewrite: ${message}`);
  });

  test("every pattern of the rule must have what the rewrite takes", () => {
    expect(problemsOf({ subjects: ["acme.a.*", "acme.b"], rewrite: "acme.s.*" })).toEqual([
      ".rules[0].rewrite: Rewrite 'acme.s.*' takes wildcard 1, and 'acme.b' has none",
    ]);
  });

  test("a policy rewrites so many subjects as its view can keep in mind", () => {
    const rule = (count: number): Rule => ({
      subjects: Array.from({ length: count }, (_, i) => `acme.s${i}.*`),
      rewrite: "acme.shared.*",
    });
    expect(problemsOf(rule(128))).toEqual([]);
    expect(problemsOf(rule(129))).toEqual([
      ".rules: The rules rewrite 129 subjects in all, expected at most 128",
    ]);
  });

  const masked = { redact: [{ path: "$.a", with: "mask" as const }] };

  test("refuses to land where another rule sends something else under its own name", () => {
    expect(
      problemsOf(
        { subjects: ["acme.raw.*"], rewrite: "acme.clean.*" },
        { subjects: ["acme.clean.>"], ...masked },
      ),
    ).toEqual([
      ".rules[0].rewrite: Rewrite 'acme.clean.*' lands on 'acme.clean.*', which rule #2 ('acme.clean.>') sends under its own name and treats otherwise: a peer could not tell the events of rule #1 ('acme.raw.*') and rule #2 ('acme.clean.>') apart",
    ]);
  });

  test("allows it with the same treatment, elsewhere, and where an earlier rule takes those events", () => {
    const clean: Rule = { subjects: ["acme.clean.>"], ...masked };
    expect(problemsOf({ subjects: ["acme.raw.*"], rewrite: "acme.clean.*", ...masked }, clean)).toEqual([]);
    expect(problemsOf({ subjects: ["acme.raw.*"], rewrite: "acme.other.*" }, clean)).toEqual([]);
    expect(
      problemsOf(
        { subjects: ["acme.raw.*", "acme.a.*"], rewrite: "acme.a.*" },
        { subjects: ["acme.b", "acme.a.x"] },
      ),
    ).toEqual([]);
  });
});

describe("rewriteNotes()", () => {
  test("tells of different subjects that leave as one", () => {
    const notes = rewriteNotes(
      policyOf(
        { subjects: ["acme.a.*.v1", "acme.b.*.v1"], rewrite: "acme.s.*" },
        { subjects: ["acme.c.*.*"], rewrite: "acme.t.$2" },
        { subjects: ["acme.s.x"] },
      ),
    ).map((one) => `${one.path}: ${one.message}`);
    expect(notes).toEqual([
      "rules[1].rewrite: rule #2 ('acme.c.*.*'): different subjects of 'acme.c.*.*' leave as the same of 'acme.t.*'",
      "rules[0].rewrite: rule #1 ('acme.a.*.v1' and 1 more): events of 'acme.a.*.v1' and of 'acme.b.*.v1' leave under one name ('acme.s.*')",
      "rules[0].rewrite: rule #1 ('acme.a.*.v1' and 1 more): events of 'acme.a.*.v1' and of 'acme.s.x' leave under one name ('acme.s.x')",
      "rules[0].rewrite: rule #1 ('acme.a.*.v1' and 1 more): events of 'acme.b.*.v1' and of 'acme.s.x' leave under one name ('acme.s.x')",
    ]);
  });

  test("is silent where every subject keeps one of its own", () => {
    expect(
      rewriteNotes(
        policyOf(
          { subjects: ["acme.a.*.v1"], rewrite: "acme.s.*" },
          { subjects: ["acme.b.>"], rewrite: "acme.t.>" },
          { subjects: ["acme.>"], deny: true },
        ),
      ),
    ).toEqual([]);
  });
});
