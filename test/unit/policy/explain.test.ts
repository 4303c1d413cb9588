import { describe, expect, test } from "bun:test";
import type { MeshEvent } from "../../../src/model/event.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { explainEvent } from "../../../src/policy/explain.ts";

const encoder = new TextEncoder();
const event = (subject: string, json = '{"total":1,"pin":1}', origin = "berlin"): MeshEvent => ({
  subject,
  headers: encoder.encode("NATS/1.0\r\nNats-TTL: 1\r\n\r\n"),
  data: encoder.encode(json),
  origin,
  timeMs: 0,
  sequence: 1,
});
const exports: ExportPolicy[] = [
  {
    name: "eu",
    to: ["tokyo", "austin"],
    rules: [
      { name: "debug", subjects: ["acme.debug.>"], deny: true },
      { name: "large", subjects: ["acme.orders.>"], when: "data.total > 10" },
      { name: "small", subjects: ["acme.orders.>"], redact: [{ path: "$.pin", with: "remove" }] },
    ],
  },
  { name: "plain", to: ["oslo"], rules: [{ subjects: ["acme.orders.*"] }] },
  { name: "transit", to: ["oslo"], origin: "tokyo", rules: [{ subjects: ["acme.>"] }] },
];
const explain = (one: MeshEvent) => explainEvent({ site: "berlin", tenant: "acme", exports }, one);

describe("explainEvent()", () => {
  test("says for each peer what happens, by which rule, and what earlier rules said", () => {
    const explanations = explain(event("acme.orders.x"));
    expect(explanations.map((one) => [one.peer, one.policy, one.route])).toEqual([
      ["tokyo", "eu", "view"],
      ["austin", "eu", "view"],
      ["oslo", "plain", "native"],
    ]);
    const [tokyo, , oslo] = explanations;
    expect(tokyo?.steps.map((one) => [one.rule.name, one.outcome])).toEqual([
      ["debug", "subject does not match"],
      ["large", "when is false"],
      ["small", "matches"],
    ]);
    expect(tokyo?.why).toHaveLength(2);
    expect(tokyo?.decision).toMatchObject({ type: "forward", redactions: 1, headers: new Uint8Array(0) });
    expect(tokyo?.decision.type === "forward" && new TextDecoder().decode(tokyo.decision.data)).toBe(
      '{"total":1}',
    );
    // The server looks at the subject alone.
    expect(oslo?.decision).toMatchObject({ type: "forward", redactions: 0, headers: event("x").headers });
  });

  test("shows denials, quarantines and what no rule matches", () => {
    const outcome = (one: MeshEvent) => {
      const [tokyo] = explain(one);
      return [tokyo?.decision.type, tokyo?.steps.at(-1)?.outcome];
    };
    expect(outcome(event("acme.debug.x"))).toEqual(["drop", "matches and denies"]);
    expect(outcome(event("acme.orders.x", "no json"))).toEqual(["quarantine", "cannot be decided"]);
    expect(outcome(event("acme.other"))).toEqual(["drop", "subject does not match"]);
  });

  test("has only the policies that read events of this origin", () => {
    expect(explain(event("acme.x", "{}", "tokyo")).map((one) => one.policy)).toEqual(["transit"]);
    expect(explain(event("acme.x", "{}", "lima"))).toEqual([]);
  });
});
