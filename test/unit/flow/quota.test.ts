import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { NO_QUOTAS, type QuotaSpec, Quotas, quotaSpecs } from "../../../src/flow/quota.ts";
import type { RuleRef } from "../../../src/model/event.ts";
import type { ExportPolicy, Rule } from "../../../src/model/schema/policy.ts";

const ref = (index: number): RuleRef => ({ policy: "eu", index, name: `#${index + 1}` });
const policy = (rules: Rule[], limit?: ExportPolicy["limit"]): ExportPolicy => ({
  name: "eu",
  to: ["tokyo"],
  rules,
  ...(limit === undefined ? {} : { limit }),
});

function quotas(rules: Rule[], limit?: ExportPolicy["limit"]) {
  const clock = { now: 1000 };
  const made = new Quotas(quotaSpecs(policy(rules, limit)), () => clock.now);
  /** How many of `most` pass now. */
  const passing = (rule: number, bytes = 100, most = 10_000) => {
    let count = 0;
    while (count < most && made.admit(ref(rule), bytes).type === "pass") count++;
    return count;
  };
  return { clock, made, passing };
}

describe("quotaSpecs()", () => {
  test("reads rates, burst and what happens; names rules as reports do", () => {
    const { whole, rules } = quotaSpecs(
      policy(
        [
          { name: "eu", subjects: ["acme.a"], limit: { messages: "30/m", burst: "2s", onLimit: "drop" } },
          { subjects: ["acme.b"] },
          { subjects: ["acme.c"], limit: { maxSize: "1KiB" } },
        ],
        { bytes: "1MiB/s", perPeer: "1KiB/s" },
      ),
    );
    expect(rules).toEqual([
      {
        key: "name eu 0",
        label: "rule eu, 30/m",
        messages: 0.5,
        bytes: Number.POSITIVE_INFINITY,
        burstMs: 2000,
        drop: true,
      },
      null,
      null,
    ]);
    expect(whole).toMatchObject({ label: "export eu, 1MiB/s", bytes: 1024 ** 2, burstMs: 1000, drop: false });
    expect(quotaSpecs(policy([{ subjects: ["acme.a"] }], { perPeer: "1KiB/s" })).whole).toBeNull();
  });
});

describe("Quotas", () => {
  test("let a burst pass, then as much as the rate says, and say how long to wait", () => {
    const { clock, made, passing } = quotas([{ subjects: ["acme.>"], limit: { messages: "10/s" } }]);
    expect(passing(0)).toBe(10);
    expect(made.admit(ref(0), 1)).toEqual({ type: "wait", ms: 100, why: "rule #1, 10/s" });
    clock.now += 99;
    expect(passing(0)).toBe(0);
    clock.now += 1;
    expect(passing(0)).toBe(1);
    clock.now += 60_000;
    expect(passing(0)).toBe(10);
  });

  test("count bytes; what is larger than a burst passes a full bucket and is paid for afterwards", () => {
    const { clock, made } = quotas([{ subjects: ["acme.>"], limit: { bytes: "1000B/s" } }]);
    expect(made.admit(ref(0), 5000).type).toBe("pass");
    expect(made.admit(ref(0), 1)).toMatchObject({ type: "wait", ms: expect.closeTo(4001) });
    clock.now += 4001;
    expect(made.admit(ref(0), 1).type).toBe("pass");
  });

  test("take nothing of one limit when another refuses, and drop only where they are told to", () => {
    const { clock, made, passing } = quotas(
      [
        { subjects: ["acme.a"], limit: { messages: "5/s", onLimit: "drop" } },
        { subjects: ["acme.b"], limit: { messages: "100/s" } },
        { subjects: ["acme.c"] },
      ],
      { messages: "20/s" },
    );
    expect(passing(0)).toBe(5);
    expect(made.admit(ref(0), 1)).toEqual({ type: "drop" });
    expect(made.admit(ref(0), 1, false)).toMatchObject({ type: "wait" });
    expect(passing(1)).toBe(15);
    expect(made.admit(ref(2), 1)).toMatchObject({ type: "wait", why: "export eu, 20/s" });
    // The rule's own bucket has 85 left: what the export refused has cost it nothing.
    clock.now += 50;
    made.change(
      quotaSpecs(policy([{ subjects: ["acme.a"] }, { subjects: ["acme.b"], limit: { messages: "100/s" } }])),
    );
    expect(passing(1)).toBe(90);
  });

  test("keep what is left when the policy changes", () => {
    const rules = (messages: string): Rule[] => [{ name: "eu", subjects: ["acme.>"], limit: { messages } }];
    const { clock, made, passing } = quotas(rules("10/s"));
    expect(passing(0)).toBe(10);
    for (let n = 0; n < 5; n++) made.change(quotaSpecs(policy(rules("10/s"))));
    expect(passing(0)).toBe(0);
    // A higher rate fills faster, from where it was; a rule that moves is the same rule.
    made.change(quotaSpecs(policy([{ subjects: ["acme.x"] }, ...rules("1000/s")])));
    expect(passing(1)).toBe(0);
    clock.now += 100;
    expect(passing(1)).toBe(100);
    made.change(quotaSpecs(policy([{ subjects: ["acme.x"] }, ...rules("1000/s")])));
    clock.now += 10_000;
    made.change(quotaSpecs(policy([{ subjects: ["acme.x"] }, ...rules("3/s")])));
    expect(passing(1)).toBe(3);
    made.change(NO_QUOTAS);
    expect([made.any, passing(1, 1, 500)]).toEqual([false, 500]);
  });

  test("never let more pass than burst and rate allow, whatever comes, in any stretch of time", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 100, max: 100_000 }),
        fc.integer({ min: 10, max: 5000 }),
        fc.array(
          fc.record({ pause: fc.integer({ min: 0, max: 300 }), size: fc.integer({ min: 1, max: 5000 }) }),
          {
            maxLength: 200,
          },
        ),
        (messages, bytes, burstMs, events) => {
          const spec: QuotaSpec = { key: "a", label: "a", messages, bytes, burstMs, drop: false };
          const clock = { now: 0 };
          const made = new Quotas({ whole: spec, rules: [] }, () => clock.now);
          const passed: { at: number; size: number }[] = [];
          for (const { pause, size } of events) {
            clock.now += pause;
            const admission = made.admit(ref(0), size);
            if (admission.type === "pass") passed.push({ at: clock.now, size });
            else if (admission.type === "wait") {
              // It passes when it was told to come again.
              clock.now += Math.ceil(admission.ms);
              expect(made.admit(ref(0), size).type).toBe("pass");
              passed.push({ at: clock.now, size });
            }
          }
          for (let from = 0; from < passed.length; from += 7) {
            let sum = 0;
            for (let to = from; to < passed.length; to++) {
              const { at, size } = passed[to]!;
              const seconds = (at - passed[from]!.at) / 1000;
              const count = to - from + 1;
              expect(count).toBeLessThanOrEqual(
                Math.max(1, (messages * burstMs) / 1000) + messages * seconds + 1e-3,
              );
              sum += size;
              // One event may be larger than what was saved up.
              const saved = Math.max(1, (bytes * burstMs) / 1000);
              expect(sum).toBeLessThanOrEqual(saved + bytes * seconds + Math.max(0, size - saved) + 1e-3);
            }
          }
        },
      ),
      { seed: 20_26, numRuns: 200 },
    );
  });
});
