/** How a view reads a long backlog, and what it says when its own events are refused. */
import { expect, test } from "bun:test";
import type { ConsumerConfig, jetstreamManager } from "@nats-io/jetstream";
import { outStream, storedSubject, viewConsumer, viewStream } from "../../src/model/names.ts";
import {
  forwardAll,
  POLICY,
  publishAll,
  readView,
  SITE,
  startFlowSite,
  startTestView,
  TENANT,
  until,
} from "./flow_support.ts";

const CONSUMER = viewConsumer(POLICY);
const filtersOf = async (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => {
  for await (const info of jsm.consumers.list(outStream(TENANT))) {
    if (info.name !== CONSUMER) return info.config.filter_subjects ?? [];
  }
  return null;
};

test("a backlog that is nearly all wanted is read without filters, and with them again once it is not", async () => {
  await using flow = await startFlowSite();
  const { nc, jsm } = flow;
  const wanted = [storedSubject(SITE, `${TENANT}.orders.>`)];
  const info = await jsm.consumers.info(outStream(TENANT), CONSUMER);
  await jsm.consumers.update(outStream(TENANT), CONSUMER, {
    ...(info.config as ConsumerConfig),
    filter_subjects: wanted,
  });
  const event = (n: number, subject: string) => ({ subject: `${TENANT}.${subject}`, data: `${n}` });
  // One in ten is not wanted.
  await publishAll(
    nc,
    Array.from({ length: 8_000 }, (_, n) => event(n, n % 10 === 0 ? "extra" : `orders.${n % 3}`)),
  );
  const orders = Array.from({ length: 8_000 }, (_, n) => n).filter((n) => n % 10 !== 0);
  await using view = startTestView(nc, jsm, { decide: forwardAll });
  await until(() => view.stats().forwarded === orders.length, "the backlog is in the view");
  expect(await filtersOf(jsm)).toEqual([]);
  expect((await readView(jsm)).map((one) => Number(one.data))).toEqual(orders);
  // What is skipped counts nowhere: it is not this policy's business.
  expect(view.stats()).toMatchObject({ noRule: 0, denied: 0, quarantined: 0, position: 8_000 });

  // A flood that is not wanted ends that; what came of it before the worker last looked does not count.
  const flood = Array.from({ length: 4_000 }, (_, n) => event(n, "extra"));
  await until(async () => {
    await publishAll(nc, flood);
    return (await filtersOf(jsm))?.length === 1;
  }, "the reader has filters again");
  await publishAll(
    nc,
    Array.from({ length: 100 }, (_, n) => event(8_000 + n, n % 2 === 0 ? "orders.x" : "extra")),
  );
  await until(() => view.stats().forwarded === orders.length + 50, "the later orders are in the view");
  const later = Array.from({ length: 50 }, (_, i) => 8_000 + 2 * i);
  expect((await readView(jsm)).map((one) => Number(one.data))).toEqual([...orders, ...later]);
  expect(view.stats().lastError).toBeNull();
}, 60_000);

test("several filters, and a backlog that turns out to be wanted, are read without filters while the session runs", async () => {
  await using flow = await startFlowSite();
  const { nc, jsm } = flow;
  const info = await jsm.consumers.info(outStream(TENANT), CONSUMER);
  const filter = (...patterns: string[]) =>
    jsm.consumers.update(outStream(TENANT), CONSUMER, {
      ...(info.config as ConsumerConfig),
      filter_subjects: patterns.map((pattern) => storedSubject(SITE, `${TENANT}.${pattern}`)),
    });
  let next = 0;
  const orders: number[] = [];
  const publish = (count: number, kind: "extra" | "orders") =>
    publishAll(
      nc,
      Array.from({ length: count }, () => {
        const n = next++;
        if (kind === "orders") orders.push(n);
        return { subject: `${TENANT}.${kind}.${n % 3}`, data: `${n}` };
      }),
    );
  await filter("orders.>");
  await publish(6_000, "extra");
  await using view = startTestView(nc, jsm, { decide: forwardAll });
  await until(async () => (await filtersOf(jsm))?.length === 1, "a reader with a filter");
  await until(async () => {
    await publish(2_000, "orders");
    return (await filtersOf(jsm))?.length === 0;
  }, "a reader without one");
  await until(async () => {
    await publish(4_000, "extra");
    return (await filtersOf(jsm))?.length === 1;
  }, "a reader with a filter again");
  // How much of it is wanted is not known of several filters: they cost most.
  await filter("orders.0", "orders.1", "orders.2");
  await publish(10, "orders");
  await until(() => view.stats().forwarded === orders.length, "all orders");
  await publish(2_000, "orders");
  await until(async () => (await filtersOf(jsm))?.length === 0, "a reader without several filters");
  await publish(10, "orders");
  await until(() => view.stats().forwarded === orders.length, "the last orders");
  expect((await readView(jsm)).map((one) => Number(one.data))).toEqual(orders);
  expect(view.stats()).toMatchObject({ lastError: null, noRule: 0, missed: 0 });
}, 90_000);

test("a view that is full says so, does not blame another worker, and goes on when there is room", async () => {
  await using flow = await startFlowSite({ view: { max_bytes: 100_000 } });
  const { nc, jsm } = flow;
  const lines: string[] = [];
  await publishAll(
    nc,
    Array.from({ length: 3_000 }, (_, n) => ({ subject: `${TENANT}.orders.x`, data: `${n}` })),
  );
  await using view = startTestView(nc, jsm, { decide: forwardAll, log: (line) => lines.push(line) });
  await until(
    () => view.stats().lastError?.includes("stream_full") === true,
    "the view says that it is full",
  );
  expect(view.stats().state).toBe("stalled");
  expect(lines.join("\n")).not.toContain("another worker");
  const info = await jsm.streams.info(viewStream(TENANT, POLICY));
  expect(info.state.messages).toBe(view.stats().forwarded);
  await jsm.streams.update(info.config.name, { ...info.config, max_bytes: 10_000_000 });
  await until(() => view.stats().forwarded === 3_000, "all are in the view");
  expect((await readView(jsm)).map((one) => Number(one.data))).toEqual(
    Array.from({ length: 3_000 }, (_, n) => n),
  );
}, 60_000);
