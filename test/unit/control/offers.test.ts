import { describe, expect, test } from "bun:test";
import { offersTo } from "../../../src/control/offers.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { accepting, berlin, FakeServer, peer } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED: ExportPolicy = {
  ...ORDERS,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};
const state = (policy: ExportPolicy) => berlin([{ tenant: "acme", exports: [policy] }]);
const AUSTIN = new Map([["austin", accepting(["acme.orders.eu"])]]);

const offers = (
  server: FakeServer,
  to: string,
  policy = ORDERS,
  peers: Parameters<FakeServer["plan"]>[1] = AUSTIN,
) => offersTo(to, { plan: server.plan(state(policy), peers), observed: server.observed(), revision: 1 });

describe("offersTo()", () => {
  test("names the stream and what of it the peer gets, when the consumer stands", () => {
    const server = new FakeServer();
    expect(offers(server, "austin")).toEqual([]);
    server.apply(state(ORDERS), AUSTIN);
    expect(offers(server, "austin")).toEqual([
      {
        tenant: "acme",
        origin: "berlin",
        policy: "orders",
        kind: "native",
        stream: "out_acme",
        subjects: ["acme.orders.eu"],
      },
    ]);
  });

  test("tells a peer nothing of another's routes", () => {
    const server = new FakeServer();
    server.apply(state(ORDERS), AUSTIN);
    expect(offers(server, "tokyo")).toEqual([]);
  });

  test("offers nothing that is held", () => {
    const server = new FakeServer();
    server.apply(state(ORDERS), AUSTIN);
    expect(offers(server, "austin", ORDERS, new Map([["austin", peer({ verified: "no" })]]))).toEqual([]);
    expect(offers(server, "austin", ORDERS, new Map([["austin", accepting(["acme.other"])]]))).toEqual([]);
  });

  test("offers a view that turns native until the peer has taken the rest of it", () => {
    const server = new FakeServer();
    server.apply(state(REDACTED), AUSTIN);
    expect(offers(server, "austin", ORDERS)).toMatchObject([{ kind: "view", stream: "view_acme_orders" }]);
    server.consumer("view_acme_orders", "austin").paused = true;
    expect(offers(server, "austin", ORDERS)).toEqual([]);
    server.apply(state(ORDERS), AUSTIN);
    expect(offers(server, "austin", ORDERS)).toMatchObject([{ kind: "native", stream: "out_acme" }]);
  });

  test("withdraws a route that moves until it stands on its new stream", () => {
    const server = new FakeServer();
    server.apply(state(ORDERS), AUSTIN);
    expect(offers(server, "austin", REDACTED)).toEqual([]);
    server.apply(state(REDACTED), AUSTIN);
    expect(offers(server, "austin", REDACTED)).toMatchObject([{ kind: "view", stream: "view_acme_orders" }]);
  });
});
