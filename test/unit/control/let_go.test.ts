/** When a consumer that counts anew may deliver, against a real server. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ConsumerConfig } from "@nats-io/jetstream";
import type { Subscription } from "@nats-io/transport-node";
import { type ApplyContext, applyStep } from "../../../src/control/apply.ts";
import { Attachments } from "../../../src/control/attachments.ts";
import { type LetGoOptions, letGo } from "../../../src/control/let_go.ts";
import { Waiting } from "../../../src/control/waiting.ts";
import { waitFor } from "../../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const STREAM = "out_acme";
const PEER = "tokyo";
const DELIVER = "deliver.tokyo";
let server: TestJetStream;
let attachments: Attachments;
let isLinked: boolean;
beforeAll(async () => {
  server = await startJetStream();
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});
beforeEach(async () => {
  const { jsm } = server;
  for (const name of await jsm.streams.names().next()) await jsm.streams.delete(name);
  await jsm.streams.add({ storage: "memory", name: STREAM, subjects: ["acme.>"] });
  await add();
  attachments = new Attachments();
  isLinked = true;
});

async function add(): Promise<void> {
  const config = { durable_name: PEER, deliver_subject: DELIVER, ack_policy: "explicit" };
  await server.jsm.consumers.add(STREAM, config as Partial<ConsumerConfig> as ConsumerConfig);
}

const created = async () => (await server.jsm.consumers.info(STREAM, PEER)).created;

async function listens(callback: (listener: Subscription) => void = () => {}): Promise<Subscription> {
  const listener = server.nc.subscribe(DELIVER, { callback: () => callback(listener) });
  const isBound = async () => (await server.jsm.consumers.info(STREAM, PEER)).push_bound === true;
  await waitFor(isBound, { what: "somebody to listen", deadlineMs: 10_000 });
  return listener;
}

const ask = async (how?: LetGoOptions) => {
  const { nc, jsm: mesh } = server;
  return await letGo({ nc, mesh, attachments, linked: async () => isLinked }, STREAM, PEER, how);
};

test("nobody has to let go where nobody listens; where there is no link that is not known", async () => {
  expect(await ask()).toBe(true);
  isLinked = false;
  expect(await ask()).toBe(false);
  await server.jsm.consumers.delete(STREAM, PEER);
  expect(await ask()).toBe(true);
});

test("who listens is told that it has missed something, and has let go when it listens no more", async () => {
  const listener = await listens((one) => one.unsubscribe());
  expect(await ask()).toBe(true);
  expect(listener.isClosed()).toBe(true);
});

test("or when its RESET was passed on, though it listens again already", async () => {
  const listener = await listens(async () => attachments.passed(STREAM, PEER, await created()));
  expect(await ask()).toBe(true);
  listener.unsubscribe();
});

test("who goes on listening, or goes with its link, has not", async () => {
  const deaf = await listens();
  expect(await ask({ withinMs: 300 })).toBe(false);
  deaf.unsubscribe();
  const cut = await listens((one) => {
    isLinked = false;
    one.unsubscribe();
  });
  expect(await ask({ withinMs: 300 })).toBe(false);
  expect(cut.isClosed()).toBe(true);
});

test("who has attached since the consumer was made is asked for nothing", async () => {
  let told = 0;
  const listener = await listens(() => told++);
  attachments.passed(STREAM, PEER, await created());
  expect(await ask({ since: "made" })).toBe(true);
  expect(told).toBe(0);
  // Another consumer of that name.
  await server.jsm.consumers.delete(STREAM, PEER);
  await add();
  expect(await ask({ since: "made", withinMs: 300 })).toBe(false);
  expect(told).toBe(1);
  listener.unsubscribe();
});

test("a consumer waits until then, and is asked for again", async () => {
  await server.jsm.consumers.delete(STREAM, PEER);
  let lets = false;
  const context = { mesh: server.jsm, letGo: async () => lets } as unknown as ApplyContext;
  const create = {
    type: "create-consumer",
    stream: STREAM,
    spec: { durable_name: PEER, ack_policy: "explicit" },
    start: { type: "first" },
    paused: false,
  };
  const made = applyStep(
    { ...context, setbacks: { lastOf: () => null, placed: async () => {} } } as never,
    create as never,
  );
  expect(await made.catch((error: unknown) => error)).toBeInstanceOf(Waiting);
  const isPaused = async () => (await server.jsm.consumers.info(STREAM, PEER)).paused === true;
  const resume = { type: "resume-consumer", stream: STREAM, consumer: PEER } as const;
  expect(await applyStep(context, resume).catch(String)).toContain(
    "tokyo must attach to out_acme again first",
  );
  expect(await isPaused()).toBe(true);
  lets = true;
  await applyStep(context, resume);
  expect(await isPaused()).toBe(false);
});
