/** What a peer says it accepts is its own word: however much it says, a plan takes no time, and the policy decides. */
import { expect, test } from "bun:test";
import { planExports, planOutRoutes } from "../../../src/control/routes.ts";
import { accepting, berlin } from "./fake_server.ts";

const state = berlin([
  {
    tenant: "acme",
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>", "acme.stock.>"] }] }],
  },
]);

function filters(accepted: string[]): readonly string[] {
  const [route] = planOutRoutes(state, planExports(state), new Map([["austin", accepting(accepted)]]));
  expect(route?.hold).toBeNull();
  return route?.filters ?? [];
}

test("a peer that accepts more patterns than can be compared gets what the policy allows", () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `acme.orders.${i}`);
  const started = performance.now();
  expect(filters(many)).toEqual(["berlin.acme.orders.>", "berlin.acme.stock.>"]);
  expect(performance.now() - started).toBeLessThan(1000);
});

test("patterns that overlap do not keep a policy from being narrowed", () => {
  expect(filters(["acme.orders.*.a", "acme.orders.b.*", "acme.secret.>"])).toEqual([
    "berlin.acme.orders.>",
    "berlin.acme.stock.>",
  ]);
});

test("a peer that accepts a part gets that part", () => {
  expect(filters(["acme.orders.eu.>", "acme.secret.>"])).toEqual(["berlin.acme.orders.eu.>"]);
});
