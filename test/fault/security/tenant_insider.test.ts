/**
 * Users of acme against acme's own log, which lies in their own account: each role with all that it may do there. The log must
 * hold each of the site's events, once and in order, whatever they try.
 */
import { afterEach, describe, expect } from "bun:test";
import { type ConsumerConfig, jetstream, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import {
  flowControlSubject,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  logDeliverSubject,
  outStream,
  tenantApiPrefix,
} from "../../../src/model/names.ts";
import type { SiteFile } from "../../../src/model/schema/site.ts";
import type { TenantUser } from "../../../src/model/schema/user.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { letIn } from "../../support/let_in.ts";
import { readAll } from "../../support/read_all.ts";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, besiege, publishes } from "./attempt.ts";

const KEYS = new Map(["insider", "own", "reader", "pub"].map((name) => [name, createSigningKey()] as const));
const keyOf = (name: string) => KEYS.get(name) ?? createSigningKey();
const user = (name: string, more: Partial<TenantUser>): TenantUser => ({
  name,
  key: keyOf(name).publicKey,
  ...more,
});
const USERS = [
  user("insider", { role: "app" }),
  user("own", { role: "owner" }),
  user("reader", { role: "subscriber", subjects: ["acme.local.>"], log: true }),
  user("pub", { role: "publisher", subjects: ["acme.local.>"] }),
];

