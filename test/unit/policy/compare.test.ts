import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MeshEvent } from "../../../src/model/event.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";
import { matches } from "../../../src/model/subject.ts";
import { Comparison } from "../../../src/policy/compare.ts";
import { compilePolicy } from "../../../src/policy/compile.ts";
import { decide } from "../../../src/policy/decide.ts";
import { SubjectTally } from "../../../src/policy/subject_tally.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const side = (rules: Rule[], route: "native" | "view" = "view") => ({
  policy: compilePolicy({ tenant: "acme", policy: { name: "p", to: ["tokyo"], rules } }),
  route,
});
let sequence = 0;
const event = (subject: string, json = "{}", headers = ""): MeshEvent => ({
  subject,
  headers: bytes(headers === "" ? "" : `NATS/1.0\r\n${headers}\r\n\r\n`),
  data: bytes(json),
  origin: "berlin",
  timeMs: 1000,
  sequence: ++sequence,
});
const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);

const EMAIL: Rule = {
  name: "orders",
  subjects: ["acme.orders.>"],
  redact: [{ path: "$.email", with: "mask" }],
};

describe("Comparison", () => {
  test("counts verdicts before and after, what changes by rule and by subject, and why events stay", () => {
    const active = side([{ name: "debug", subjects: ["acme.debug.>"], deny: true }, EMAIL]);
    const candidate = side([
      { name: "phones", subjects: ["acme.orders.eu.>"], redact: [{ path: "$.phone", with: "remove" }] },
      { name: "all", subjects: ["acme.debug.>"] },
    ]);
    const comparison = new Comparison(active, candidate);
    for (let i = 0; i < 3; i++) comparison.add(event("acme.orders.eu.a", '{"email":"e"}'));
    comparison.add(event("acme.orders.eu.b", '{"x":1}'));
    comparison.add(event("acme.orders.us.a", '{"email":"e"}'));
    comparison.add(event("acme.debug.x"));
    comparison.add(event("acme.orders.eu.a", "no json"));
    comparison.add(event("acme.other"));
    const report = comparison.report();
    expect(report).toMatchObject({
      events: 8,
      changed: 5,
      verdicts: { "forward → drop": 1, "drop → forward": 1 },
      outputs: { events: 3, subject: 0, headers: 0, payload: 3 },
      before: { forward: 5, drop: 2, quarantine: 1 },
      after: { forward: 5, drop: 2, quarantine: 1 },
      reasonsBefore: { denied: 1, no_rule: 1, payload_not_json: 1 },
      reasonsAfter: { no_rule: 2, payload_not_json: 1 },
      otherRules: 0,
      otherSubjects: 0,
    });
    expect(report.rules.map((one) => [one.from, one.to, one.events, one.changed])).toEqual([
      [{ verdict: "forward", rule: "orders" }, { verdict: "forward", rule: "phones" }, 4, 3],
      [{ verdict: "forward", rule: "orders" }, { verdict: "drop", rule: null }, 1, 1],
      [{ verdict: "drop", rule: "debug" }, { verdict: "forward", rule: "all" }, 1, 1],
      [{ verdict: "quarantine", rule: "orders" }, { verdict: "quarantine", rule: "phones" }, 1, 0],
      [{ verdict: "drop", rule: null }, { verdict: "drop", rule: null }, 1, 0],
    ]);
    expect(report.subjects.map(({ pattern, total, byKind }) => [pattern, total, [...byKind]])).toEqual([
      ["acme.orders.eu.a", 3, [["output", 3]]],
      ["acme.debug.x", 1, [["drop → forward", 1]]],
      ["acme.orders.us.a", 1, [["forward → drop", 1]]],
    ]);
  });

  test("keeps the last samples: what leaves by each, never the event", () => {
    const comparison = new Comparison(side([EMAIL]), side([{ subjects: ["acme.none"] }]));
    for (let i = 0; i < 5; i++) comparison.add(event("acme.orders.x", `{"n":${i},"email":"secret"}`, "a: b"));
    const [rule] = comparison.report().rules;
    expect(rule?.samples.map((one) => text(one.active?.data))).toEqual(
      [2, 3, 4].map((n) => `{"n":${n},"email":"***"}`),
    );
    expect(rule?.samples[0]).toMatchObject({
      candidate: null,
      activeReason: null,
      candidateReason: "no_rule",
    });
    const told = JSON.stringify(comparison.report(), (_, value) =>
      value instanceof Uint8Array ? text(value) : value,
    );
    expect(told).not.toContain("secret");
    expect(told).toContain("NATS/1.0\\r\\na: b");
  });

  test("tells what is not the same of an event that leaves both ways", () => {
    const differs = (rule: Partial<Rule>, headers = "") => {
      const comparison = new Comparison(side([EMAIL]), side([{ ...EMAIL, ...rule }]));
      comparison.add(event("acme.orders.x", '{"email":"e"}', headers));
      return comparison.report().rules[0]?.samples[0]?.differs ?? [];
    };
    expect(differs({})).toEqual([]);
    expect(differs({ redact: [{ path: "$.email", with: "remove" }] })).toEqual(["payload"]);
    expect(differs({ headers: { set: { a: "b" } } })).toEqual(["headers"]);
    expect(differs({ headers: { drop: ["a"] } }, "a: b")).toEqual(["headers"]);
    expect(differs({ rewrite: "acme.shared.>" })).toEqual(["subject"]);
  });

  test("lets a native route pass events on as they are", () => {
    const rules = [{ subjects: ["acme.>"] }];
    const comparison = new Comparison(side(rules, "native"), side(rules));
    comparison.add(event("acme.a", "{}", "a: b"));
    expect(comparison.report().changed).toBe(0);
    comparison.add(event("acme.a", "{}", "Nats-TTL: 1"));
    expect(comparison.report()).toMatchObject({ changed: 1, outputs: { headers: 1 } });
  });

  test("cuts long outputs, and copies them", () => {
    const comparison = new Comparison(side([{ subjects: ["acme.>"] }]), side([{ subjects: ["acme.x"] }]));
    const large = event("acme.a", `"${"y".repeat(100_000)}"`);
    comparison.add(large);
    large.data.fill(0);
    const output = comparison.report().rules[0]?.samples[0]?.active;
    expect([output?.payloadBytes, output?.data.length]).toEqual([100_002, 2048]);
    expect(text(output?.data)).toStartWith('"yyy');
  });

  test("finds nothing between a policy and itself, and counts as decide() does", () => {
    const rules: Rule[] = [
      { subjects: ["acme.debug.>"], deny: true },
      { subjects: ["acme.orders.*"], when: '"eu" in headers && data.n > 1' },
      { subjects: ["acme.>"], redact: [{ path: "$..email", with: "pseudonym" }], headers: { drop: ["x-*"] } },
    ];
    const keys = { pseudonym: { id: "k", secret: new Uint8Array(32) } };
    const policy = () => compilePolicy({ tenant: "acme", policy: { name: "p", to: ["tokyo"], rules }, keys });
    const [active, candidate, alone] = [policy(), policy(), policy()];
    const subject = fc.constantFrom("acme.debug.a", "acme.orders.a", "acme.orders.a.b", "other.x");
    const json = fc.oneof(
      fc.json(),
      fc.constantFrom('{"email":"e","n":2}', '{"n":', "", '{"email":1,"email":2}'),
    );
    const headers = fc.constantFrom("", "eu: 1", "x-a: b\r\neu: 2", "broken");
    fc.assert(
      fc.property(fc.array(fc.tuple(subject, json, headers), { maxLength: 40 }), (events) => {
        const comparison = new Comparison(
          { policy: active, route: "view" },
          { policy: candidate, route: "view" },
        );
        const counts = { forward: 0, drop: 0, quarantine: 0 };
        for (const one of events) {
          const made = event(...one);
          comparison.add(made);
          counts[decide(alone, made).type]++;
        }
        expect(comparison.report()).toMatchObject({
          changed: 0,
          before: counts,
          after: counts,
          subjects: [],
        });
      }),
      { seed: 11, numRuns: 200 },
    );
  });

  test("stays bounded with many rules", () => {
    const rules = (name: string, size: number): Rule[] =>
      Array.from({ length: 200 }, (_, i) => ({
        name: `${name}${i}`,
        subjects: ["acme.>"],
        when: `size % ${size} == ${i}`,
      }));
    const comparison = new Comparison(side(rules("a", 200)), side(rules("b", 199)));
    for (let i = 0; i < 5000; i++) comparison.add(event("acme.a", "x".repeat(i % 4000)));
    const report = comparison.report();
    expect(report.rules.length).toBeLessThanOrEqual(100);
    const listed = report.rules.reduce((sum, one) => sum + one.events, 0);
    expect(listed + report.otherRules).toBe(5000);
  });
});

