import { describe, expect, test } from "bun:test";
import {
  dlqSpec,
  inSpec,
  logConsumerSpec,
  outSpec,
  peerConsumerSpec,
  viewConsumerSpec,
  viewSpec,
} from "../../../src/control/assets.ts";
import { planExports, planOutRoutes } from "../../../src/control/routes.ts";
import { desiredTenant } from "../../../src/model/desired.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { berlin } from "./fake_server.ts";

const SECOND = 1e9;
const tenant = (more: Omit<TenantDocument, "tenant"> = {}) => desiredTenant({ tenant: "acme", ...more });
const SOURCE = { name: "out_acme" };

const viewed = berlin([
  {
    tenant: "acme",
    limits: { maxMsgSize: "1KiB", whenFull: "refuse" },
    exports: [
      {
        name: "orders",
        to: ["austin"],
        rules: [{ subjects: ["acme.orders.>", "acme.invoices.*"], when: "data.x == 1" }],
      },
    ],
  },
]);
const plan = planExports(viewed)[0]!;

describe("outSpec()", () => {
  test("stores what apps publish under the origin, with the tenant's limits", () => {
    const limits = { storage: "1MiB", maxAge: "1h", maxMsgSize: "2KiB" };
    expect(outSpec("berlin", tenant({ limits, dedupe: { window: "30s" } }))).toMatchObject({
      name: "out_acme",
      subjects: ["berlin.acme.>"],
      max_bytes: 1024 ** 2,
      max_age: 3600 * SECOND,
      max_msg_size: 2048,
      duplicate_window: 30 * SECOND,
      discard: "old",
      allow_rollup_hdrs: false,
      allow_batched: true,
    });
  });

  test("refuses when it is full only where the tenant wants it so", () => {
    expect(outSpec("berlin", tenant({ limits: { whenFull: "refuse" } })).discard as string).toBe("new");
  });

  test("keeps the dedupe window within the age, as the server demands", () => {
    const spec = outSpec("berlin", tenant({ limits: { maxAge: "10s" }, dedupe: { window: "1h" } }));
    expect(spec.duplicate_window).toBe(10 * SECOND);
  });
});

describe("inSpec()", () => {
  test("compares no ids of different origins, unless they are unique in the whole mesh", () => {
    expect(inSpec(tenant(), true, [SOURCE]).duplicate_window).toBe(0);
    const dedupe = { ids: "mesh", window: "30s" } as const;
    expect(inSpec(tenant({ dedupe }), true, [SOURCE]).duplicate_window).toBe(30 * SECOND);
    expect("duplicate_window" in inSpec(tenant(), true, [])).toBe(false);
  });

  test("republishes to the tenant's subscribers when it is live, and not when it is quiet", () => {
    const live = inSpec(tenant(), true, []);
    expect(live).toMatchObject({ name: "in_acme", republish: { src: "*.acme.>", dest: "acme.>" } });
    const quiet = inSpec(tenant(), false, []);
    expect(quiet.name).toBe("quiet_acme");
    expect("republish" in quiet).toBe(false);
  });

  test("never refuses what a peer sends for want of space, and takes no rollup of a peer", () => {
    const spec = inSpec(tenant({ limits: { whenFull: "refuse" } }), true, [SOURCE]);
    expect(spec).toMatchObject({ discard: "old", allow_rollup_hdrs: false });
    expect(spec.subjects).toEqual([]);
  });
});

describe("dlqSpec()", () => {
  test("refuses when it is full, so that no event that could not be decided is lost", () => {
    expect(dlqSpec(tenant())).toMatchObject({ name: "dlq_acme", subjects: ["dlq.acme.>"], discard: "new" });
  });
});

describe("viewSpec()", () => {
  test("keeps a view apart by its own first token, notes what it is filled from, and leaves room for headers", () => {
    expect(viewSpec("berlin", plan)).toMatchObject({
      name: "view_acme_orders",
      subjects: ["berlin~orders.acme.>"],
      max_msg_size: 1024 + 8192,
      discard: "new",
      metadata: { "leafmesh-source": "out_acme" },
    });
  });
});

describe("viewConsumerSpec()", () => {
  test("reads what the rules may let out, and acknowledges in one go", () => {
    expect(viewConsumerSpec(plan)).toMatchObject({
      durable_name: "view_orders",
      ack_policy: "all",
      max_deliver: -1,
      filter_subjects: ["berlin.acme.orders.>", "berlin.acme.invoices.*"],
    });
  });
});

describe("peerConsumerSpec()", () => {
  test("delivers to the peer's subject alone, with the route's filters", () => {
    const [route] = planOutRoutes(viewed, planExports(viewed), new Map());
    expect(peerConsumerSpec("berlin", route!)).toMatchObject({
      durable_name: "austin",
      deliver_subject: "mesh.berlin.deliver.austin.view_acme_orders",
      ack_policy: "flow_control",
      flow_control: true,
      filter_subjects: ["berlin~orders.acme.>"],
      rate_limit_bps: 0,
    });
  });

  test("holds the peer to its rate, in bits", () => {
    const rules = [{ subjects: ["acme.a"] }];
    const state = berlin([
      { tenant: "acme", exports: [{ name: "out", to: ["austin"], limit: { perPeer: "1MiB/s" }, rules }] },
    ]);
    const [route] = planOutRoutes(state, planExports(state), new Map());
    expect(peerConsumerSpec("berlin", route!).rate_limit_bps).toBe(8 * 1024 ** 2);
    // What the rate lets through at once has room for the largest event with its subject and reply.
    const free = berlin([{ tenant: "acme", exports: [{ name: "out", to: ["austin"], rules }] }]);
    const [most, without] = [state, free].map(({ tenants }) => outSpec("berlin", tenants[0]!).max_msg_size);
    expect([most, without]).toEqual([1024 ** 2 + 8192, 1024 ** 2]);
  });
});

describe("logConsumerSpec()", () => {
  test("has no filter when the log takes all of a stream", () => {
    const all = logConsumerSpec("acme", "out_acme", []);
    expect(all).toMatchObject({ durable_name: "log_", deliver_subject: "mesh.log.acme.out_acme" });
    expect("filter_subjects" in all).toBe(false);
    expect(logConsumerSpec("acme", "in_acme", ["a"]).filter_subjects).toEqual(["a"]);
  });
});
