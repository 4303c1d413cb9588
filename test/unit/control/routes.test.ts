import { describe, expect, test } from "bun:test";
import { acceptedOf, planExports, planInRoutes, planOutRoutes } from "../../../src/control/routes.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { accepting, berlin, peer } from "./fake_server.ts";

const ORDERS: ExportPolicy = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED: ExportPolicy = {
  ...ORDERS,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};

const exporting = (...exports: ExportPolicy[]) => berlin([{ tenant: "acme", exports }]);

function outRoutes(policy: ExportPolicy, peers: Parameters<typeof planOutRoutes>[2] = new Map()) {
  const state = exporting(policy);
  return planOutRoutes(state, planExports(state), peers);
}

describe("planExports()", () => {
  test("has peers source from the out stream when subjects alone decide", () => {
    expect(planExports(exporting(ORDERS))).toMatchObject([
      { origin: "berlin", source: "out_acme", stream: "out_acme", route: { type: "native" } },
    ]);
  });

  test("puts a view between when a rule looks inside", () => {
    expect(planExports(exporting(REDACTED))).toMatchObject([
      { origin: "berlin", source: "out_acme", stream: "view_acme_orders", route: { type: "view" } },
    ]);
  });

  test("reads the stream that the origin's import fills when events are passed on", () => {
    const through = { ...ORDERS, to: ["tokyo"], origin: "austin" };
    const state = (live: boolean) =>
      berlin([
        {
          tenant: "acme",
          exports: [through],
          imports: [
            { from: "tokyo", subjects: ["acme.>"] },
            { from: "austin", subjects: ["acme.>"], live },
          ],
        },
      ]);
    expect(planExports(state(true))[0]).toMatchObject({ origin: "austin", source: "in_acme" });
    expect(planExports(state(false))[0]).toMatchObject({ origin: "austin", source: "quiet_acme" });
  });

  test("finds the stream of an origin that comes through another peer", () => {
    const state = berlin([
      {
        tenant: "acme",
        exports: [{ ...ORDERS, to: ["tokyo"], origin: "paris" }],
        imports: [
          { from: "austin", subjects: ["acme.>"], live: true },
          { from: "austin", origin: "paris", subjects: ["acme.>"], live: false },
        ],
      },
    ]);
    expect(planExports(state)[0]).toMatchObject({
      origin: "paris",
      source: "quiet_acme",
      stream: "quiet_acme",
    });
  });
});

describe("planOutRoutes()", () => {
  test("makes one route for each peer, in the subjects of the stored events", () => {
    const routes = outRoutes({ ...ORDERS, to: ["austin", "tokyo"] });
    expect(routes.map((route) => route.peer)).toEqual(["austin", "tokyo"]);
    for (const route of routes) {
      expect(route).toMatchObject({
        subjects: ["acme.orders.>"],
        filters: ["berlin.acme.orders.>"],
        hold: null,
      });
    }
  });

  test("narrows to what the peer accepts", () => {
    const [route] = outRoutes(ORDERS, new Map([["austin", accepting(["acme.*.eu.>", "acme.other.>"])]]));
    expect(route).toMatchObject({
      subjects: ["acme.orders.eu.>"],
      filters: ["berlin.acme.orders.eu.>"],
      hold: null,
    });
  });

  test("never lets the peer widen what the policy allows", () => {
    const [route] = outRoutes(ORDERS, new Map([["austin", accepting(["acme.>"])]]));
    expect(route).toMatchObject({ subjects: ["acme.orders.>"], filters: ["berlin.acme.orders.>"] });
  });

  test("takes no word for another tenant or origin", () => {
    const other = peer({
      accepted: [
        { tenant: "globex", origin: "berlin", subjects: ["acme.>"], mirror: false },
        { tenant: "acme", origin: "tokyo", subjects: ["acme.>"], mirror: false },
      ],
    });
    const [route] = outRoutes(ORDERS, new Map([["austin", other]]));
    expect(route).toMatchObject({ subjects: [], hold: "austin accepts none of acme.orders.>" });
  });

  test("holds when the peer did not prove its key", () => {
    const [route] = outRoutes(ORDERS, new Map([["austin", peer({ verified: "no", accepted: null })]]));
    expect(route?.hold).toBe("austin did not prove its key");
    const [sure] = outRoutes(ORDERS, new Map([["austin", peer({ verified: "unknown", accepted: null })]]));
    expect(sure?.hold).toBeNull();
  });

  test("filters a view by its own subjects: all of it until the peer has spoken, then what it accepts", () => {
    expect(outRoutes(REDACTED)[0]?.filters).toEqual(["berlin~orders.acme.>"]);
    const peers = new Map([["austin", accepting(["acme.orders.eu.>"])]]);
    expect(outRoutes(REDACTED, peers)[0]?.filters).toEqual(["berlin~orders.acme.orders.eu.>"]);
  });

  test("filters by the origin when events are passed on", () => {
    const state = berlin([
      {
        tenant: "acme",
        exports: [{ ...ORDERS, to: ["tokyo"], origin: "austin" }],
        imports: [{ from: "austin", subjects: ["acme.>"] }],
      },
    ]);
    const peers = new Map([["tokyo", accepting(["acme.orders.eu.>"], "austin")]]);
    const [route] = planOutRoutes(state, planExports(state), peers);
    expect(route?.filters).toEqual(["austin.acme.orders.eu.>"]);
    const own = planOutRoutes(state, planExports(state), new Map([["tokyo", accepting(["acme.>"])]]));
    expect(own[0]?.hold).toBe("tokyo accepts none of acme.orders.>");
  });
});

