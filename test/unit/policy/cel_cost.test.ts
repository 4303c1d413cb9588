import { describe, expect, test } from "bun:test";
import type { MeshEvent } from "../../../src/model/event.ts";
import { compileExpression } from "../../../src/policy/cel/environment.ts";
import { CelFailure } from "../../../src/policy/cel/failure.ts";
import { compilePredicate, MOST_STEPS, stepsFor } from "../../../src/policy/predicate.ts";
import { DEFAULT_MAX_BYTES } from "../../../src/policy/redact/limits.ts";

const encoder = new TextEncoder();
const event = (data: string): MeshEvent => ({
  subject: "acme.orders.new",
  headers: new Uint8Array(0),
  data: encoder.encode(data),
  origin: "berlin",
  timeMs: 0,
  sequence: 1,
});
const largest = (element: string) => {
  const count = Math.floor((DEFAULT_MAX_BYTES - 10) / (element.length + 1));
  return event(`{"a":[${Array.from({ length: count }, () => element).join()}]}`);
};

/** Steps that an expression takes, whatever comes of it. */
function stepsOf(text: string, data: unknown, budget: number): { steps: number; code: string } {
  const compiled = compileExpression(text, { variables: [["data", "dyn"]], checkCost: false });
  if (compiled.type === "invalid") throw new Error(compiled.problem);
  const run = { slots: [data], left: budget };
  let code = "";
  try {
    compiled.evaluate(run);
  } catch (thrown) {
    code = thrown instanceof CelFailure ? thrown.code : String(thrown);
  }
  return { steps: budget - run.left, code };
}

describe("the cost of a condition", () => {
  const many = Array.from({ length: 2000 }, () => "x".repeat(100));
  const data = { a: many, s: many.join(""), m: Object.fromEntries(many.map((x, i) => [`${x}${i}`, i])) };

  test.each([
    "data.a.all(x, data.a.all(y, x == y))",
    "data.a.all(x, data.a.all(y, 1 + 1 == 2))",
    "data.a.all(x, data.s.contains(x + x + x + x + 'y') || true)",
    "data.a.all(x, data.a == data.a)",
    "data.a.all(x, 'y' in data.a || true)",
    "data.a.all(x, data.m == data.m)",
    "data.a.all(x, size(data.m) > 1)",
    "data.a.all(x, size(data.s) > 1)",
    "data.a.all(x, data.m.all(y, true))",
    "data.a.all(x, data.s.replace('x', 'xxxxxxxx').size() > 1)",
    "data.a.all(x, data.s.split('').size() > 1)",
    "data.a.all(x, data.a.join().size() > 1)",
    "data.a.all(x, data.s.indexOf('y', 0) < 0)",
    "data.a.all(x, data.s.lowerAscii().trim().upperAscii() != '')",
    "data.a.all(x, data.s.matches('y$') || true)",
    "data.a.all(x, data.a + data.a + data.a != [])",
    "data.a.all(x, data.s + data.s + data.s != '')",
    "data.a.map(x, data.a.map(y, data.a.map(z, x + y + z))) != []",
    "data.a.all(x, data.s < data.s + 'y')",
  ])("%s runs out of steps", (text) => {
    // Two million steps for half a megabyte: what the static check would have refused too ends all the same.
    expect(stepsOf(text, data, 2_000_000)).toMatchObject({ code: "too_expensive" });
  });

  test("of an expression that looks once at each element is below its budget", () => {
    const payload = event(JSON.stringify({ a: many.map((s, id) => ({ id, s, tags: ["a", "b"] })) }));
    const predicate = compilePredicate(
      'data.a.all(x, x.id >= 0 && x.s.startsWith("x") && x.tags.exists(t, t == "b") && x.s.matches("^x+$"))',
    );
    expect(predicate.evaluate(payload)).toEqual({ type: "value", value: true });
  });

  test.each(["1", "[]"])(
    "on the largest payload, of elements %s, has a bound in steps and ends in seconds",
    (element) => {
      const payload = largest(element);
      expect(payload.data.length).toBeLessThanOrEqual(DEFAULT_MAX_BYTES);
      expect(stepsFor(payload)).toBe(MOST_STEPS);
      const body = Array.from({ length: 60 }, () => "x == x").join(" && ");
      const predicate = compilePredicate(`data.a.all(x, ${body})`);
      const start = performance.now();
      const result = predicate.evaluate(payload);
      expect(performance.now() - start).toBeLessThan(20_000);
      expect(result).toEqual({
        type: "failed",
        reason: "predicate_failed",
        error: "Condition failed: too_expensive",
      });
    },
    30_000,
  );

  test("is not outweighed by the other side of a disjunction", () => {
    const payload = event(JSON.stringify({ a: many }));
    const predicate = compilePredicate("data.a.all(x, data.a == data.a) || true");
    expect(predicate.evaluate(payload)).toMatchObject({ error: "Condition failed: too_expensive" });
  });
});
