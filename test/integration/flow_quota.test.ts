import { describe, expect, test } from "bun:test";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { compileDecider } from "../../src/flow/decider.ts";
import type { View } from "../../src/flow/view_worker.ts";
import { STATE_BUCKET } from "../../src/model/names.ts";
import type { ExportPolicy, Rule } from "../../src/model/schema/policy.ts";
import {
  createStreams,
  POLICY,
  publishAll,
  readView,
  startTestView,
  TENANT,
  TestServer,
  until,
} from "./flow_support.ts";

const TIMEOUT = 60_000;

const decider = (version: string, rules: Rule[], limit?: ExportPolicy["limit"]) =>
  compileDecider({
    compile: {
      tenant: TENANT,
      policy: { name: POLICY, to: ["austin"], rules, ...(limit === undefined ? {} : { limit }) },
    },
    version,
  });

async function prepare(server: TestServer) {
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await createStreams(jsm);
  const start = (made: ReturnType<typeof decider>): View => startTestView(nc, jsm, made);
  const publish = (count: number, subject = "acme.a", from = 0) =>
    publishAll(
      nc,
      Array.from({ length: count }, (_, i) => ({ subject, data: `${from + i}` })),
    );
  return { jsm, nc, start, publish };
}

const dataOf = async (jsm: JetStreamManager) => (await readView(jsm)).map((one) => Number(one.data));
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe("a view with limits", () => {
  test(
    "holds events back in order, says for what and how long, and lets go at once when the limit goes",
    async () => {
      await using server = await TestServer.start();
      const { jsm, start, publish } = await prepare(server);
      const rule: Rule = { name: "metered", subjects: ["acme.a"] };
      await using view = start(decider("v1", [{ ...rule, limit: { messages: "50/s", burst: "1s" } }]));
      const startedAt = performance.now();
      await publish(3000);
      await until(() => view.stats().position >= 100, "a second's worth has passed");
      // 50 were saved up, and 50 more take a second.
      expect(performance.now() - startedAt).toBeGreaterThan(900);
      const { deferral, deferredMs, waiting, limited, restarts, state, position } = view.stats();
      expect({ deferral, limited, restarts, state }).toEqual({
        deferral: "rule metered, 50/s",
        limited: 0,
        restarts: 0,
        state: "running",
      });
      expect(deferredMs).toBeGreaterThan(500);
      expect(waiting).toBeGreaterThan(0);
      // The record of the view says the same: what waits is not dealt with.
      expect((await dataOf(jsm)).length).toBeLessThan(300);

      // The same limit again does not fill the bucket again.
      for (let n = 0; n < 20; n++) {
        const { decide, version, quotas } = decider(`v1-${n}`, [{ ...rule, limit: { messages: "50/s" } }]);
        view.setDecider(decide, version, quotas);
      }
      expect(view.stats().position - position).toBeLessThan(300);

      const free = decider("v2", [rule]);
      const before = view.setDecider(free.decide, free.version, free.quotas);
      await until(() => view.stats().position === 3000, "the rest has passed");
      const ofBefore = (await readView(jsm)).filter((one) => one.headers["Leafmesh-Policy"] !== "v2");
      expect(ofBefore.at(-1)?.headers["Leafmesh-Position"]).toBe(String(before));
      await until(() => view.stats().position === 3000, "the rest has passed");
      expect(performance.now() - startedAt).toBeLessThan(30_000);
      expect(await dataOf(jsm)).toEqual(upTo(3000));
      expect(view.stats()).toMatchObject({ forwarded: 3000, deferral: null, waiting: 0, restarts: 0 });
    },
    TIMEOUT,
  );

  test(
    "drops and puts aside what is too much, and accounts for each event",
    async () => {
      await using server = await TestServer.start();
      const { jsm, start, publish } = await prepare(server);
      await using view = start(
        decider("v1", [
          { name: "free", subjects: ["acme.free"] },
          { name: "cut", subjects: ["acme.cut"], limit: { messages: "10/s", onLimit: "drop" } },
          { name: "small", subjects: ["acme.small"], limit: { maxSize: "2B" } },
          { name: "deny", subjects: ["acme.deny"], deny: true },
        ]),
      );
      await publish(500, "acme.free");
      await publish(500, "acme.cut");
      await publish(500, "acme.small");
      await publish(100, "acme.deny");
      await publish(100, "acme.other");
      await until(() => view.stats().position === 1700, "all is dealt with");
      const { forwarded, limited, denied, noRule, quarantined, reasons, waiting } = view.stats();
      expect(forwarded + limited + denied + noRule + quarantined + waiting).toBe(1700);
      expect({ denied, noRule, quarantined, waiting }).toEqual({
        denied: 100,
        noRule: 100,
        quarantined: 400,
        waiting: 0,
      });
      expect(reasons).toEqual({ payload_too_large: 400 });
      expect(limited).toBeGreaterThan(300);
      expect(limited).toBeLessThan(500);
      expect((await readView(jsm)).length).toBe(forwarded);
    },
    TIMEOUT,
  );

  test(
    "counts bytes of the whole export, and stops while it waits",
    async () => {
      await using server = await TestServer.start();
      const { jsm, start, publish } = await prepare(server);
      const limit = { bytes: "1KiB/s", burst: "1s" } as const;
      const view = start(decider("v1", [{ subjects: ["acme.>"] }], limit));
      await publish(500);
      await until(() => view.stats().deferral === "export eu, 1KiB/s", "it waits for the export's limit");
      const position = await view.stop();
      const stored = await dataOf(jsm);
      expect(stored).toEqual(upTo(position));
      expect(stored.length).toBeGreaterThan(0);
      expect(stored.length).toBeLessThan(100);
      // The next worker goes on behind it, with one burst.
      await using next = start(decider("v1", [{ subjects: ["acme.>"] }]));
      await until(() => next.stats().position === 500, "the rest has passed");
      expect(await dataOf(jsm)).toEqual(upTo(500));
    },
    TIMEOUT,
  );

  test(
    "lets redriven dead letters wait where it would drop, while events of another rule go on",
    async () => {
      await using server = await TestServer.start();
      const { jsm, nc, start, publish } = await prepare(server);
      await new Kvm(jetstream(nc)).create(STATE_BUCKET, { history: 64 });
      const cut = (limit: Rule["limit"]): Rule[] => [
        { name: "cut", subjects: ["acme.cut"], limit },
        { name: "free", subjects: ["acme.free"] },
      ];
      await using view = start(decider("v1", cut({ maxSize: "1B" })));
      await publish(40, "acme.cut", 10);
      await until(() => view.stats().quarantined === 40, "they are dead letters");
      const made = decider("v2", cut({ messages: "20/s", burst: "500ms", onLimit: "drop" }));
      view.setDecider(made.decide, made.version, made.quotas);
      const startedAt = performance.now();
      const redriven = view.redrive(
        upTo(40).map((n) => n + 1),
        false,
      );
      await publish(200, "acme.free", 1000);
      await until(() => view.stats().position === 240, "events of now go on meanwhile");
      expect(view.stats().redriven).toBeLessThan(40);
      expect((await redriven).every((one) => one?.type === "forwarded")).toBe(true);
      // Ten were saved up; thirty more take a second and a half.
      expect(performance.now() - startedAt).toBeGreaterThan(1400);
      expect(view.stats()).toMatchObject({ redriven: 40, forwarded: 200, limited: 0 });
      const data = await dataOf(jsm);
      expect(data.filter((n) => n < 1000)).toEqual(upTo(40).map((n) => n + 10));
      expect(data.filter((n) => n >= 1000)).toEqual(upTo(200).map((n) => n + 1000));
    },
    TIMEOUT,
  );
});
