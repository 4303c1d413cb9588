import { describe, expect, test } from "bun:test";
import type { Peers } from "../../../src/control/agreement.ts";
import { filtersOfConsumer } from "../../../src/control/differences.ts";
import { VIEW_RENAMES } from "../../../src/control/observe.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";
import { accepting, berlin, FakeServer } from "./fake_server.ts";

const state = (...rules: Rule[]) =>
  berlin([{ tenant: "acme", exports: [{ name: "orders", to: ["austin"], rules }] }]);
const all: Peers = new Map([["austin", accepting(["acme.>"])]]);
const orders = (rewrite?: string): Rule => ({
  subjects: ["acme.orders.*.v1"],
  redact: [{ path: "$.a", with: "remove" }],
  ...(rewrite === undefined ? {} : { rewrite }),
});

/** Applies states one after the other; the filters of the peer's consumer then, without the view's own token. */
function filtersAfter(...rules: readonly Rule[][]): string[] {
  const server = new FakeServer();
  for (const one of rules) {
    const desired = state(...one);
    server.apply(desired, all);
    server.apply(desired, all);
    expect(server.plan(desired, all).steps.map((step) => step.type)).toEqual([]);
  }
  return filtersOfConsumer(server.consumer("view_acme_orders", "austin").config)
    .map((filter) => filter.replace("berlin~orders.", ""))
    .sort();
}

describe("a view whose policy rewrites subjects", () => {
  test("is filtered by the subjects that it holds", () => {
    expect(filtersAfter([orders("acme.shared.*")])).toEqual(["acme.shared.*"]);
    const server = new FakeServer();
    const peers = new Map([["austin", accepting(["acme.shared.eu", "acme.orders.>"])]]);
    const desired = state(orders("acme.shared.*"));
    server.apply(desired, peers);
    server.apply(desired, peers);
    const { out } = server.plan(desired, peers);
    expect(out[0]).toMatchObject({ subjects: ["acme.shared.eu"], filters: ["berlin~orders.acme.shared.eu"] });
    expect(filtersOfConsumer(server.consumer("out_acme", "view_orders").config)).toEqual([
      "berlin.acme.orders.*.v1",
    ]);
  });

  test("holds a peer that accepts only the old names", () => {
    const server = new FakeServer();
    const desired = state(orders("acme.shared.*"));
    const peers = new Map([["austin", accepting(["acme.orders.>"])]]);
    server.apply(desired, peers);
    expect(server.plan(desired, peers).out[0]?.hold).toBe("austin accepts none of acme.shared.*");
  });

  test("lets cross what it was filled with under another name, as long as the policy exports it", () => {
    expect(filtersAfter([orders("acme.shared.*")], [orders("acme.open.*")])).toEqual([
      "acme.open.*",
      "acme.shared.*",
    ]);
    expect(filtersAfter([orders("acme.shared.*")], [orders("acme.open.*")], [orders("acme.last.*")])).toEqual(
      ["acme.last.*", "acme.open.*", "acme.shared.*"],
    );
    expect(filtersAfter([orders()], [orders("acme.shared.*")])).toEqual([
      "acme.orders.*.v1",
      "acme.shared.*",
    ]);
    expect(filtersAfter([orders("acme.shared.*")], [orders()])).toEqual([
      "acme.orders.*.v1",
      "acme.shared.*",
    ]);
  });

  test("keeps back what the policy does not export any more, under whatever name", () => {
    const other: Rule = { subjects: ["acme.items.*"], rewrite: "acme.shared.items.*" };
    expect(filtersAfter([orders("acme.shared.orders.*"), other], [orders("acme.open.*")])).toEqual([
      "acme.open.*",
      "acme.shared.orders.*",
    ]);
    const narrower: Rule = { ...orders("acme.open.*"), subjects: ["acme.orders.eu.*"] };
    expect(filtersAfter([orders("acme.shared.*")], [narrower])).toEqual(["acme.open.*", "acme.shared.eu"]);
  });

  test("is left as it is where nothing was ever rewritten", () => {
    const server = new FakeServer();
    server.apply(state(orders()), all);
    expect(server.stream("view_acme_orders").config.metadata).not.toHaveProperty(VIEW_RENAMES);
    expect(filtersAfter([orders()], [{ ...orders(), subjects: ["acme.orders.eu.v1"] }])).toEqual([
      "acme.orders.eu.v1",
    ]);
  });

  test("bears metadata that somebody else has written", () => {
    for (const text of ["", "{}", "[1]", '[["acme.>"]]', "no json"]) {
      const server = new FakeServer();
      const desired = state(orders("acme.shared.*"));
      server.apply(desired, all);
      server.stream("view_acme_orders").config.metadata = { [VIEW_RENAMES]: text };
      server.apply(desired, all);
      expect(server.stream("view_acme_orders").config.metadata).toMatchObject({
        [VIEW_RENAMES]: '[["acme.orders.*.v1","acme.shared.*"]]',
      });
    }
  });
});
