import { describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { listDeadLetters, removeDeadLetter } from "../../src/flow/dead_letters.ts";
import type { View } from "../../src/flow/view_worker.ts";
import type { Decision, MeshEvent } from "../../src/model/event.ts";
import { dlqStream, STATE_BUCKET, stateKey, viewStream } from "../../src/model/names.ts";
import {
  createStreams,
  decideBySubject,
  forwardAll,
  POLICY,
  publishAll,
  readAll,
  readView,
  SITE,
  startTestView,
  TENANT,
  TestServer,
  until,
} from "./flow_support.ts";

const TIMEOUT = 120_000;

async function prepare(server: TestServer): Promise<{ nc: NatsConnection; jsm: JetStreamManager }> {
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await createStreams(jsm);
  await new Kvm(jetstream(nc)).create(STATE_BUCKET, { history: 64 });
  return { nc, jsm };
}

function start(nc: NatsConnection, jsm: JetStreamManager, decide: (event: MeshEvent) => Decision): View {
  return startTestView(nc, jsm, { decide });
}

const sequencesOf = async (jsm: JetStreamManager): Promise<number[]> =>
  (await listDeadLetters(jsm, TENANT, { limit: 500 })).letters.map(({ sequence }) => sequence);

describe("redrive", () => {
  test(
    "forwards what the policy of now forwards, with id, headers and order, and leaves the position alone",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      let view = start(nc, jsm, decideBySubject);
      await publishAll(nc, [
        { subject: "acme.bad.a", data: "1", id: "one" },
        { subject: "acme.ok.a", data: "2" },
        { subject: "acme.bad.a", data: "3" },
        { subject: "acme.bad.deny", data: "4" },
        { subject: "acme.bad.still", data: "5" },
        { subject: "acme.ok.none", data: "6" },
      ]);
      await until(() => view.stats().position === 6, "all is dealt with");
      const sequences = await sequencesOf(jsm);
      expect(sequences).toHaveLength(4);
      view.setDecider((event) => {
        if (event.subject.endsWith(".a")) return forwardAll(event);
        return event.subject.endsWith(".deny")
          ? decideBySubject({ ...event, subject: "acme.drop" })
          : decideBySubject(event);
      }, "v2");

      const dry = await view.redrive(sequences, true);
      expect(dry.map((one) => one?.type)).toEqual(["forwarded", "forwarded", "dropped", "kept"]);
      expect(await readView(jsm)).toHaveLength(1);
      expect(await sequencesOf(jsm)).toEqual(sequences);

      const results = await view.redrive(sequences, false);
      expect(results).toEqual([
        { type: "forwarded" },
        { type: "forwarded" },
        { type: "dropped", reason: "denied" },
        { type: "kept", reason: "payload_not_json", error: "not JSON\r\nat byte 1" },
      ]);
      expect(await view.redrive(sequences.slice(0, 2), false)).toEqual([{ type: "gone" }, { type: "gone" }]);
      expect(await sequencesOf(jsm)).toEqual(sequences.slice(3));
      expect(view.stats()).toMatchObject({ redriven: 2, forwarded: 1, quarantined: 4, position: 6 });

      // The next worker goes on where this one was: not where the redriven events once were.
      await view.stop();
      view = start(nc, jsm, forwardAll);
      await publishAll(nc, [{ subject: "acme.ok.b", data: "7" }]);
      await until(() => view.stats().position === 7, "the next event is dealt with");
      const stored = await readView(jsm);
      expect(stored.map((one) => one.data)).toEqual(["2", "1", "3", "7"]);
      expect(stored.map((one) => one.headers["Leafmesh-Position"])).toEqual(["2", "6", "6", "7"]);
      expect(stored.map((one) => one.headers["Leafmesh-Policy"])).toEqual(["v1", "v2", "v2", "v1"]);
      expect(stored[1]?.headers["Nats-Msg-Id"]).toBe("one");
      expect(stored[2]?.headers["Nats-Msg-Id"]).toMatch(/^tokyo\.out_acme\.[0-9a-z]+\.3$/);
      expect(stored.map((one) => one.headers["Leafmesh-Redriven"])).toEqual([
        undefined,
        String(sequences[0]),
        String(sequences[1]),
        undefined,
      ]);
      await view.stop();
    },
    TIMEOUT,
  );

  test(
    "sends each dead letter once although its worker is killed again and again",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const letters = 400;
      await using first = start(nc, jsm, decideBySubject);
      await publishAll(
        nc,
        Array.from({ length: letters }, (_, i) => ({
          subject: `acme.bad.${i % 7}`,
          data: `${i}`,
          ...(i % 2 === 0 ? { id: `id-${i}` } : {}),
        })),
      );
      await until(() => first.stats().quarantined === letters, "all are dead letters");
      await first.stop();
      let kills = 0;
      let live = 0;
      const stored = async () => (await jsm.streams.info(viewStream(TENANT, POLICY))).state.last_seq;
      while ((await sequencesOf(jsm)).length > 0) {
        const child = spawn(
          process.execPath,
          [join(import.meta.dir, "flow_redrive_process.ts"), server.url],
          {
            stdio: ["ignore", "ignore", "inherit"],
          },
        );
        // Events of now go between those of before.
        await publishAll(nc, [{ subject: "acme.ok.live", data: `live ${live++}` }]);
        const goal = (await stored()) + 5 + Math.floor(Math.random() * 80);
        await until(
          async () => (await stored()) >= goal || (await sequencesOf(jsm)).length === 0,
          "some are redriven",
          30_000,
        );
        const gone = new Promise((resolve) => child.once("exit", resolve));
        child.kill("SIGKILL");
        await gone;
        kills++;
      }
      expect(kills).toBeGreaterThan(2);
      await using last = start(nc, jsm, forwardAll);
      await until(() => last.stats().position === letters + live, "all is dealt with");
      const view = await readView(jsm);
      const redriven = view.filter((one) => one.headers["Leafmesh-Redriven"] !== undefined);
      expect(redriven.map((one) => one.data).toSorted((a, b) => Number(a) - Number(b))).toEqual(
        Array.from({ length: letters }, (_, i) => `${i}`),
      );
      for (let key = 0; key < 7; key++) {
        const of = redriven
          .filter((one) => one.subject.endsWith(`.bad.${key}`))
          .map((one) => Number(one.data));
        expect(of).toEqual(of.toSorted((a, b) => a - b));
      }
      expect(view.filter((one) => one.data.startsWith("live")).map((one) => one.data)).toEqual(
        Array.from({ length: live }, (_, i) => `live ${i}`),
      );
      const positions = view.map((one) => Number(one.headers["Leafmesh-Position"]));
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    },
    TIMEOUT,
  );

  test(
    "removes what the view has stored when the worker ended before it could",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      await using view = start(nc, jsm, decideBySubject);
      await publishAll(nc, [
        { subject: "acme.bad.a", data: "1" },
        { subject: "acme.bad.b", data: "2" },
      ]);
      await until(() => view.stats().quarantined === 2, "both are dead letters");
      await view.stop();
      const [first = 0, second = 0] = await sequencesOf(jsm);
      // As a crash leaves it: noted, stored in the view, not removed.
      const { data } = (await readAll(jsm, dlqStream(TENANT)))[0]!;
      const kv = await new Kvm(jetstream(nc)).open(STATE_BUCKET);
      await kv.put(stateKey.redrive(TENANT, POLICY), JSON.stringify({ after: 0, letters: [first, second] }));
      const { headers } = await import("@nats-io/transport-node");
      const mark = headers();
      mark.set("Leafmesh-Position", "2");
      mark.set("Leafmesh-Redriven", String(first));
      await jetstream(nc).publish(`${SITE}~${POLICY}.acme.bad.a`, data, { headers: mark });

      await using next = start(nc, jsm, forwardAll);
      await until(async () => (await sequencesOf(jsm)).length === 1, "the stored one is removed");
      expect(await next.redrive([first, second], false)).toEqual([{ type: "gone" }, { type: "forwarded" }]);
      expect((await readView(jsm)).map((one) => one.data)).toEqual(["1", "2"]);
      // With a message of its own in the view, nothing can come of the worker before.
      const noted = async () => (await kv.get(stateKey.redrive(TENANT, POLICY)))?.string();
      await until(async () => (await noted()) === '{"after":0,"letters":[]}', "nothing is noted any more");
    },
    TIMEOUT,
  );

  test(
    "goes on when all that the view held behind a note is erased",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      await using view = start(nc, jsm, decideBySubject);
      await publishAll(nc, [
        { subject: "acme.ok.a", data: "1" },
        { subject: "acme.bad.a", data: "2" },
        { subject: "acme.ok.a", data: "3" },
      ]);
      await until(() => view.stats().position === 3, "all is dealt with");
      await view.stop();
      const letters = await sequencesOf(jsm);
      // As a crash leaves it, and an erasure after it.
      const kv = await new Kvm(jetstream(nc)).open(STATE_BUCKET);
      await kv.put(stateKey.redrive(TENANT, POLICY), JSON.stringify({ after: 1, letters }));
      await jsm.streams.deleteMessage(viewStream(TENANT, POLICY), 2);

      await using next = start(nc, jsm, forwardAll);
      await until(() => next.stats().state === "running", "it runs");
      expect(await next.redrive(letters, false)).toEqual([{ type: "forwarded" }]);
      expect((await readView(jsm)).map((one) => one.data)).toEqual(["1", "2"]);
      expect(await sequencesOf(jsm)).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "keeps what is not all there, and says that the view does not run",
    async () => {
      await using server = await TestServer.start();
      const { nc, jsm } = await prepare(server);
      const view = start(nc, jsm, decideBySubject);
      await publishAll(nc, [{ subject: "acme.bad.a", data: "1" }]);
      await until(() => view.stats().quarantined === 1, "it is a dead letter");
      const [sequence = 0] = await sequencesOf(jsm);
      const letter = await jsm.streams.getMessage(dlqStream(TENANT), { seq: sequence });
      const { headers } = await import("@nats-io/transport-node");
      const copy = headers();
      for (const [name, values] of letter?.header ?? []) copy.set(name, values[0] ?? "");
      copy.set("Leafmesh-Dlq-Truncated", "0 99");
      copy.set("Nats-Msg-Id", "cut");
      await jetstream(nc).publish("dlq.acme.bad.a", "1", { headers: copy });
      view.setDecider(forwardAll, "v2");
      const cut = (await sequencesOf(jsm)).at(-1) ?? 0;
      expect(await view.redrive([cut], false)).toEqual([
        {
          type: "kept",
          reason: "incomplete",
          error: "Only a part of the event is kept: it was too large for a dead letter",
        },
      ]);
      expect(await removeDeadLetter(jsm, TENANT, cut)).toBe(true);
      expect(await removeDeadLetter(jsm, TENANT, cut)).toBe(false);
      await view.stop();
      expect(view.redrive([sequence], false)).rejects.toThrow("View 'eu' is stopped");
      expect(await sequencesOf(jsm)).toEqual([sequence]);
    },
    TIMEOUT,
  );
});