describe("SubjectTally", () => {
  test("keeps subjects apart while they are few, and makes patterns of them when they are many", () => {
    const tally = new SubjectTally(20);
    for (let i = 0; i < 100; i++) tally.add(`acme.orders.${i}.v${i % 2}`, i % 4 === 0 ? "a" : "b");
    tally.add("acme.stock", "a");
    const { items, others } = tally.top(10);
    expect(items.map(({ pattern, total, byKind }) => [pattern, total, Object.fromEntries(byKind)])).toEqual([
      ["acme.orders.*.v0", 50, { a: 25, b: 25 }],
      ["acme.orders.*.v1", 50, { b: 50 }],
      ["acme.stock", 1, { a: 1 }],
    ]);
    expect(others).toBe(0);
    expect(tally.top(1)).toMatchObject({ items: [{ pattern: "acme.orders.*.v0" }], others: 51 });
  });

  test("loses no event, and its patterns hold the subjects, whatever they are", () => {
    const token = fc.constantFrom("a", "b", "c", "d", "e", "1", "2", "3", "4", "5", "6", "7", "8", "9");
    const subject = fc.array(token, { minLength: 1, maxLength: 24 }).map((tokens) => tokens.join("."));
    fc.assert(
      fc.property(fc.array(subject, { maxLength: 200 }), (subjects) => {
        const tally = new SubjectTally(1);
        for (const one of subjects) tally.add(one, "k");
        const { items } = tally.top(1000);
        expect(items.length).toBeLessThanOrEqual(17);
        expect(items.reduce((sum, one) => sum + one.total, 0)).toBe(subjects.length);
        for (const one of subjects) expect(items.some(({ pattern }) => matches(pattern, one))).toBe(true);
      }),
      { seed: 7, numRuns: 100 },
    );
  });
});
