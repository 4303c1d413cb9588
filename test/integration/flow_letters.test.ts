import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { listDeadLetters } from "../../src/flow/dead_letters.ts";
import { DLQ_HEADERS, dlqStream, outStream, STATE_BUCKET, viewConsumer } from "../../src/model/names.ts";
import { nanos } from "../../src/model/units.ts";
import { consumerResetSubject, resetConsumer } from "../../src/nats/consumer_reset.ts";
import {
  createStreams,
  flowSpecs,
  forwardAll,
  POLICY,
  publishAll,
  readAll,
  readView,
  type StoredEvent,
  startTestView,
  TENANT,
  TestServer,
  until,
} from "./flow_support.ts";

const TIMEOUT = 120_000;

/** The streams, with a dead-letter stream that forgets an id as after two minutes. */
async function prepare(server: TestServer): Promise<{ nc: NatsConnection; jsm: JetStreamManager }> {
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await createStreams(jsm, { dlq: false });
  await jsm.streams.add({ ...flowSpecs().dlq, duplicate_window: nanos(100) });
  await new Kvm(jetstream(nc)).create(STATE_BUCKET, { history: 64 });
  return { nc, jsm };
}

/** As a crash leaves it: nobody came to record more than this position. The dead letters' ids are forgotten. */
async function crashed(nc: NatsConnection, position: number): Promise<void> {
  const subject = consumerResetSubject(outStream(TENANT), viewConsumer(POLICY));
  await resetConsumer(nc, subject, position + 1, { timeoutMs: 5_000, code: "apply_failed" });
  await Bun.sleep(500);
}

const lettersOf = (jsm: JetStreamManager): Promise<StoredEvent[]> => readAll(jsm, dlqStream(TENANT));
const dataOf = (events: readonly StoredEvent[]): string[] => events.map(({ data }) => data);
const sequencesOf = async (jsm: JetStreamManager): Promise<number[]> =>
  (await listDeadLetters(jsm, TENANT, { limit: 500 })).letters.map(({ sequence }) => sequence);

