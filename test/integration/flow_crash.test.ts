import { describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { dlqStream, outStream, viewStream } from "../../src/model/names.ts";
import { FencedWriter } from "../../src/nats/fenced_writer.ts";
import {
  createStreams,
  POLICY,
  publishAll,
  readAll,
  readView,
  startTestView,
  TENANT,
  TestServer,
  until,
} from "./flow_support.ts";

const TIMEOUT = 120_000;
/** Each of them is flushed to the disk, in two streams. */
const EVENTS = 8000;
/** A worker is busy for so long with each event, so that it can be killed in the middle. */
const DECIDE_US = "200";

const event = (i: number) => ({
  subject: i % 10 === 3 ? "acme.drop.x" : i % 1000 === 7 ? "acme.bad.x" : `acme.o.${i % 5}`,
  data: `{"i":${i}}`,
  ...(i % 2 === 0 ? { id: `id-${i}` } : {}),
});
const events = Array.from({ length: EVENTS }, (_, i) => event(i));
const forwarded = events.filter((e) => e.subject.startsWith("acme.o.")).map((e) => e.data);

async function expectExactlyOnce(jsm: JetStreamManager): Promise<void> {
  const stored = await readView(jsm);
  const data = stored.map((e) => e.data);
  expect(data.length).toBe(forwarded.length);
  expect(data).toEqual(forwarded);
  const letters = await readAll(jsm, dlqStream(TENANT));
  expect(letters.map((e) => e.data)).toEqual(
    events.filter((e) => e.subject === "acme.bad.x").map((e) => e.data),
  );
}

/** A manager that writes down what it is asked for. */
function listened(jsm: JetStreamManager, asked: string[]): JetStreamManager {
  const part = <K extends "streams" | "consumers">(name: K): JetStreamManager[K] =>
    new Proxy(jsm[name], {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          asked.push(`${name}.${String(key)} ${JSON.stringify(args[1] ?? "")}`);
          return value.apply(target, args) as unknown;
        };
      },
    });
  const parts = { streams: part("streams"), consumers: part("consumers") };
  return new Proxy(jsm, {
    get: (target, key) =>
      key === "streams" || key === "consumers" ? parts[key] : (Reflect.get(target, key) as unknown),
  });
}

function spawnWorker(url: string): ChildProcess {
  return spawn(process.execPath, [join(import.meta.dir, "flow_worker_process.ts"), url, DECIDE_US], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

const lastPosition = async (jsm: JetStreamManager): Promise<number> => {
  const info = await jsm.streams.info(viewStream(TENANT, POLICY));
  return info.state.last_seq;
};

describe("a view", () => {
  test(
    "holds each event once and in order although its worker is killed again and again",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      const publishing = publishAll(nc, events);
      let kills = 0;
      while ((await lastPosition(jsm)) < forwarded.length) {
        const worker = spawnWorker(server.url);
        const before = await lastPosition(jsm);
        const until_ = kills < 8 ? before + 100 + Math.floor(Math.random() * 500) : forwarded.length;
        await until(
          async () => (await lastPosition(jsm)) >= Math.min(until_, forwarded.length),
          "some more is stored",
          60_000,
        );
        await kill(worker);
        kills++;
      }
      await publishing;
      expect(kills).toBeGreaterThan(5);
      // The last letters may follow the last event.
      await using view = startTestView(nc, jsm);
      await until(() => view.stats().position === EVENTS, "all is dealt with");
      await expectExactlyOnce(jsm);
    },
    TIMEOUT,
  );

  test(
    "holds each event once and in order although the server is killed again and again",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      await using view = startTestView(nc, jsm);
      // A view is through with all that there is sooner than anybody looks: there is more for each kill.
      const part = EVENTS / 4;
      for (let kills = 0; kills < 4; kills++) {
        await publishAll(nc, events.slice(kills * part, (kills + 1) * part));
        const next = kills * part + 1 + Math.floor(Math.random() * (part / 2));
        await until(() => view.stats().position >= next, "some more is dealt with", 30_000);
        await server.kill();
        await server.up();
        await until(
          async () =>
            await jsm.streams.info(outStream(TENANT)).then(
              () => true,
              () => false,
            ),
          "the stream",
        );
      }
      await until(() => view.stats().position === EVENTS, "all is dealt with", 60_000);
      expect(view.stats().restarts).toBeGreaterThan(2);
      await expectExactlyOnce(jsm);
    },
    TIMEOUT,
  );

  test(
    "asks nothing while there is no server, and takes its reader away when there is one again",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      const asked: string[] = [];
      await using view = startTestView(nc, listened(jsm, asked));
      await publishAll(nc, events.slice(0, 100));
      await until(() => view.stats().position === 100, "all is dealt with");
      await server.kill();
      await until(() => view.stats().state === "starting", "the view to notice");
      asked.length = 0;
      await Bun.sleep(1000);
      expect(asked).toEqual([]);
      await server.up();
      await until(() => view.stats().state === "running", "the view to run again", 30_000);
      expect(asked[0]).toStartWith("consumers.delete");
      expect(asked.at(-1)).toStartWith("consumers.add");
      expect(asked.filter((request) => request.startsWith("consumers.add"))).toHaveLength(1);
    },
    TIMEOUT,
  );

  test(
    "asks nothing when it is made while there is no server, and runs when there is one",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      await publishAll(nc, events.slice(0, 100));
      await server.kill();
      await until(
        () =>
          nc.rtt().then(
            () => false,
            () => true,
          ),
        "the connection is lost",
      );
      const asked: string[] = [];
      await using view = startTestView(nc, listened(jsm, asked));
      await Bun.sleep(1000);
      expect(asked).toEqual([]);
      await server.up();
      await until(() => view.stats().position === 100, "all is dealt with", 30_000);
      expect(asked.filter((request) => request.startsWith("consumers.add"))).toHaveLength(1);
      expect(view.stats().lastError).toBe(null);
    },
    TIMEOUT,
  );

  test(
    "is filled by one of two workers, and by the other when the first goes away",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      const first = spawnWorker(server.url);
      await publishAll(nc, events.slice(0, 2000));
      await using second = startTestView(await server.connect(), jsm);
      await publishAll(nc, events.slice(2000, 6000));
      await Bun.sleep(3000);
      await kill(first);
      await publishAll(nc, events.slice(6000));
      await until(() => second.stats().position === EVENTS, "the second has done the rest", 60_000);
      expect(second.stats().state).toBe("running");
      await expectExactlyOnce(jsm);
    },
    TIMEOUT,
  );

  test(
    "stays in standby and says so while another worker is at it",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      await using a = startTestView(await server.connect(), jsm);
      await until(() => a.stats().state === "running", "the first runs");
      await using b = startTestView(await server.connect(), jsm);
      let done = false;
      const publishing = (async () => {
        for (let i = 0; !done; i++) {
          await publishAll(nc, [event(i)]);
          await Bun.sleep(5);
        }
      })();
      const standby = () => [a, b].filter((view) => view.stats().state === "standby");
      await until(() => standby().length === 1, "one is in standby", 30_000);
      expect(standby()[0]?.stats().lastError).toContain("Another worker fills this view");
      done = true;
      await publishing;
      const out = (await jsm.streams.info(outStream(TENANT))).state.last_seq;
      await until(() => Math.max(a.stats().position, b.stats().position) === out, "all is dealt with");
      const stored = (await readView(jsm)).map((e) => Number(e.headers["Leafmesh-Position"]));
      expect(stored).toEqual([...new Set(stored)].sort((x, y) => x - y));
    },
    TIMEOUT,
  );
});

