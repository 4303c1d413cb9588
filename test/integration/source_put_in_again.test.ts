/**
 * Sources that are taken out and put in again, or whose server waits to ask: a server asks for a RESET when a source attaches, and waits
 * for the answer, whatever happens to the source meanwhile.
 */
import { expect, test } from "bun:test";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { type ApplyContext, applyStep } from "../../src/control/apply.ts";
import { SourceWaits } from "../../src/control/source_waits.ts";
import { NamedTurns } from "../../src/control/turns.ts";
import { Waiting } from "../../src/control/waiting.ts";
import { nanos } from "../../src/model/units.ts";
import { consumerResetSubject } from "../../src/nats/consumer_reset.ts";
import { waitFor } from "../support/wait_for.ts";
import { TestServer } from "./flow_support.ts";

const API = "mesh.tokyo.API";
const DELIVER = "mesh.tokyo.deliver.berlin.out_acme";
const SOURCE = {
  name: "out_acme",
  external: { api: API, deliver: "" },
  consumer: { name: "berlin", deliver_subject: DELIVER },
};
const SILENT = { type: "reattach-source", account: { type: "mesh" }, stream: "in_acme", api: API } as const;

/** A stream, its consumer for berlin, and what sources it; who asks for a RESET is answered by the test. */
async function start(nc: NatsConnection, mesh: JetStreamManager): Promise<Asked[]> {
  await mesh.streams.add({ name: "out_acme", subjects: ["out.>"] });
  await mesh.consumers.add("out_acme", {
    durable_name: "berlin",
    deliver_subject: DELIVER,
    deliver_policy: "all",
    ack_policy: "flow_control",
    flow_control: true,
    idle_heartbeat: nanos(1000),
    max_ack_pending: 1000,
  } as never);
  const asked: Asked[] = [];
  nc.subscribe(`${API}.CONSUMER.RESET.out_acme.berlin`, {
    callback: (_, message) => {
      asked.push(new Asked(nc, message));
    },
  });
  await mesh.streams.add({ name: "in_acme", duplicate_window: 0, sources: [SOURCE] } as never);
  await waitFor(() => asked.length === 1, { what: "the first request" });
  return asked;
}

class Asked {
  readonly #nc: NatsConnection;
  readonly #message: Msg;

  constructor(nc: NatsConnection, message: Msg) {
    this.#nc = nc;
    this.#message = message;
  }

  async answer(): Promise<void> {
    const asked = headers();
    asked.set("Nats-Stream-Identity", "-");
    const subject = consumerResetSubject("out_acme", "berlin");
    const { data, headers: answered } = await this.#nc.request(subject, "", {
      timeout: 5000,
      headers: asked,
    });
    this.#message.respond(data, answered === undefined ? {} : { headers: answered });
  }
}

test("a source that is put in again leaves its stream as it was, and its consumer to nobody when it is taken out", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const mesh = await jetstreamManager(nc);
  const asked = await start(nc, mesh);
  const before = (await mesh.streams.info("in_acme")).config;
  const waits = new SourceWaits(() => performance.now());
  const listens = async () => false;
  const streamTurns = new NamedTurns();
  const context = { mesh, waits, listens, streamTurns, putIn: () => {} } as unknown as ApplyContext;
  const takeOut = async () => await applyStep(context, { ...SILENT, source: "out_acme", by: "anew" });
  const putIn = async () =>
    await applyStep(context, {
      type: "update-stream",
      account: { type: "mesh" },
      spec: { ...before, subjects: [], duplicate_window: 0, sources: [SOURCE] } as never,
      changed: ["sources"],
    });
  await takeOut();
  // The server still waits for an answer.
  await expect(putIn()).rejects.toThrow(Waiting);
  await waitFor(() => putIn().then(() => true), { what: "the source to be put in", deadlineMs: 20_000 });
  await waitFor(() => asked.length === 2, { what: "the second request" });
  const after = (await mesh.streams.info("in_acme")).config;
  expect({ ...after, metadata: {} }).toEqual({ ...before, metadata: {} });
  expect([after.subjects ?? [], after.duplicate_window ?? 0]).toEqual([[], 0]);

  for (const one of asked.slice()) await one.answer();
  const bound = async () => (await mesh.consumers.info("out_acme", "berlin")).push_bound ?? false;
  await waitFor(bound, { what: "the source to attach", deadlineMs: 20_000 });
  await takeOut();
  await waitFor(async () => !(await bound()), { what: "nobody to take what the consumer delivers" });
}, 60_000);

test("a source beside which somebody still listens is not put in; what is taken out with it does not wait for that", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const mesh = await jetstreamManager(nc);
  await start(nc, mesh);
  const other = {
    ...SOURCE,
    name: "view_acme_out",
    consumer: { name: "berlin", deliver_subject: `${DELIVER}.view` },
  };
  let listens = true;
  const context = {
    mesh,
    waits: new SourceWaits(() => performance.now()),
    listens: async (subject: string) => listens && subject === other.consumer.deliver_subject,
    streamTurns: new NamedTurns(),
    putIn: () => {},
  } as unknown as ApplyContext;
  const info = async () => (await mesh.streams.info("in_acme")).config;
  const spec = { ...(await info()), subjects: [], duplicate_window: 0, max_msgs: 1000, sources: [other] };
  const replace = async () =>
    await applyStep(context, {
      type: "update-stream",
      account: { type: "mesh" },
      spec: spec as never,
      changed: ["sources", "max_msgs"],
    });
  for (let times = 0; times < 2; times++) {
    await expect(replace()).rejects.toThrow("the server listens to what view_acme_out gives");
    expect([(await info()).sources ?? [], (await info()).max_msgs]).toEqual([[], 1000]);
  }
  listens = false;
  await replace();
  const { sources, subjects = [], duplicate_window = 0 } = await info();
  expect([sources?.map(({ name }) => name), subjects, duplicate_window]).toEqual([["view_acme_out"], [], 0]);
}, 60_000);

test("a server that waits long before it asks again asks at once when it is woken", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const mesh = await jetstreamManager(nc);
  const asked = await start(nc, mesh);
  await mesh.consumers.pause("out_acme", "berlin", new Date("2200-01-01"));
  const wake = async () =>
    await applyStep(
      {
        mesh,
        wakeSource: (subject: string) => nc.publish(subject, "", { headers: headers(100, "Idle Heartbeat") }),
      } as unknown as ApplyContext,
      { ...SILENT, source: "out_acme", by: "wake" },
    );
  // It gives the first up after five seconds, and would ask again after ten more.
  const began = performance.now();
  await waitFor(
    async () => {
      await wake();
      return asked.length === 2;
    },
    { what: "the second request", deadlineMs: 20_000 },
  );
  expect(performance.now() - began).toBeLessThan(13_000);
}, 60_000);
