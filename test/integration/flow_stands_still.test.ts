/** What must not make a view stand still without a word, and what it says of events that it can never have. */
import { expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { compileDecider } from "../../src/flow/decider.ts";
import { outStream } from "../../src/model/names.ts";
import type { Rule } from "../../src/model/schema/policy.ts";
import {
  forwardAll,
  POLICY,
  publishAll,
  readView,
  startFlowSite,
  startTestView,
  TENANT,
  until,
} from "./flow_support.ts";

const TIMEOUT = 60_000;

const decider = (version: string, rules: Rule[]) =>
  compileDecider({ compile: { tenant: TENANT, policy: { name: POLICY, to: ["austin"], rules } }, version });

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ subject: `${TENANT}.a`, data: `${from + i}` }));

test(
  "an event from when the server took larger ones is put aside, and the view goes on",
  async () => {
    await using flow = await startFlowSite({}, "max_payload: 8MB");
    const { server, nc } = flow;
    const large = new Uint8Array(5 * 1024 * 1024).fill(65);
    await publishAll(nc, [
      { subject: `${TENANT}.a`, data: "0" },
      { subject: `${TENANT}.a`, data: large },
      { subject: `${TENANT}.a`, data: "2" },
    ]);
    await server.kill();
    server.configure("max_payload: 1MB");
    await server.up();
    const later = await server.connect();
    await using view = startTestView(later, await jetstreamManager(later), { decide: forwardAll });
    await until(() => view.stats().position === 3, "the view has dealt with all");
    expect(view.stats()).toMatchObject({ forwarded: 2, quarantined: 1, restarts: 0, lastError: null });
    expect((await readView(await jetstreamManager(later))).map(({ data }) => data)).toEqual(["0", "2"]);
  },
  TIMEOUT,
);

test(
  "what retention drops while a view waits for its limits is counted as missed",
  async () => {
    await using flow = await startFlowSite({ out: { max_msgs: 500 } });
    const { nc, jsm } = flow;
    const rule: Rule = { name: "metered", subjects: [`${TENANT}.a`] };
    await using view = startTestView(nc, jsm, {
      ...decider("v1", [{ ...rule, limit: { messages: "10/s", burst: "1s" } }]),
      limits: { pullBatch: 50 },
    });
    await publishAll(nc, numbered(0, 400));
    await until(() => view.stats().deferral !== null, "the view waits for its limit");
    await publishAll(nc, numbered(400, 2_000));
    const free = decider("v2", [rule]);
    view.setDecider(free.decide, free.version, free.quotas);
    await until(() => view.stats().position === 2_000, "the view is at the end");
    const stored = (await readView(jsm)).length;
    expect(stored).toBeLessThan(2_000);
    await until(() => view.stats().missed >= 2_000 - stored, "what is missing is counted");
    expect(view.stats().missed).toBe(2_000 - stored);
    await publishAll(nc, numbered(2_000, 2_100));
    await until(() => view.stats().forwarded === stored + 100, "the view goes on");
    expect(view.stats().missed).toBe(2_000 - stored);
    expect((await jsm.streams.info(outStream(TENANT))).state.messages).toBe(500);
  },
  TIMEOUT,
);

test(
  "two workers that wait for a limit do not pass twice as much: one stands by, and takes over when the other goes",
  async () => {
    await using flow = await startFlowSite();
    const { server, nc, jsm } = flow;
    const made = decider("v1", [{ subjects: [`${TENANT}.a`], limit: { messages: "2/s", burst: "1s" } }]);
    const other = await server.connect();
    await using a = startTestView(nc, jsm, made);
    await publishAll(nc, numbered(0, 6_000));
    await until(() => a.stats().deferral !== null, "the first waits for its limit");
    await using b = startTestView(other, await jetstreamManager(other), made);
    const standby = () => [a, b].filter((view) => view.stats().state === "standby");
    await until(() => standby().length === 1, "one stands by");
    const [waiting] = standby();
    const working = waiting === a ? b : a;
    const { forwarded } = working.stats();
    await until(() => working.stats().forwarded >= forwarded + 10, "the other passes as much as it may");
    expect(standby()).toEqual(waiting === undefined ? [] : [waiting]);
    await working.stop();
    await until(() => waiting?.stats().state === "running", "the one that stood by takes over");
    const free = decider("v2", [{ subjects: [`${TENANT}.a`] }]);
    waiting?.setDecider(free.decide, free.version, free.quotas);
    await until(() => waiting?.stats().position === 6_000, "all has passed");
    expect((await readView(jsm)).map(({ data }) => Number(data))).toEqual(
      numbered(0, 6_000).map(({ data }) => Number(data)),
    );
    // An event that both sent counts once.
    expect(a.stats().forwarded + b.stats().forwarded).toBeLessThanOrEqual(6_000);
  },
  TIMEOUT,
);