describe("a dead letter that was stored before the view's position was recorded", () => {
  test(
    "stays the only one of its event, and crosses once, whatever the policy of the next session says",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const first = startTestView(nc, jsm);
      await publishAll(nc, [
        { subject: "acme.ok.a", data: "1" },
        { subject: "acme.drop", data: "2" },
        { subject: "acme.bad.a", data: "3", id: "three" },
        { subject: "acme.bad.b", data: "4" },
        { subject: "acme.bad.a", data: "5" },
      ]);
      await until(() => first.stats().position === 5, "all is dealt with");
      expect(first.stats()).toMatchObject({ quarantined: 3, reasons: { payload_not_json: 3 } });
      await first.stop();

      await crashed(nc, 0);
      const second = startTestView(nc, jsm);
      await until(() => second.stats().position === 5, "all is dealt with again");
      expect(second.stats()).toMatchObject({ quarantined: 0, reasons: {} });
      await second.stop();
      expect(dataOf(await lettersOf(jsm))).toEqual(["3", "4", "5"]);

      await crashed(nc, 2);
      await using third = startTestView(nc, jsm, { decide: forwardAll, version: "v2" });
      await publishAll(nc, [{ subject: "acme.ok.b", data: "6" }]);
      await until(() => third.stats().position === 6, "what is new is dealt with");
      expect(dataOf(await readView(jsm))).toEqual(["1", "6"]);
      const results = await third.redrive(await sequencesOf(jsm), false);
      expect(results.map((one) => one?.type)).toEqual(["forwarded", "forwarded", "forwarded"]);
      expect(dataOf(await readView(jsm))).toEqual(["1", "6", "3", "4", "5"]);
      expect(await lettersOf(jsm)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "stays the only one of its event although its worker is killed again and again",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const events = Array.from({ length: 1500 }, (_, i) => ({
        subject: i % 3 === 0 ? "acme.ok.x" : "acme.bad.x",
        data: `${i}`,
      }));
      await publishAll(nc, events);
      const stored = async () => (await jsm.streams.info(dlqStream(TENANT))).state.last_seq;
      for (let kills = 0; kills < 3; kills++) {
        const path = join(import.meta.dir, "flow_worker_process.ts");
        const worker = spawn(process.execPath, [path, server.url, "200"], {
          stdio: ["ignore", "ignore", "inherit"],
        });
        const goal = (await stored()) + 200;
        await until(async () => (await stored()) >= goal, "some more are dead letters", 30_000);
        const gone = new Promise((resolve) => worker.once("exit", resolve));
        worker.kill("SIGKILL");
        await gone;
        await Bun.sleep(500);
      }
      await using view = startTestView(nc, jsm);
      await until(() => view.stats().position === events.length, "all is dealt with");
      const of = (kind: string) => events.filter(({ subject }) => subject.startsWith(kind));
      expect(dataOf(await lettersOf(jsm))).toEqual(of("acme.bad").map(({ data }) => data));
      expect(dataOf(await readView(jsm))).toEqual(of("acme.ok").map(({ data }) => data));
    },
    TIMEOUT,
  );

  test(
    "is found behind thousands of other policies' letters, and taken for no other event's",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const first = startTestView(nc, jsm);
      await publishAll(
        nc,
        Array.from({ length: 6 }, (_, i) => ({ subject: `acme.bad.${i}`, data: `${i + 1}` })),
      );
      await until(() => first.stats().position === 6, "all is dealt with");
      await first.stop();
      const letters = await lettersOf(jsm);
      // Of the last four events there are letters that are not theirs.
      for (const { seq } of letters.slice(2)) await jsm.streams.deleteMessage(dlqStream(TENANT), seq);
      const like = async (letter: StoredEvent | undefined, over: Record<string, string>) => {
        const copy = headers();
        for (const [name, value] of Object.entries({ ...letter?.headers, "Nats-Msg-Id": "", ...over })) {
          if (value !== "") copy.set(name, value);
        }
        await nc.request("dlq.acme.like", "like", { headers: copy, timeout: 20_000 });
      };
      await like(letters[2], { [DLQ_HEADERS.policy]: "us" });
      await like(letters[3], { [DLQ_HEADERS.epoch]: "k0" });
      const time = Number(letters[4]?.headers[DLQ_HEADERS.time]);
      await like(letters[4], { [DLQ_HEADERS.time]: String(time - 60_000) });
      await like(letters[5], { [DLQ_HEADERS.position]: "7" });
      for (let done = 0; done < 2500; done += 500) {
        await Promise.all(
          Array.from({ length: 500 }, () => like(letters[0], { [DLQ_HEADERS.policy]: "us" })),
        );
      }

      await crashed(nc, 0);
      await using second = startTestView(nc, jsm);
      await until(() => second.stats().position === 6, "all is dealt with again");
      const all = await lettersOf(jsm);
      expect(all.filter(({ data }) => data !== "like").map(({ data }) => data)).toEqual([
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
      ]);
      expect(second.stats().quarantined).toBe(4);
    },
    TIMEOUT,
  );

  test(
    "is redriven when the session has come to its event, so that a crash does not send it again",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const first = startTestView(nc, jsm);
      const oks = Array.from({ length: 40 }, (_, i) => ({ subject: "acme.ok.x", data: `${i}` }));
      await publishAll(nc, [...oks, { subject: "acme.bad.x", data: "bad" }]);
      await until(() => first.stats().quarantined === 1, "it is a dead letter");
      await first.stop();
      const { view } = flowSpecs();
      await jsm.streams.delete(view.name);
      await jsm.streams.add(view);
      await crashed(nc, 0);

      await using second = startTestView(nc, jsm, {
        decide: (event) => {
          const end = performance.now() + 25;
          while (performance.now() < end);
          return forwardAll(event);
        },
        limits: { pullBatch: 1 },
      });
      await until(() => second.stats().state === "running", "it runs");
      expect(await second.redrive(await sequencesOf(jsm), false)).toEqual([{ type: "forwarded" }]);
      await until(() => second.stats().position === 41, "all is dealt with");
      const stored = await readView(jsm);
      expect(dataOf(stored)).toEqual([...oks.map(({ data }) => data), "bad"]);
      expect(stored.at(-1)?.headers["Leafmesh-Position"]).toBe("41");
    },
    TIMEOUT,
  );

  test(
    "is redriven also when its event is erased meanwhile",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const first = startTestView(nc, jsm);
      await publishAll(nc, [
        { subject: "acme.ok.x", data: "1" },
        { subject: "acme.bad.x", data: "2" },
        { subject: "acme.drop", data: "3" },
        { subject: "acme.bad.x", data: "4" },
      ]);
      await until(() => first.stats().position === 4, "all is dealt with");
      await first.stop();
      await crashed(nc, 0);
      await jsm.streams.deleteMessage(outStream(TENANT), 4);

      await using second = startTestView(nc, jsm);
      await until(() => second.stats().position === 3, "what is left is dealt with");
      second.setDecider(forwardAll, "v2");
      const results = await second.redrive(await sequencesOf(jsm), false);
      expect(results).toEqual([{ type: "forwarded" }, { type: "forwarded" }]);
      expect(dataOf(await readView(jsm))).toEqual(["1", "2", "4"]);
    },
    TIMEOUT,
  );
});
