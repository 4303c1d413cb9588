import { describe, expect, test } from "bun:test";
import type { NatsConnection } from "@nats-io/transport-node";
import { getDeadLetter, listDeadLetters } from "../../src/flow/dead_letters.ts";
import type { View } from "../../src/flow/view_worker.ts";
import type { Decision, MeshEvent } from "../../src/model/event.ts";
import { dlqStream, outStream, viewConsumer, viewStream } from "../../src/model/names.ts";
import {
  decideBySubject,
  flowSpecs,
  forwardAll,
  POLICY,
  publishAll,
  readAll,
  readView,
  SITE,
  startFlowSite,
  TENANT,
  until,
} from "./flow_support.ts";

const TIMEOUT = 60_000;

/** The connection, but dead letters take a second to be written. */
function slowLetters(nc: NatsConnection): NatsConnection {
  return new Proxy(nc, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      if (key !== "request") return value.bind(target);
      return async (subject: string, ...rest: unknown[]) => {
        if (subject.startsWith("dlq.")) await Bun.sleep(1_000);
        return await value.call(target, subject, ...rest);
      };
    },
  });
}

const mixed = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    subject:
      i % 10 === 3
        ? "acme.drop.x"
        : i % 10 === 6
          ? "acme.none.x"
          : i % 50 === 7
            ? "acme.bad.x"
            : `acme.o.${i % 5}`,
    data: `{"i":${i}}`,
    ...(i % 2 === 0 ? { id: `id-${i}` } : {}),
  }));

const expected = (events: ReturnType<typeof mixed>) =>
  events.filter((event) => event.subject.startsWith("acme.o.")).map((event) => event.data);

