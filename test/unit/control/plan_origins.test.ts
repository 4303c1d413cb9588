/** Events of more than one origin that go to the same peer. */
import { describe, expect, test } from "bun:test";
import { describeStep, type Step } from "../../../src/control/step.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { berlin, FakeServer, peer } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const acme = (more: Omit<TenantDocument, "tenant"> = {}) => berlin([{ tenant: "acme", ...more }]);
const texts = (steps: readonly Step[]) => steps.map((step) => describeStep(step).text);

/** A server on which a state has been applied until nothing is left. */
function settled(...args: Parameters<FakeServer["apply"]>): FakeServer {
  const server = new FakeServer();
  for (let round = 0; round < 3; round++) server.apply(...args);
  return server;
}

describe("planSteps() of transit", () => {
  test("puts a view before each policy when one peer gets the events of two origins", () => {
    const state = acme({
      imports: [
        { from: "tokyo", subjects: ["acme.>"] },
        { from: "tokyo", origin: "paris", subjects: ["acme.>"] },
      ],
      exports: [
        { ...ORDERS, name: "of-tokyo", origin: "tokyo" },
        { ...ORDERS, name: "of-paris", origin: "paris" },
      ],
    });
    const accepted = ["tokyo", "paris"].map((origin) => ({
      tenant: "acme",
      origin,
      subjects: ["acme.>"],
      mirror: false,
    }));
    const peers = new Map([["austin", peer({ accepted })]]);
    const server = settled(state, peers);
    const plan = server.plan(state, peers);
    expect(texts(plan.steps)).toEqual([]);
    expect(plan.out.map((route) => route.export.stream)).toEqual([
      "view_acme_of-tokyo",
      "view_acme_of-paris",
    ]);
    expect(server.consumer("in_acme", "view_of-tokyo").config.filter_subjects).toEqual([
      "tokyo.acme.orders.>",
    ]);
    expect(server.consumer("in_acme", "view_of-paris").config.filter_subjects).toEqual([
      "paris.acme.orders.>",
    ]);
    expect(plan.exports.map((one) => one.route)).toMatchObject([
      { type: "view", why: ["austin gets events of paris from in_acme too (of-paris)"] },
      { type: "view", why: ["austin gets events of tokyo from in_acme too (of-tokyo)"] },
    ]);
  });

  test("stays native when the events of two origins go to different peers", () => {
    const state = berlin(
      [
        {
          tenant: "acme",
          imports: ["tokyo", "paris"].map((from) => ({ from, subjects: ["acme.>"] })),
          exports: [
            { ...ORDERS, name: "of-tokyo", origin: "tokyo", to: ["austin"] },
            { ...ORDERS, name: "of-paris", origin: "paris", to: ["tokyo"] },
            { ...ORDERS, name: "own", to: ["austin", "tokyo"] },
          ],
        },
      ],
      ["austin", "tokyo", "paris"],
    );
    const { exports } = new FakeServer().plan(state);
    expect(exports.map((one) => one.stream)).toEqual(["in_acme", "in_acme", "out_acme"]);
  });
});