describe("acceptedOf()", () => {
  test("says each import from the peer, with its origin", () => {
    const state = berlin([
      {
        tenant: "acme",
        imports: [
          { from: "austin", subjects: ["acme.a.>"], mirror: true },
          { from: "austin", origin: "paris", subjects: ["acme.b.>"] },
          { from: "tokyo", subjects: ["acme.c.>"] },
        ],
      },
      { tenant: "globex", imports: [{ from: "tokyo", subjects: ["globex.>"] }] },
    ]);
    expect(acceptedOf(state, "austin")).toEqual([
      { tenant: "acme", origin: "austin", subjects: ["acme.a.>"], mirror: true },
      { tenant: "acme", origin: "paris", subjects: ["acme.b.>"], mirror: false },
    ]);
    expect(acceptedOf(state, "tokyo").map((one) => one.tenant)).toEqual(["acme", "globex"]);
    expect(acceptedOf(state, "paris")).toEqual([]);
  });
});

describe("planInRoutes()", () => {
  const importing = berlin([
    {
      tenant: "acme",
      imports: [
        { from: "austin", subjects: ["acme.>"] },
        { from: "austin", origin: "paris", subjects: ["acme.>"] },
      ],
    },
  ]);
  const offer = {
    tenant: "acme",
    policy: "all",
    kind: "native" as const,
    stream: "out_acme",
    subjects: ["acme.>"],
  };

  test("waits for the peer's word when it has not said what it offers", () => {
    const [route] = planInRoutes(importing, new Map());
    expect(route).toMatchObject({ offer: null, why: "austin has not said yet what it offers" });
  });

  test("says that the peer exports nothing when its offers name another tenant or origin", () => {
    const offered = [
      { ...offer, origin: "tokyo" },
      { ...offer, tenant: "globex", origin: "austin" },
    ];
    const routes = planInRoutes(importing, new Map([["austin", peer({ offered })]]));
    expect(routes.map((route) => route.why)).toEqual(Array(2).fill("austin exports nothing of acme to us"));
  });

  test("gives each import the offer of its origin", () => {
    const offered = [
      { ...offer, origin: "paris", stream: "in_acme" },
      { ...offer, origin: "austin" },
    ];
    const routes = planInRoutes(importing, new Map([["austin", peer({ offered })]]));
    expect(routes.map((route) => [route.origin, route.offer?.stream, route.why])).toEqual([
      ["austin", "out_acme", null],
      ["paris", "in_acme", null],
    ]);
  });
});