describe("startView()", () => {
  test(
    "keeps the order, counts each outcome and acknowledges all",
    async () => {
      await using s = await startFlowSite();
      const events = mixed(5000);
      await publishAll(s.nc, events);
      await using view = s.view();
      await until(() => view.stats().position === 5000, "all is dealt with");

      const stored = await readView(s.jsm);
      expect(stored.map((event) => event.data)).toEqual(expected(events));
      expect(stored[0]?.subject).toBe("tokyo~eu.acme.o.0");
      expect(stored[0]?.headers["Leafmesh-Position"]).toBe("1");
      expect(stored[0]?.headers["Leafmesh-Policy"]).toBe("v1");
      expect(stored[0]?.headers["Nats-Msg-Id"]).toBe("id-0");
      expect(stored[1]?.headers["Nats-Msg-Id"]).toMatch(/^tokyo\.out_acme\.[a-z0-9]+\.2$/);
      expect(view.stats()).toMatchObject({
        state: "running",
        forwarded: 3900,
        redacted: 3900,
        redactedValues: 3900,
        denied: 500,
        noRule: 500,
        quarantined: 100,
        lastError: null,
      });
      expect(await view.stop()).toBe(5000);
      const consumer = await s.jsm.consumers.info(outStream(TENANT), viewConsumer(POLICY));
      expect(consumer.ack_floor.stream_seq).toBe(5000);
      expect(consumer.num_ack_pending).toBe(0);
    },
    TIMEOUT,
  );

  test(
    "goes on where the view ends after a crash between storing and acknowledging, long after the dedupe window",
    async () => {
      await using s = await startFlowSite();
      const events = mixed(2000);
      await publishAll(s.nc, events);
      const view = s.view();
      await until(() => view.stats().position === 2000, "all is dealt with");
      await view.stop();
      // What a crash leaves behind: the view has all, the consumer knows of nothing.
      await s.nc.request(
        `$JS.API.CONSUMER.RESET.${outStream(TENANT)}.${viewConsumer(POLICY)}`,
        JSON.stringify({ seq: 1 }),
      );
      await Bun.sleep(400);
      await publishAll(s.nc, [{ subject: "acme.o.last", data: "last" }]);
      await using again = s.view();
      await until(() => again.stats().position === 2001, "the new event is dealt with");
      expect((await readView(s.jsm)).map((event) => event.data)).toEqual([...expected(events), "last"]);
    },
    TIMEOUT,
  );

  test(
    "acknowledges when everything is dropped",
    async () => {
      await using s = await startFlowSite();
      await publishAll(
        s.nc,
        Array.from({ length: 25_000 }, () => ({ subject: "acme.drop.x", data: "no" })),
      );
      await using view = s.view();
      await until(() => view.stats().position === 25_000, "all is dealt with");
      await until(
        async () =>
          (await s.jsm.consumers.info(outStream(TENANT), viewConsumer(POLICY))).ack_floor.stream_seq ===
          25_000,
        "all is acknowledged",
      );
      expect(view.stats()).toMatchObject({ denied: 25_000, forwarded: 0, restarts: 0 });
      expect((await s.jsm.streams.info(viewStream(TENANT, POLICY))).state.messages).toBe(0);
    },
    TIMEOUT,
  );

  test(
    "decides with a new policy from one position on",
    async () => {
      await using s = await startFlowSite();
      await publishAll(
        s.nc,
        Array.from({ length: 20_000 }, (_, i) => ({ subject: "acme.o.x", data: String(i) })),
      );
      await using view = s.view({ decide: forwardAll });
      await until(() => view.stats().position > 2000, "some is dealt with");
      const from = view.setDecider(forwardAll, "v2");
      await until(() => view.stats().position === 20_000, "all is dealt with");
      const stored = await readView(s.jsm);
      expect(stored.map((event) => event.data)).toEqual(Array.from({ length: 20_000 }, (_, i) => String(i)));
      const versions = stored.map((event) => event.headers["Leafmesh-Policy"]);
      expect(versions.lastIndexOf("v1") + 1).toBe(from);
      expect(versions.indexOf("v2")).toBe(from);
      expect(from).toBeLessThan(20_000);
    },
    TIMEOUT,
  );

  test(
    "lets a new policy decide what waits for a dead letter, and stops once however often it is told to",
    async () => {
      await using s = await startFlowSite();
      const send = (...subjects: string[]) =>
        publishAll(
          s.nc,
          subjects.map((subject) => ({ subject, data: "x" })),
        );
      await send("acme.bad.x", "acme.o.waits", "acme.o.x");
      const view = s.view({ nc: slowLetters(s.nc) });
      await until(() => view.stats().state === "running", "it runs");
      await Bun.sleep(300);
      expect(view.setDecider(() => ({ type: "drop", rule: null, reason: "no_rule" }), "v2")).toBe(1);
      await until(() => view.stats().position === 3, "all is dealt with");
      expect(view.stats()).toMatchObject({ forwarded: 0, noRule: 2, quarantined: 1 });
      expect(await readView(s.jsm)).toEqual([]);

      // A change of filters stops the session too, while a letter is on its way.
      view.setDecider(decideBySubject, "v3");
      await send("acme.bad.x");
      await Bun.sleep(200);
      const filter_subjects = ["o", "bad"].map((name) => `${SITE}.acme.${name}.>`);
      await s.jsm.consumers.update(outStream(TENANT), viewConsumer(POLICY), { filter_subjects });
      const startedAt = performance.now();
      const stopping = view.stop();
      view.setDecider(decideBySubject, "v4");
      expect(await stopping).toBe(4);
      expect(performance.now() - startedAt).toBeLessThan(5_000);
    },
    TIMEOUT,
  );

  test(
    "stores two different events with one id that the view would take for one",
    async () => {
      await using s = await startFlowSite({ outWindowMs: 200 });
      const round = (name: string) =>
        Array.from({ length: 500 }, (_, i) => ({ subject: "acme.o.x", data: `${name}${i}`, id: `id-${i}` }));
      await publishAll(s.nc, round("a"));
      await Bun.sleep(700);
      await publishAll(s.nc, round("b"));
      expect((await s.jsm.streams.info(outStream(TENANT))).state.messages).toBe(1000);
      await using view = s.view({ decide: forwardAll });
      await until(() => view.stats().position === 1000, "all is dealt with");
      const stored = await readView(s.jsm);
      expect(stored.map((event) => event.data)).toEqual([
        ...round("a").map((event) => event.data),
        ...round("b").map((event) => event.data),
      ]);
      expect(stored[0]?.headers["Nats-Msg-Id"]).toBe("id-0");
      expect(stored[500]?.headers["Nats-Msg-Id"]).toBe("id-0~501");
      expect(view.stats().restarts).toBe(0);
    },
    TIMEOUT,
  );

  test(
    "stores an event with an id that the view has just seen from an earlier run",
    async () => {
      await using s = await startFlowSite({ outWindowMs: 100 });
      await publishAll(s.nc, [{ subject: "acme.o.x", data: "first", id: "same" }]);
      await Bun.sleep(400);
      await publishAll(s.nc, [{ subject: "acme.o.x", data: "second", id: "same" }]);
      await publishAll(s.nc, [{ subject: "acme.o.x", data: "third" }]);
      // The first run stops right after the first event; the second one does not know its id.
      let seen = 0;
      const first: View = s.view({
        decide: (event) => {
          if (++seen > 1) throw new Error("must have stopped");
          queueMicrotask(() => void first.stop());
          return forwardAll(event);
        },
        limits: { pullBatch: 1 },
      });
      await until(() => first.stats().state === "stopped", "the first run has stopped");
      await using second = s.view({ decide: forwardAll });
      await until(() => second.stats().position === 3, "all is dealt with");
      expect((await readView(s.jsm)).map((event) => event.data)).toEqual(["first", "second", "third"]);
    },
    TIMEOUT,
  );

  test(
    "counts and says what retention dropped before it came to it, once",
    async () => {
      await using s = await startFlowSite({ out: { max_msgs: 10 } });
      const lines: string[] = [];
      const send = (count: number) =>
        publishAll(
          s.nc,
          Array.from({ length: count }, () => ({ subject: "acme.o.x", data: "{}" })),
        );
      const first = s.view();
      await send(5);
      await until(() => first.stats().position === 5, "the first five are dealt with");
      expect(first.stats().missed).toBe(0);
      await first.stop();
      await send(30);
      await s.jsm.streams.delete(viewStream(TENANT, POLICY));
      await using second = s.view({ log: (line) => lines.push(line) });
      await until(() => second.stats().restarts > 1, "it has tried without a view");
      await s.jsm.streams.add(flowSpecs().view);
      await until(() => second.stats().position === 35, "what is left is dealt with");
      expect(second.stats()).toMatchObject({ missed: 20, forwarded: 10 });
      expect(lines.filter((line) => line.includes("dropped up to 20 events after 5"))).toHaveLength(1);
    },
    TIMEOUT,
  );

  test(
    "passes large messages and puts aside what the view does not take",
    async () => {
      await using s = await startFlowSite({ view: { max_msg_size: 700_000 } });
      const sizes = [10, 600_000, 699_990, 500_000, 1_000_000, 600_001, 20];
      await publishAll(
        s.nc,
        sizes.map((size) => ({ subject: "acme.o.x", data: "x".repeat(size) })),
      );
      await publishAll(
        s.nc,
        Array.from({ length: 60 }, () => ({ subject: "acme.o.x", data: "y".repeat(500_000) })),
      );
      await using view = s.view({ decide: forwardAll });
      await until(() => view.stats().position === 67, "all is dealt with");
      const stored = await readView(s.jsm);
      expect(stored.slice(0, 5).map((event) => event.data.length)).toEqual([
        10, 600_000, 500_000, 600_001, 20,
      ]);
      expect(stored).toHaveLength(65);
      const { letters } = await listDeadLetters(s.jsm, TENANT);
      expect(letters.map((letter) => [letter.position, letter.reason])).toEqual([
        [3, "payload_too_large"],
        [5, "payload_too_large"],
      ]);
      expect((await getDeadLetter(s.jsm, TENANT, letters[0]?.sequence ?? 0)).data.length).toBe(699_990);
      expect(view.stats()).toMatchObject({ forwarded: 65, quarantined: 2 });
    },
    TIMEOUT,
  );

  test(
    "passes subjects that are not ASCII and headers byte for byte",
    async () => {
      await using s = await startFlowSite();
      await publishAll(s.nc, [
        { subject: "acme.größe.東京", data: "1", id: "ü" },
        { subject: "acme.o.x", data: "" },
      ]);
      await using view = s.view({ decide: forwardAll });
      await until(() => view.stats().position === 2, "all is dealt with");
      const stored = await readView(s.jsm);
      expect(stored.map((event) => event.subject)).toEqual(["tokyo~eu.acme.größe.東京", "tokyo~eu.acme.o.x"]);
      expect(stored.map((event) => event.data)).toEqual(["1", ""]);
      expect(stored[0]?.headers["Nats-Msg-Id"]).toBe("ü");
    },
    TIMEOUT,
  );
});