const edit = (file: SiteFile): SiteFile => ({
  ...file,
  ...(file.site === "berlin" && file.tenants !== undefined
    ? {
        tenants: file.tenants.map((tenant) =>
          tenant.tenant === "acme" ? { ...tenant, users: [...(tenant.users ?? []), ...USERS] } : tenant,
        ),
      }
    : {}),
});
const siege = besiege({ edit });
/** What acme's users do in their own account, and what they publish there, is theirs. */
const OWN = [...publishes("berlin", "acme"), /^berlin\/T_acme\/acme\/consumer\/user_reader\//];
const attempt: typeof siege.attempt = (name, attack) => siege.attempt(name, attack, { allow: OWN });

const RESET = `${LOG_API_PREFIX}.CONSUMER.RESET.${outStream("acme")}.${LOG_CONSUMER}`;
const DELIVER = logDeliverSubject("acme", outStream("acme"));
const FLOW = flowControlSubject("berlin", outStream("acme"), LOG_CONSUMER).replace(">", "abcd");
const AHEAD = '{"seq":1000000}';
const BODIES = [AHEAD, '{"seq":1}', ""];

async function as(a: Attacker, name: string): Promise<NatsConnection> {
  const nc = await letIn({
    servers: a.world.at("berlin").site.file.server?.listen ?? "",
    authenticator: keyOf(name).authenticator,
    ...(name === "reader" || name === "pub" ? { inboxPrefix: `_INBOX_.${name}` } : {}),
  });
  a.onEnd(() => nc.close());
  return nc;
}

/** A stream of the insider's own with one message for the server to send. */
async function stream(a: Attacker, nc: NatsConnection, name: string, config: Partial<StreamConfig> = {}) {
  const jsm = await jetstreamManager(nc);
  await jsm.streams.add({ name, subjects: [`${name}.x`], ...config });
  a.onEnd(async () => void (await jsm.streams.delete(name).catch(() => false)));
  return jsm;
}

describe.each(["insider", "own"])("%s", (name) => {
  attempt(`${name}: has push consumers reset the log's, ahead, back and to where it is`, async (a) => {
    const nc = await as(a, name);
    for (const [i, body] of BODIES.entries()) {
      const jsm = await stream(a, nc, `push${i}`);
      const deputy = { durable_name: "deputy", deliver_subject: RESET, ack_policy: "explicit" };
      await jsm.consumers.add(`push${i}`, deputy as ConsumerConfig);
      await jetstream(nc).publish(`push${i}.x`, body);
      await a.settle(nc);
      await jetstream(nc).publish("acme.local.between", a.mark);
    }
    return "the sidecar resets nothing while the log is attached";
  });
  attempt(`${name}: has pulled messages reset the log's, ahead, back and to where it is`, async (a) => {
    const nc = await as(a, name);
    for (const [i, body] of BODIES.entries()) {
      const jsm = await stream(a, nc, `pull${i}`);
      await jsm.consumers.add(`pull${i}`, {
        durable_name: "deputy",
        ack_policy: "explicit",
      } as ConsumerConfig);
      await jetstream(nc).publish(`pull${i}.x`, body);
      nc.publish(`$JS.API.CONSUMER.MSG.NEXT.pull${i}.deputy`, '{"batch":1}', { reply: RESET });
      await a.settle(nc);
      await jetstream(nc).publish("acme.local.between", a.mark);
    }
    return "the sidecar resets nothing while the log is attached";
  });

  attempt(
    `${name}: republishes a reset, and confirms by flow control what the log has not got`,
    async (a) => {
      const nc = await as(a, name);
      const h = headers();
      h.set("Nats-Last-Consumer", "999999");
      h.set("Nats-Last-Stream", "999999");
      for (const [i, dest] of [RESET, FLOW].entries()) {
        await stream(a, nc, `again${i}`, { republish: { src: `again${i}.x`, dest } });
        await jetstream(nc).publish(`again${i}.x`, AHEAD, { headers: h });
      }
      await a.settle(nc);
      return "without a reply, or an id that it has sent, the server does nothing";
    },
  );

  attempt(`${name}: has events from a consumer of another name delivered where the log's are`, async (a) => {
    const nc = await as(a, name);
    const jsm = await stream(a, nc, "beside", { first_seq: 5000 });
    await jsm.consumers.add("beside", {
      durable_name: "other",
      deliver_subject: DELIVER,
      ack_policy: "none",
    } as ConsumerConfig);
    await jsm.consumers.add("beside", { durable_name: "pulled", ack_policy: "none" } as ConsumerConfig);
    await jetstream(nc).publish("beside.x", a.mark);
    nc.publish("$JS.API.CONSUMER.MSG.NEXT.beside.pulled", '{"batch":1}', { reply: DELIVER });
    await a.settle(nc);
    return "they come from a consumer of another name";
  });

  attempt(`${name}: sends the log heartbeats and flow control that its consumer has not sent`, async (a) => {
    const client = await a.raw("berlin", { key: keyOf(name) });
    const nc = await as(a, name);
    await stream(a, nc, "beats", { republish: { src: "beats.x", dest: DELIVER } });
    for (const block of [
      "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 999999\r\nNats-Last-Stream: 999999\r\n\r\n",
      `NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: ${RESET}\r\n\r\n`,
      "NATS/1.0 100 FlowControl Request\r\n\r\n",
    ])
      client.publishHeaders("beats.x", block, "", "");
    await client.ping();
    await a.settle(nc);
    return client.errors || "the log asks its own consumer, and goes on where it was";
  });

  attempt(`${name}: takes in what the server and the log say to each other`, async (a) => {
    const nc = await as(a, name);
    await stream(a, nc, "ear", { subjects: ["mesh.>"] });
    const more = await as(a, name);
    for (let i = 0; i < 5; i++) await jetstream(more).publish("acme.local.heard", a.mark);
    await a.settle(nc);
    return "the log takes its events all the same";
  });
});

attempt("reader: has the server send an event that says so to the log's RESET", async (a) => {
  const pub = await as(a, "pub");
  const reader = await as(a, "reader");
  await jetstream(pub).publish("acme.local.shift", AHEAD);
  for (let i = 0; i < 3; i++)
    reader.publish("$JS.API.CONSUMER.MSG.NEXT.acme.user_reader", '{"batch":10,"expires":100000000}', {
      reply: RESET,
    });
  await a.settle(reader);
  return "the server sets it nowhere else";
});

attempt("reader: has its events delivered to the log once more", async (a) => {
  const pub = await as(a, "pub");
  const reader = await as(a, "reader");
  await jetstream(pub).publish("acme.local.again", a.mark);
  reader.publish("$JS.API.CONSUMER.MSG.NEXT.acme.user_reader", '{"batch":10,"expires":100000000}', {
    reply: DELIVER,
  });
  await a.settle(reader);
  return "they come from a consumer of another name";
});

attempt("pub: has its PubAcks sent to the log's RESET and to where its events are delivered", async (a) => {
  const client = await a.raw("berlin", { key: keyOf("pub") });
  for (const reply of [RESET, DELIVER, FLOW]) client.publish("acme.local.ack", AHEAD, reply);
  await client.ping();
  return client.errors || "an answer has no reply of its own: no request";
});

/** After each attempt: more is published, and the log has all that the site has, once and in order. */
afterEach(async () => {
  const { control, site } = siege.world().at("berlin");
  const nc = await site.app("acme");
  for (let i = 0; i < 3; i++) await jetstream(nc).publish("acme.local.after", String(i));
  await nc.close();
  const mesh = await jetstreamManager(control.mesh, { checkAPI: false });
  const logs = await jetstreamManager(control.mesh, { apiPrefix: tenantApiPrefix("acme"), checkAPI: false });
  const texts = async (jsm: typeof mesh, name: string) =>
    (await readAll(jsm, name))
      .filter(({ subject }) => subject !== "tokyo.acme.public.1")
      .map((message) => `${message.subject} ${message.string()}`);
  const published = await texts(mesh, outStream("acme"));
  const logged = await waitFor(
    async () => {
      const found = await texts(logs, "acme");
      return found.length >= published.length
        ? found
        : Promise.reject(new Error(`${found.length} of ${published.length}`));
    },
    { deadlineMs: 30_000, pollMs: 50, what: "the log to have all events" },
  );
  expect(logged).toEqual(published);
  siege.judge().forget();
}, 60_000);
