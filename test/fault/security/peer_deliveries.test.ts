/** A peer with a valid link that ignores all rules: what it sends and holds up. It poses as others, and sends what no server would send. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { deliverSubject, outStream, rpcSubject } from "../../../src/model/names.ts";
import { readAll } from "../../support/read_all.ts";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, arrives } from "./attempt.ts";
import { besiegePeer, CATALOG, HASH } from "./peer_siege.ts";
import { PEER, type Rogue, SITE } from "./rogue.ts";
import type { World } from "./world.ts";

const { attempt, link, tryEach, resetAnswer } = besiegePeer();

attempt(
  "peer: delivers to sources that are another peer's or another tenant's",
  async (a) =>
    tryEach(a, [
      deliverSubject("austin", SITE, "out_acme"),
      deliverSubject(PEER, SITE, "out_globex"),
      deliverSubject(PEER, "austin", "out_acme"),
      deliverSubject(SITE, "austin", "view_acme_orders"),
      deliverSubject(SITE, PEER, "out_acme"),
    ]),
  { allow: [/^berlin\/marked\/MESH\/mesh\.tokyo\.deliver\.berlin\.out_globex$/] },
);

/** What the site stored and its app heard of a delivered event. */
async function delivered(a: Attacker, w: World, send: (rogue: Rogue) => void): Promise<string[]> {
  const rogue = await link(a);
  await rogue.attach(resetAnswer());
  const jsm = await jetstreamManager(w.at(SITE).control.mesh);
  const before = (await jsm.streams.info("in_acme")).state.last_seq;
  send(rogue);
  rogue.deliver("tokyo.acme.public.last", `${a.mark}last`);
  const stored = await waitFor(
    async () => {
      const all = await readAll(jsm, "in_acme");
      return all.some((message) => message.string() === `${a.mark}last`) ? all : null;
    },
    { what: "the delivery" },
  );
  return stored
    .filter((message) => message.seq > before)
    .map((message) => `${message.subject} ${[...message.header].map(([name]) => name).join()}`);
}
/** A listener in MESH is told the subject that the peer's server names, wherever the event is delivered to. */
const RECEIVED = [
  ...arrives(PEER, "acme", SITE),
  /^berlin\/MESH\/in_acme\/consumer\//,
  /^berlin\/marked\/MESH\//,
];

attempt(
  "peer: sends events in the name of the site itself, of another site, of another tenant",
  async (a, w) => {
    const stored = await delivered(a, w, (rogue) => {
      rogue.deliver("berlin.acme.public.own", a.mark);
      rogue.deliver("austin.acme.public.other", a.mark);
      rogue.deliver("tokyo.globex.public.tenant", a.mark);
    });
    for (const one of stored) if (!one.startsWith("tokyo.acme.")) throw new Error(`Stored: ${one}`);
    return stored.join("; ");
  },
  { allow: RECEIVED },
);

attempt(
  "peer: sends subjects that were not agreed on, short ones, and ones with wildcards",
  async (a, w) => {
    const before = w.inbox(SITE, "acme").length;
    const stored = await delivered(a, w, (rogue) => {
      for (const subject of [
        "tokyo.acme.orders.forged",
        "tokyo.acme.private.x",
        "x",
        "acme",
        "tokyo.acme",
        "tokyo.acme.>",
      ])
        rogue.deliver(subject, a.mark);
    });
    const heard = await waitFor(
      () => {
        const lines = w
          .inbox(SITE, "acme")
          .slice(before)
          .filter((line) => line.startsWith("acme."));
        return lines.some((line) => line.endsWith("last")) ? lines : null;
      },
      { what: "the app to hear the last" },
    );
    const wrong = heard.filter((line) => !line.startsWith("acme.public."));
    if (wrong.length > 0) throw new Error(`The app heard ${wrong.join("; ")}`);
    return stored.join("; ");
  },
  { allow: RECEIVED },
);