describe("quarantine", () => {
  const bad = (event: MeshEvent): Decision => decideBySubject(event);

  test(
    "lets nothing pass while dead letters cannot be stored, and loses nothing",
    async () => {
      await using s = await startFlowSite({ dlq: false });
      await publishAll(s.nc, [
        { subject: "acme.o.1", data: "before" },
        { subject: "acme.bad.x", data: "bad" },
        { subject: "acme.o.2", data: "after" },
        { subject: "acme.drop.x", data: "drop" },
      ]);
      await using view = s.view({ decide: bad });
      await until(() => view.stats().state === "stalled", "the worker is stalled");
      await Bun.sleep(500);
      expect(view.stats().lastError).toContain("Dead letter");
      expect((await readView(s.jsm)).map((event) => event.data)).toEqual(["before"]);
      expect(
        (await s.jsm.consumers.info(outStream(TENANT), viewConsumer(POLICY))).ack_floor.stream_seq,
      ).toBeLessThan(2);

      await s.jsm.streams.add(flowSpecs().dlq);
      await until(() => view.stats().position === 4, "all is dealt with");
      expect((await readView(s.jsm)).map((event) => event.data)).toEqual(["before", "after"]);
      expect(await readAll(s.jsm, dlqStream(TENANT))).toHaveLength(1);
      expect(view.stats()).toMatchObject({ state: "running", lastError: null, quarantined: 1 });
    },
    TIMEOUT,
  );

  test(
    "stalls while the dead-letter stream is full",
    async () => {
      await using s = await startFlowSite({ dlq: false });
      const dlq = flowSpecs().dlq;
      await s.jsm.streams.add({ ...dlq, max_msgs: 2 });
      await publishAll(s.nc, [
        ...Array.from({ length: 4 }, (_, i) => ({ subject: `acme.bad.${i}`, data: "bad" })),
        { subject: "acme.o.x", data: "after" },
      ]);
      await using view = s.view({ decide: bad });
      await until(() => view.stats().state === "stalled", "the worker is stalled");
      await Bun.sleep(300);
      expect((await s.jsm.streams.info(viewStream(TENANT, POLICY))).state.messages).toBe(0);
      await s.jsm.streams.update(dlqStream(TENANT), { ...dlq, max_msgs: -1 });
      await until(() => view.stats().position === 5, "all is dealt with");
      expect((await readAll(s.jsm, dlqStream(TENANT))).map((letter) => letter.subject)).toEqual([
        "dlq.acme.bad.0",
        "dlq.acme.bad.1",
        "dlq.acme.bad.2",
        "dlq.acme.bad.3",
      ]);
      expect((await readView(s.jsm)).map((event) => event.data)).toEqual(["after"]);
    },
    TIMEOUT,
  );

  test(
    "keeps the event, its headers and why; a decider that throws fails closed",
    async () => {
      await using s = await startFlowSite();
      await publishAll(s.nc, [
        { subject: "acme.bad.x", data: "raw", id: "the-id" },
        { subject: "acme.o.x", data: "boom" },
      ]);
      await using view = s.view({
        decide: (event) => {
          if (event.subject === "acme.o.x") throw new Error("broken\r\nX: y");
          return bad(event);
        },
      });
      await until(() => view.stats().position === 2, "all is dealt with");
      const { letters, next } = await listDeadLetters(s.jsm, TENANT);
      expect(next).toBeNull();
      expect(letters).toMatchObject([
        {
          subject: "acme.bad.x",
          origin: SITE,
          position: 1,
          policy: POLICY,
          version: "v1",
          rule: "#1",
          reason: "payload_not_json",
          error: "not JSON at byte 1",
          truncated: false,
        },
        { subject: "acme.o.x", reason: "redaction_failed", error: "broken X: y" },
      ]);
      const detail = await getDeadLetter(s.jsm, TENANT, letters[0]?.sequence ?? 0);
      expect(new TextDecoder().decode(detail.data)).toBe("raw");
      expect(new TextDecoder().decode(detail.headers)).toContain("Nats-Msg-Id: the-id");
      expect((await listDeadLetters(s.jsm, TENANT, { reason: "redaction_failed" })).letters).toHaveLength(1);
      expect((await listDeadLetters(s.jsm, TENANT, { subject: "acme.bad.>" })).letters).toHaveLength(1);
      const page = await listDeadLetters(s.jsm, TENANT, { limit: 1 });
      expect(page.letters).toHaveLength(1);
      expect((await listDeadLetters(s.jsm, TENANT, { after: page.next ?? 0 })).letters[0]?.subject).toBe(
        "acme.o.x",
      );
      expect((await readView(s.jsm)).length).toBe(0);
    },
    TIMEOUT,
  );
});
