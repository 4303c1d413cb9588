/** Nothing flows on one side's word: what a plan does while a peer has not said what it accepts or offers. */
import { describe, expect, test } from "bun:test";
import { describeStep, type Step } from "../../../src/control/step.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { accepting, berlin, FakeServer, peer } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED: ExportPolicy = {
  ...ORDERS,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};
const AUSTIN = new Map([["austin", accepting(["acme.>"])]]);
/** What a peer offers of its own events. */
const offers = (stream: string) =>
  peer({
    offered: [
      { tenant: "acme", origin: "austin", policy: "all", kind: "native", stream, subjects: ["acme.>"] },
    ],
  });
const acme = (more: Omit<TenantDocument, "tenant"> = {}) => berlin([{ tenant: "acme", ...more }]);
const texts = (steps: readonly Step[]) => steps.map((step) => describeStep(step).text);

/** A server on which a state has been applied until nothing is left. */
function settled(...args: Parameters<FakeServer["apply"]>): FakeServer {
  const server = new FakeServer();
  for (let round = 0; round < 3; round++) server.apply(...args);
  return server;
}

describe("planSteps() while a peer has not spoken", () => {
  const silent = (verified: "yes" | "unknown") => new Map([["austin", peer({ verified, accepted: null })]]);
  const EU = new Map([["austin", accepting(["acme.orders.eu"])]]);

  test("keeps the narrower filter of a route that flows, and keeps it flowing", () => {
    const state = acme({ exports: [ORDERS] });
    const server = settled(state, EU);
    for (const verified of ["unknown", "yes"] as const) {
      expect(texts(server.plan(state, silent(verified)).steps)).toEqual([]);
    }
    expect(server.consumer("out_acme", "austin").paused).toBe(false);
  });

  test("narrows with the policy all the same", () => {
    const server = settled(acme({ exports: [ORDERS] }), AUSTIN);
    const eu = { ...ORDERS, rules: [{ subjects: ["acme.orders.eu"] }] };
    server.apply(acme({ exports: [eu] }), silent("unknown"));
    expect(server.consumer("out_acme", "austin").config.filter_subjects).toEqual(["berlin.acme.orders.eu"]);
  });

  test("widens nothing when the policy turns to what the peer never accepted", () => {
    const server = settled(acme({ exports: [ORDERS] }), EU);
    const invoices = acme({ exports: [{ ...ORDERS, rules: [{ subjects: ["acme.invoices.>"] }] }] });
    for (let round = 0; round < 4; round++) server.apply(invoices, silent("yes"));
    expect(server.consumer("out_acme", "austin").paused).toBe(true);
    expect(texts(server.plan(invoices, silent("yes")).steps)).toEqual([]);
    const spoken = new Map([["austin", accepting(["acme.invoices.eu"])]]);
    for (let round = 0; round < 2; round++) server.apply(invoices, spoken);
    expect(server.consumer("out_acme", "austin")).toMatchObject({
      paused: false,
      config: { filter_subjects: ["berlin.acme.invoices.eu"] },
    });
  });

  test("does not resume a route that was held for what the peer accepts", () => {
    const state = acme({ exports: [ORDERS] });
    const server = settled(state, AUSTIN);
    server.apply(state, new Map([["austin", accepting(["acme.other"])]]));
    for (let round = 0; round < 3; round++) server.apply(state, silent("yes"));
    expect(server.consumer("out_acme", "austin").paused).toBe(true);
  });

  test("keeps the sources of an import until the peer has said what it offers, and takes them out when it offers nothing", () => {
    const state = acme({ imports: [{ from: "austin", subjects: ["acme.>"] }] });
    const server = settled(state, new Map([["austin", offers("out_acme")]]));
    expect(texts(server.plan(state, new Map([["austin", peer({ offered: null })]])).steps)).toEqual([]);
    expect(texts(server.plan(state, new Map()).steps)).toEqual([]);
    expect(texts(server.plan(state, new Map([["austin", peer()]])).steps)).toEqual([
      "update stream MESH/in_acme: sources",
    ]);
  });

  test("holds a peer's consumer when the peer has not proved its key, did not, or has not said what it accepts", () => {
    for (const knowledge of [
      undefined,
      peer({ verified: "no", accepted: null }),
      peer({ verified: "unknown", accepted: accepting(["acme.>"]).accepted }),
      peer({ accepted: null }),
    ]) {
      const server = new FakeServer();
      const peers = knowledge === undefined ? new Map() : new Map([["austin", knowledge]]);
      for (let round = 0; round < 3; round++) server.apply(acme({ exports: [ORDERS] }), peers);
      expect(server.consumer("out_acme", "austin").paused, JSON.stringify(knowledge)).toBe(true);
      expect(server.plan(acme({ exports: [ORDERS] }), peers).steps).toEqual([]);
    }
  });

  test("keeps the route held that moves to a view before the peer has spoken", () => {
    const server = settled(acme({ exports: [ORDERS] }), EU);
    const viewed = acme({ exports: [REDACTED] });
    for (let round = 0; round < 3; round++) server.apply(viewed, silent("yes"));
    expect(server.consumer("view_acme_orders", "austin").paused).toBe(true);
    server.apply(viewed, EU);
    expect(server.consumer("view_acme_orders", "austin")).toMatchObject({
      paused: false,
      config: { filter_subjects: ["berlin~orders.acme.orders.eu"] },
    });
  });
});