attempt(
  "peer: sends headers that servers act on: roll-up, life time, schedules, expectations, batches, sources",
  async (a, w) => {
    const jsm = await jetstreamManager(w.at(SITE).control.mesh);
    const before = (await jsm.streams.info("in_acme")).state;
    const forged: Record<string, string>[] = [
      { "Nats-Rollup": "all" },
      { "Nats-Rollup": "sub" },
      { "Nats-TTL": "1s" },
      { "Nats-TTL": "never" },
      { "Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "berlin.acme.orders.forged" },
      { "Nats-Expected-Stream": "other", "Nats-Expected-Last-Sequence": "99999" },
      { "Nats-Expected-Last-Msg-Id": "none", "Nats-Expected-Last-Subject-Sequence": "7" },
      { "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1" },
      { "Nats-Stream-Source": "out_acme:xxxxxxxx:C=xxxxxxxx 999999 > > x yyyyyyyy" },
      { "Nats-Incr": "+1" },
      { "Nats-Marker-Reason": "Purge" },
      { "KV-Operation": "PURGE" },
      { "Nats-Pending-Messages": "1", Status: "100" },
    ];
    const stored = await delivered(a, w, (rogue) => {
      for (const headers of forged) rogue.deliver("tokyo.acme.public.header", a.mark, headers);
    });
    const after = (await jsm.streams.info("in_acme")).state;
    if (after.first_seq !== before.first_seq) throw new Error("Events were rolled up");
    if (after.messages !== before.messages + stored.length) throw new Error("Events are gone");
    const jumps = (await readAll(jsm, "in_acme")).filter((message) =>
      message.header.values("Nats-Stream-Source").some((value) => value.includes(" 999999 ")),
    );
    if (jumps.length > 0) throw new Error("A forged source was stored");
    return stored.join("; ");
  },
  { allow: RECEIVED },
);

attempt(
  "peer: sends one event twice, and events out of order",
  async (a, w) => {
    const rogue = await link(a);
    await rogue.attach(resetAnswer());
    const jsm = await jetstreamManager(w.at(SITE).control.mesh);
    const { state } = await jsm.streams.info("in_acme");
    const to = deliverSubject(PEER, SITE, outStream("acme"));
    const send = (sequence: number, consumer: number) =>
      rogue.leaf.publish(
        to,
        `${a.mark}${sequence}`,
        `$JS.ACK.tokyo.${HASH}.out_acme.berlin.1.${sequence}.${consumer}.${Date.now() * 1e6}.0@tokyo.acme.public.x`,
      );
    send(5001, 1);
    send(5001, 2);
    send(4000, 3);
    send(5002, 1);
    await rogue.leaf.ping();
    await a.settle();
    const texts = (await readAll(jsm, "in_acme"))
      .filter((message) => message.seq > state.last_seq)
      .map((message) => message.string());
    if (new Set(texts).size !== texts.length) throw new Error(`Stored twice: ${texts.join()}`);
    if (texts.includes(`${a.mark}4000`)) throw new Error("What went back was stored");
    return `stored once: ${texts.join()}`;
  },
  { allow: RECEIVED },
);

attempt("peer: sends a message larger than the server takes", async (a) => {
  const rogue = await link(a);
  rogue.leaf.send(`LMSG ${rpcSubject(SITE, PEER, "sync")} ${64 * 1024 * 1024}\r\n`);
  await waitFor(() => rogue.leaf.closed, { what: "the link to be cut" });
  return rogue.leaf.lines.find((line) => line.startsWith("-ERR")) ?? "cut";
});

attempt(
  "peer: takes delivery and never reads",
  async (a, w) => {
    const rogue = await link(a);
    rogue.leaf.subscribe(deliverSubject(SITE, PEER, "out_acme"));
    await rogue.leaf.ping();
    rogue.leaf.pause();
    const nc = await w.at(SITE).site.app("acme");
    const large = `${a.mark}${"x".repeat(500_000)}`;
    for (let i = 0; i < 60; i++) await jetstream(nc).publish("acme.catalog.large", large);
    await nc.close();
    await waitFor(() => w.inbox("austin", "acme").filter((line) => line.includes(a.mark)).length >= 60, {
      what: "austin to get all",
      deadlineMs: 30_000,
    });
    return "austin got all sixty";
  },
  { allow: [...CATALOG, /^berlin\/server$/] },
);

// From here on the site hears what is not signed as it should be, and holds all routes with the peer.
const _HOLDS = [
  /^berlin\/MESH\/in_acme\/config$/,
  /^berlin\/MESH\/out_acme\/consumer\/tokyo\/(config|position)$/,
  /^berlin\/MESH\/KV_leafmesh_state\/state$/,
];