describe("FencedWriter", () => {
  test(
    "refuses a writer whose stream was written to meanwhile",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm);
      const message = (data: string) => ({
        subject: new TextEncoder().encode("tokyo~eu.acme.x"),
        head: new Uint8Array(0),
        headTo: 0,
        tail: new TextEncoder().encode("\r\n"),
        tailFrom: 0,
        data: new TextEncoder().encode(data),
      });
      const ends: string[] = [];
      let stored = 0;
      const writer = (lastSequence: number) =>
        new FencedWriter({
          nc,
          lastSequence,
          onReady: () => {},
          onStored: (ordinal) => {
            stored = ordinal;
          },
          onFailed: (failure) => ends.push(failure.type),
        });
      const stale = writer(0);
      stale.append(message("a1"));
      await until(() => stale.ready, "the first message is stored");
      stale.append(message("a2"));
      await until(async () => (await lastPosition(jsm)) === 2, "both are stored");
      // The other one takes over while the first one still writes.
      const fresh = writer(2);
      fresh.append(message("b1"));
      await until(() => fresh.ready, "its first message is stored");
      stale.append(message("a3"));
      await until(() => ends.length === 1, "the stale writer is refused");
      expect(ends).toEqual(["fenced"]);
      fresh.append(message("b2"));
      await fresh.drain();
      expect(stored).toBe(2);
      fresh.close();
      expect((await readView(jsm)).map((e) => e.data)).toEqual(["a1", "a2", "b1", "b2"]);
    },
    TIMEOUT,
  );

  test(
    "says why it cannot write",
    async () => {
      await using server = await TestServer.start();
      const nc = await server.connect();
      const jsm = await jetstreamManager(nc);
      await createStreams(jsm, { view: { max_msg_size: 1000 } });
      const failure = (subject: string, size: number, lastSequence = 0) =>
        new Promise<string>((resolve) => {
          const writer = new FencedWriter({
            nc,
            lastSequence,
            onReady: () => {},
            onStored: () => {},
            onFailed: (why) => resolve(why.type),
          });
          writer.append({
            subject: new TextEncoder().encode(subject),
            head: new Uint8Array(0),
            headTo: 0,
            tail: new TextEncoder().encode("\r\n"),
            tailFrom: 0,
            data: new Uint8Array(size),
          });
        });
      expect(await failure("tokyo~eu.acme.x", 2000)).toBe("message_too_large");
      expect(await failure("tokyo~eu.acme.x", 10, 5)).toBe("fenced");
      expect(await failure("nobody.listens", 10)).toBe("no_responders");
      const info = await jsm.streams.info(viewStream(TENANT, POLICY));
      await jsm.streams.update(info.config.name, { ...info.config, max_msgs: 0, max_bytes: 1200 });
      let ends = "";
      for (let i = 0; i < 5 && ends !== "stream_full"; i++) {
        const last = (await jsm.streams.info(info.config.name)).state.last_seq;
        ends = await Promise.race([
          failure("tokyo~eu.acme.x", 700, last),
          Bun.sleep(300).then(() => "stored"),
        ]);
      }
      expect(ends).toBe("stream_full");
    },
    TIMEOUT,
  );
});
