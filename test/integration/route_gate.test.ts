/** A source that attaches is told where it goes on, and never that it has what was not delivered to it. */
import { expect, test } from "bun:test";
import { type AckPolicy, DeliverPolicy, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { headers, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { Attachments } from "../../src/control/attachments.ts";
import { GhostInterest } from "../../src/control/ghost_interest.ts";
import { RouteGate } from "../../src/control/route_gate.ts";
import { routeResetSubject } from "../../src/model/names.ts";
import { nanos } from "../../src/model/units.ts";
import { type ResetTo, resetConsumer } from "../../src/nats/consumer_reset.ts";
import { waitFor } from "../support/wait_for.ts";
import { publishAll, TestServer } from "./flow_support.ts";

const STREAM = "out_acme";
const PEER = "austin";
const DELIVER = "deliver.austin";
const EVENTS = 20_000;
const ROUNDS = 12;
const RESET = routeResetSubject("berlin", STREAM, PEER);

interface Answer {
  readonly delivered: { readonly stream_seq: number };
  readonly reset_seq: number;
}

async function fill(nc: NatsConnection, jsm: JetStreamManager): Promise<void> {
  await jsm.streams.add({ name: STREAM, subjects: ["tokyo.acme.>"] });
  await publishAll(
    nc,
    Array.from({ length: EVENTS }, (_, n) => ({ subject: "acme.x", data: `event ${n}` })),
  );
  await jsm.consumers.add(STREAM, {
    durable_name: PEER,
    deliver_subject: DELIVER,
    deliver_policy: DeliverPolicy.All,
    ack_policy: "flow_control" as AckPolicy,
    flow_control: true,
    idle_heartbeat: nanos(1000),
    max_ack_pending: 65_000,
  });
}

async function openGate(
  nc: NatsConnection,
  mesh: JetStreamManager,
  said: (text: string) => void = () => {},
): Promise<RouteGate> {
  const log = (_: string, text: string) => said(text);
  const relink = async (peer: string) => said(`${peer} is linked anew`);
  const ghosts = new GhostInterest({
    now: () => performance.now(),
    relink,
    linked: async () => true,
    consumer: async () => ({ bound: true, paced: false }),
    server: () => ({ id: "N", name: "berlin", alone: true }),
    log: () => {},
  });
  const gate = new RouteGate({ site: "berlin", nc, mesh, attachments: new Attachments(), ghosts, log });
  await nc.flush();
  return gate;
}

/** Takes what the consumer delivers, and lets it go on. */
class Listener {
  events = 0;
  readonly #subscription: Subscription;

  constructor(nc: NatsConnection) {
    this.#subscription = nc.subscribe(DELIVER, {
      callback: (_, message) => {
        const stalled = message.headers?.get("Nats-Consumer-Stalled") ?? "";
        if (message.data.length > 0) this.events++;
        else if (message.reply) nc.publish(message.reply);
        else if (stalled !== "") nc.publish(stalled);
      },
    });
  }

  end(): void {
    this.#subscription.unsubscribe();
  }
}

test("a consumer that delivers is not set back before it has stopped, and the answer is exact", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const peer = await server.connect();
  const jsm = await jetstreamManager(nc);
  await fill(nc, jsm);
  const said: string[] = [];
  using _gate = await openGate(nc, jsm, (text) => said.push(text));

  // While somebody listens it is not done at all.
  const listening = new Listener(peer);
  await waitFor(() => listening.events > 0, { what: "the first event" });
  await expect(peer.request(RESET, "", { timeout: 4000 })).rejects.toThrow("timeout");
  expect(said).toEqual([
    "austin asks to attach to out_acme again, which still delivers to it: it will ask again",
    "austin is linked anew",
  ]);
  listening.end();
  await peer.request(RESET, "", { timeout: 5000 });

  // As a server does it: it listens no more and asks, over one connection, while the consumer delivers as fast as it can.
  for (let round = 0; round < ROUNDS; round++) {
    const listener = new Listener(peer);
    await waitFor(() => listener.events > 0, { pollMs: 1, what: "an event" });
    listener.end();
    const answer = (await peer.request(RESET, "", { timeout: 5000 })).json<Answer>();
    expect([round, answer.delivered.stream_seq]).toEqual([round, answer.reset_seq - 1]);
  }
}, 60_000);

test("who asks what stream it is, is told, also where it knows of none yet", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await fill(nc, jsm);
  using _gate = await openGate(nc, jsm);
  const ask = async (value: string | null) => {
    const asked = headers();
    if (value !== null) asked.set("Nats-Stream-Identity", value);
    const { headers: answered } = await nc.request(RESET, "", { timeout: 5000, headers: asked });
    return answered?.get("Nats-Stream-Identity") ?? "";
  };
  const identity = await ask("-");
  expect(identity).not.toBe("");
  // A server that attaches for the first time asks with an empty value.
  expect(await ask("")).toBe(identity);
  expect(await ask("of another stream")).toBe(identity);
  expect(await ask(null)).toBe("");
}, 30_000);

test("one that is not there is asked for as it is, and a flood is answered with nothing", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: STREAM, subjects: ["tokyo.acme.>"] });
  using _gate = await openGate(nc, jsm);
  // Nobody is there to answer: the server says so.
  await expect(nc.request(RESET, "", { timeout: 4000 })).rejects.toThrow();
  await expect(nc.request(RESET, "x".repeat(300), { timeout: 500 })).rejects.toThrow("timeout");
}, 30_000);

test("one that goes back further than it began goes on where it began, and its peer is told of that", async () => {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name: STREAM, subjects: ["tokyo.acme.>"] });
  await publishAll(
    nc,
    Array.from({ length: 20 }, (_, n) => ({ subject: "acme.x", data: `event ${n}` })),
  );
  await jsm.consumers.add(STREAM, {
    durable_name: PEER,
    deliver_subject: DELIVER,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: 11,
    ack_policy: "flow_control" as AckPolicy,
    flow_control: true,
    idle_heartbeat: nanos(1000),
  });
  using _gate = await openGate(nc, jsm);
  const ask = (to: ResetTo) => resetConsumer(nc, RESET, to, { timeoutMs: 5000, code: "apply_failed" });
  await expect(ask(5)).rejects.toThrow("Consumer does not go on");
  const next = async () => (await jsm.consumers.info(STREAM, PEER)).ack_floor.stream_seq + 1;
  for (const [least, first] of [
    [4, 11],
    [14, 15],
  ] as const) {
    expect(await ask({ least })).toMatchObject({ beginsAfter: 10 });
    expect(await next()).toBe(first);
  }
  expect((await ask(null)).beginsAfter).toBeNull();
}, 30_000);
