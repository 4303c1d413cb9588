/**
 * A peer with a valid link that ignores all rules: tokyo, which may have acme's catalog and may send acme.public.>. It asks
 * for more, poses as others, and sends what no server would send.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { openMessage } from "../../../src/control/envelope.ts";
import {
  accountHash,
  deliverSubject,
  MESH_ACCOUNT,
  outStream,
  rpcSubject,
} from "../../../src/model/names.ts";
import { createSigningKey, type SiteKeys } from "../../../src/nats/keys.ts";
import { RawLeaf } from "../../support/raw_leaf.ts";
import { readAll } from "../../support/read_all.ts";
import { waitFor } from "../../support/wait_for.ts";
import { type Attacker, arrives, besiege, publishes } from "./attempt.ts";
import { PEER, Rogue, SITE } from "./rogue.ts";
import type { World } from "./world.ts";

let keys: SiteKeys;
/** What tokyo's server answered when it was asked to reset berlin's consumer. */
let resetAnswer: string;

const { attempt } = besiege({}, async (world) => {
  const tokyo = world.at(PEER);
  const answer = await tokyo.control.mesh.request("$JS.API.CONSUMER.RESET.out_acme.berlin", "");
  resetAnswer = answer.string();
  keys = await world.abandon(PEER);
});

const HASH = accountHash(MESH_ACCOUNT);
const HELD = new RegExp(`^${SITE}/MESH/out_acme/consumer/${PEER}/position$`);
const DELIVERED = new RegExp(
  `^${SITE}/marked/MESH/mesh\\.(berlin\\.deliver\\.tokyo|tokyo\\.deliver\\.berlin)\\.`,
);

const link = (a: Attacker, connect: Readonly<Record<string, unknown>> = {}) => Rogue.link(a, keys, connect);
const denialOf = (error: string) => {
  if (error === "") throw new Error("There was no answer at all");
  return error;
};

/** Tries each subject over a link of its own: a violation closes it. */
async function tryEach(a: Attacker, subjects: readonly string[], payload?: string): Promise<string> {
  const said: string[] = [];
  for (const subject of subjects) {
    const rogue = await link(a);
    said.push(await rogue.trespass(subject, payload ?? a.mark));
    rogue.end();
  }
  return said.join("; ");
}

/** Publishes at berlin what tokyo may have, and waits until it has come over the rogue's link or the far site's. */
async function catalogEvent(a: Attacker, w: World): Promise<void> {
  const nc = await w.at(SITE).site.app("acme");
  await jetstream(nc).publish("acme.catalog.new", a.mark);
  await nc.close();
}
const CATALOG = [...publishes(SITE, "acme"), ...arrives(SITE, "acme", "austin"), HELD, DELIVERED];

attempt("peer: resets the consumer of another peer", async (a) => {
  const bodies = ['{"seq":1}', '{"seq":1000000}', ""];
  const said: string[] = [];
  for (const stream of ["out_globex", "view_acme_orders"]) {
    for (const body of bodies) {
      const rogue = await link(a);
      if ((await rogue.reset(stream, "austin", body)) !== null) throw new Error("It was answered");
      said.push(await rogue.outcome(`RESET of ${stream}`));
      rogue.end();
    }
  }
  return said.join("; ");
});

attempt("peer: resets the consumers of a log and of a view's worker", async (a) => {
  const said: string[] = [];
  for (const consumer of ["log_", "view_orders", "*", ">", "tokyo.x"]) {
    const rogue = await link(a);
    if ((await rogue.reset("out_acme", consumer, '{"seq":1}')) !== null) throw new Error("It was answered");
    said.push(await rogue.outcome(consumer));
    rogue.end();
  }
  return said.join("; ");
});

attempt(
  "peer: resets its own consumer to the first event to get all history",
  async (a) => {
    const rogue = await link(a);
    rogue.leaf.subscribe(deliverSubject(SITE, PEER, "out_acme"));
    await rogue.leaf.ping();
    const answer = await rogue.reset("out_acme", PEER, '{"seq":1}');
    if (answer === null) throw new Error("The peer may reset its own consumer");
    await waitFor(() => rogue.heard.includes('{"price":1}'), { what: "what the peer may have" });
    await a.settle();
    a.unrevealed(rogue.heard);
    for (const other of ["acme.orders", "acme.private", "globex", "initech"]) {
      if (rogue.heard.includes(`@berlin.${other}`)) throw new Error(`It heard ${other}`);
    }
    return "it gets again what its filter lets pass, and nothing else";
  },
  { allow: [HELD] },
);

attempt(
  "peer: resets its own consumer by numbers, texts and sizes that are none",
  async (a) => {
    const rogue = await link(a);
    const said: string[] = [];
    for (const body of [
      '{"seq":-1}',
      '{"seq":18446744073709551616}',
      '{"seq":"1"}',
      "[]",
      "{",
      "null",
      `{"seq":1,"x":"${"x".repeat(200_000)}"}`,
    ]) {
      const answer = (await rogue.reset("out_acme", PEER, body)) ?? "no answer";
      a.unrevealed(answer);
      said.push(answer.slice(0, 80));
    }
    if (rogue.leaf.closed) return "the link was cut";
    return said.join("; ");
  },
  { allow: [HELD] },
);

attempt("peer: finds out which tenants a site has by resetting consumers of guessed streams", async (a) => {
  const rogue = await link(a);
  const answers = new Set<string>();
  for (const stream of [
    "out_globex",
    "out_initech",
    "out_nobody",
    "dlq_acme",
    "in_globex",
    "KV_leafmesh_state",
  ]) {
    answers.add(String(await rogue.reset(stream, PEER, "")));
  }
  if (answers.size !== 1) throw new Error(`There and not there differ: ${[...answers].join(" | ")}`);
  return `the same for all: ${[...answers].join()}`;
});

attempt("peer: reads names from what the server tells a new link", async (a, w) => {
  const rogue = await link(a);
  const told = rogue.heard.replaceAll(PEER, "").replaceAll(SITE, "");
  const names = ["globex", "initech", "austin", "view_", "dlq", "T_", w.at(SITE).site.folder];
  for (const name of names) if (told.includes(name)) throw new Error(`It names ${name}`);
  return "own plumbing alone";
});

attempt("peer: publishes events of the site, of itself, of tenants, of views and dead letters", async (a) =>
  tryEach(a, [
    "berlin.acme.orders.forged",
    "tokyo.acme.public.forged",
    "acme.public.forged",
    "globex.deals.forged",
    "berlin~orders.acme.orders.forged",
    "dlq.acme.orders.forged",
    "mesh.log.acme.out_acme",
    "out_acme",
    "in_acme",
  ]),
);

attempt("peer: writes into the site's state", async (a) =>
  tryEach(a, [
    "$KV.leafmesh_state.peer.tokyo",
    "$KV.leafmesh_state.export.globex.all",
    "$JS.API.STREAM.MSG.DELETE.KV_leafmesh_state",
    "$JS.berlin.API.$KV.leafmesh_state.site",
  ]),
);

attempt("peer: asks JetStream under all names that it goes by", async (a) =>
  tryEach(
    a,
    [
      "$JS.API.INFO",
      "$JS.API.STREAM.NAMES",
      "$JS.berlin.API.STREAM.LIST",
      "$JS.berlin.API.INFO",
      "mesh.berlin.API.STREAM.NAMES",
      "mesh.berlin.API.STREAM.INFO.out_globex",
      "mesh.berlin.API.CONSUMER.INFO.out_acme.tokyo",
      "mesh.local.acme.API.STREAM.NAMES",
      "mesh.API.CONSUMER.RESET.out_acme.log_",
    ],
    "",
  ),
);

attempt("peer: makes a consumer of its own, and gives its consumer another filter", async (a) => {
  const config = { durable_name: "tokyo", deliver_subject: "mesh.berlin.deliver.tokyo.out_acme" };
  const request = JSON.stringify({ stream_name: "out_acme", config, action: "" });
  return await tryEach(
    a,
    [
      "$JS.API.CONSUMER.CREATE.out_acme.tokyo",
      "$JS.API.CONSUMER.DURABLE.CREATE.out_globex.tokyo",
      "$JS.berlin.API.CONSUMER.CREATE.out_acme.tokyo",
      "mesh.berlin.API.CONSUMER.CREATE.out_acme.tokyo",
    ],
    request,
  );
});

attempt("peer: purges, deletes and changes streams", async (a) =>
  tryEach(
    a,
    ["PURGE", "DELETE", "UPDATE", "SNAPSHOT", "MSG.GET", "LEADER.STEPDOWN"].flatMap((verb) => [
      `$JS.API.STREAM.${verb}.out_acme`,
      `mesh.berlin.API.STREAM.${verb}.out_acme`,
    ]),
    "",
  ),
);

attempt("peer: asks the system account", async (a) =>
  tryEach(
    a,
    [
      "$SYS.REQ.SERVER.PING",
      "$SYS.REQ.SERVER.PING.CONNZ",
      "$SYS.REQ.ACCOUNT.PING.CONNZ",
      "$SYS.REQ.ACCOUNT.PING.STATZ",
      "$SYS.REQ.USER.INFO",
      "$SYS.REQ.ACCOUNT.MESH.CONNZ",
      "$SYS.ACCOUNT.LINK_tokyo.CONNECT",
    ],
    "",
  ),
);

attempt("peer: acknowledges what others have not received", async (a) => {
  const now = Date.now() * 1e6;
  return await tryEach(
    a,
    [
      `$JS.ACK.berlin.${HASH}.out_acme.view_orders.1.3.3.${now}.0`,
      `$JS.ACK.out_acme.view_orders.1.3.3.${now}.0`,
      `$JS.FC.berlin.${HASH}.out_globex.austin.x`,
      `$JS.FC.berlin.${HASH}.out_acme.log_.x`,
      `$JS.FC.berlin.${HASH}.view_acme_orders.austin.x`,
    ],
    "",
  );
});

attempt(
  "peer: confirms by flow control what it never got of its own consumer",
  async (a, w) => {
    const rogue = await link(a);
    const block = "NATS/1.0\r\nNats-Last-Consumer: 999999\r\nNats-Last-Stream: 999999\r\n\r\n";
    rogue.leaf.publishHeaders(`$JS.FC.berlin.${HASH}.out_acme.tokyo.x`, block, "", "");
    const said = await rogue.outcome("flow control");
    const jsm = await jetstreamManager(w.at(SITE).control.mesh);
    const { state } = await jsm.streams.info("out_acme");
    const { ack_floor } = await jsm.consumers.info("out_acme", PEER);
    if (ack_floor.stream_seq > state.last_seq) throw new Error(`The floor is ${ack_floor.stream_seq}`);
    return said;
  },
  { allow: [HELD] },
);

attempt(
  "peer: listens to everything",
  async (a, w) => {
    const rogue = await link(a);
    for (const subject of [">", "acme.>", "berlin.>", "*.acme.>", "mesh.>", "$KV.>", "$JS.>", "$SYS.>"]) {
      rogue.leaf.subscribe(subject);
    }
    const nc = await w.at(SITE).site.app("initech");
    await nc.flush();
    w.at(SITE).control.mesh.publish(deliverSubject(SITE, "austin", "probe"), a.mark);
    await a.settle(nc);
    await nc.close();
    if (!rogue.leaf.closed) await rogue.leaf.ping();
    if (rogue.heard.includes(a.mark)) throw new Error("It heard what is delivered to austin");
    a.unrevealed(rogue.heard);
    return rogue.leaf.lines.find((line) => line.startsWith("-ERR")) ?? "it hears nothing";
  },
  { allow: [/^(berlin|austin)\/marked\/MESH\/mesh\.berlin\.deliver\.austin\.probe$/] },
);

attempt("peer: says that it accepts other tenants, and all subjects of its own", async (a, w) => {
  const rogue = await link(a);
  const accepted = ["acme", "globex", "initech"].map((tenant) => ({
    tenant,
    origin: SITE,
    subjects: [`${tenant}.>`],
    mirror: false,
  }));
  const answer = await rogue.ask("sync", { accepted });
  const known = w.at(SITE).keys.site.publicKey;
  const opened = openMessage(answer, { from: SITE, to: PEER, key: known, sender: SITE });
  const offers = JSON.stringify(opened.body);
  for (const name of ["globex", "initech", "orders", "private"]) {
    if (offers.includes(name)) throw new Error(offers);
  }
  const jsm = await jetstreamManager(w.at(SITE).control.mesh);
  const { config } = await jsm.consumers.info("out_acme", PEER);
  const filters = JSON.stringify(config.filter_subjects ?? config.filter_subject);
  if (filters !== '["berlin.acme.catalog.>"]' && filters !== '"berlin.acme.catalog.>"')
    throw new Error(filters);
  return offers;
});

attempt("peer: asks the sidecar for positions of streams that are not its own", async (a) => {
  const rogue = await link(a);
  const answers = new Set<string>();
  for (const [tenant, stream] of [
    ["globex", "out_globex"],
    ["initech", "out_initech"],
    ["nobody", "out_nobody"],
    ["acme", "view_acme_orders"],
    ["../acme", "KV_leafmesh_state"],
  ]) {
    const answer = await rogue.ask("position", { tenant, stream });
    const { message } = JSON.parse(answer) as { message: string };
    answers.add(JSON.stringify((JSON.parse(message) as { body: unknown }).body));
  }
  if (answers.size !== 1) throw new Error(`There and not there differ: ${[...answers].join(" | ")}`);
  return [...answers].join();
});

attempt("peer: opens a second connection with the key of its link", async (a, w) => {
  await link(a);
  const address = w.at(SITE).site.file.server?.leaf ?? "";
  const second = await RawLeaf.open({ address, key: keys.site });
  a.onEnd(() => second[Symbol.dispose]());
  if (!second.closed) throw new Error("There are two");
  return second.lines.find((line) => line.startsWith("-ERR")) ?? "closed";
});

attempt("peer: logs in at the port of the apps with the key of its link", async (a) => {
  const client = await a.raw(SITE, { key: keys.site });
  if (!client.closed) throw new Error("Let in");
  return client.errors;
});

attempt("peer: claims to be a hub, the same cluster, another account, the site itself", async (a) => {
  const said: string[] = [];
  for (const claim of [
    { is_hub: true },
    { hub: true, isolate: true },
    { cluster: "berlin" },
    { remote_account: "MESH", account: "MESH" },
    { name: "berlin", server_id: "BERLIN", domain: "berlin", jetstream: true },
    { jwt: "x", user: "MESH", pass: "" },
    { deny_pub: [], permissions: { publish: { allow: [">"] } } },
  ]) {
    const address = a.world.at(SITE).site.file.server?.leaf ?? "";
    const leaf = await RawLeaf.open({ address, key: keys.site, connect: claim });
    if (!leaf.closed) {
      leaf.subscribe("_R_.>");
      leaf.subscribe(">");
      leaf.publish("berlin.acme.orders.forged", a.mark);
      leaf.publish("$JS.API.STREAM.NAMES", "", "_R_.rogue.1");
      await leaf.ping();
    }
    if (leaf.lines.some((line) => line.startsWith("LMSG "))) throw new Error(leaf.lines.join(" | "));
    said.push(leaf.lines.find((line) => line.startsWith("-ERR")) ?? "silence");
    leaf[Symbol.dispose]();
    await waitFor(async () => (await a.world.at(SITE).control.system.leafs([PEER]))[0]?.type === "down");
  }
  return said.join("; ");
});

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
  await rogue.attach(resetAnswer);
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
    await rogue.attach(resetAnswer);
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
const HOLDS = [
  /^berlin\/MESH\/in_acme\/config$/,
  /^berlin\/MESH\/out_acme\/consumer\/tokyo\/(config|position)$/,
  /^berlin\/MESH\/KV_leafmesh_state\/state$/,
];

attempt(
  "peer: has traces of its messages sent back",
  async (a) => {
    const rogue = await link(a);
    for (const dest of [
      "_R_.trace.1",
      deliverSubject(PEER, SITE, "out_acme"),
      rpcSubject(SITE, PEER, "trace"),
      "berlin.acme.trace",
    ]) {
      for (const [to, only] of [
        [rpcSubject(SITE, PEER, "poke"), "1"],
        ["mesh.berlin.API.CONSUMER.RESET.out_acme.tokyo", "1"],
      ] as const) {
        if (rogue.leaf.closed) continue;
        const block = `NATS/1.0\r\nNats-Trace-Dest: ${dest}\r\nNats-Trace-Only: ${only}\r\nAccept-Encoding: none\r\n\r\n`;
        rogue.leaf.publishHeaders(to, block, "", "_R_.traced.1");
        await rogue.leaf.ping();
      }
    }
    await a.settle();
    const told = rogue.heard
      .split("\n")
      .filter((line) => line.includes('"events"'))
      .join();
    for (const name of ["T_acme", "globex", "austin", 'out_acme"', "initech"]) {
      if (told.includes(name)) throw new Error(told.slice(0, 600));
    }
    return told === "" ? "no trace comes" : `a trace ends at the link's account: ${told.slice(0, 100)}`;
  },
  { allow: HOLDS },
);

attempt(
  "peer: sends frames that are none",
  async (a) => {
    const said: string[] = [];
    for (const frame of [
      "LMSG",
      "LMSG x y z 1 2 3",
      "LMSG mesh.berlin.rpc.tokyo.sync -5\r\n",
      "HMSG mesh.berlin.rpc.tokyo.sync 99 3\r\nabc",
      "RMSG MESH berlin.acme.x 1\r\nx",
      "RS+ MESH >",
      "A+ T_acme",
      "AS+ x",
      "LS+",
      "LS- ....",
      "CONNECT {}",
      "INFO {}",
      "\u0000\u0001\u0002",
      `LS+ ${"x".repeat(64 * 1024)}`,
    ]) {
      const rogue = await link(a);
      rogue.leaf.send(frame);
      if (!rogue.leaf.closed) await rogue.leaf.ping().catch(() => {});
      said.push(rogue.leaf.closed ? "cut" : "ignored");
      rogue.leaf[Symbol.dispose]();
    }
    return said.join(", ");
  },
  { allow: HOLDS },
);

attempt(
  "peer: poses as another peer to the sidecar",
  async (a) => {
    const asAustin = await (await link(a)).ask("sync", { accepted: [] }, { as: "austin", from: "austin" });
    const rogue = await link(a);
    const inBody = await rogue.ask("sync", { accepted: [] }, { from: "austin" });
    if (inBody !== "" && !inBody.includes("refused")) throw new Error(inBody);
    return `${denialOf(asAustin)}; ${inBody || "silence"}`;
  },
  { allow: HOLDS },
);

attempt(
  "peer: signs with another key, or for another site",
  async (a) => {
    const rogue = await link(a);
    const said = [
      await rogue.ask("sync", { accepted: [] }, { key: createSigningKey() }),
      await rogue.ask("sync", { accepted: [] }, { to: "austin" }),
      await rogue.ask("sync", { accepted: [] }, { sealed: '{"message":"{}","key":"","signature":""}' }),
      await rogue.ask("sync", { accepted: [] }, { sealed: "not JSON" }),
    ];
    // Refusals of one kind are not answered at any pace.
    for (const one of said) if (one !== "" && !one.includes("refused")) throw new Error(one);
    if (!said.some((one) => one.includes("refused"))) throw new Error("Nothing was refused");
    return said.join("; ");
  },
  { allow: HOLDS },
);

attempt(
  "peer: asks for verbs that there are not",
  async (a) => {
    const said: string[] = [];
    for (const verb of ["shell", "__proto__", "constructor", "toString"]) {
      const rogue = await link(a);
      const answer = await rogue.ask(verb, {});
      const inner = answer.startsWith("{") ? (JSON.parse(answer) as { message: string }).message : answer;
      if (inner !== "" && !inner.includes("error") && !inner.startsWith("-ERR")) throw new Error(inner);
      said.push(inner || "silence");
      rogue.end();
    }
    return said.join("; ");
  },
  { allow: HOLDS },
);

attempt(
  "peer: has an answer sent into the site's own accounts",
  async (a) => {
    const said: string[] = [];
    for (const reply of [
      "berlin.acme.orders.forged",
      "acme.public.forged",
      "$KV.leafmesh_state.site",
      "$JS.API.STREAM.PURGE.out_acme",
    ]) {
      const rogue = await link(a);
      rogue.leaf.publish("mesh.berlin.API.CONSUMER.RESET.out_acme.tokyo", "", reply);
      rogue.leaf.publish(rpcSubject(SITE, PEER, "poke"), a.mark, reply);
      said.push(await rogue.outcome(reply, reply));
      rogue.end();
    }
    return said.join("; ");
  },
  { allow: [...HOLDS, /^berlin\/marked\/MESH\/mesh\.berlin\.rpc\.tokyo\.poke$/] },
);

attempt(
  "peer: floods the site with requests and subscriptions while others go on",
  async (a, w) => {
    const rogue = await link(a);
    const flood: string[] = [];
    for (let i = 0; i < 3000; i++) {
      flood.push(`LMSG ${rpcSubject(SITE, PEER, "sync")} _R_.flood.x 1\r\nx`);
      if (i % 4 === 0) flood.push("LMSG mesh.berlin.API.CONSUMER.RESET.out_acme.tokyo _R_.flood.y 1\r\n{");
      if (i % 4 === 0) flood.push(`LS+ mesh.berlin.deliver.tokyo.s${i}`);
    }
    rogue.leaf.send(flood.join("\r\n"));
    await catalogEvent(a, w);
    await waitFor(() => w.inbox("austin", "acme").some((line) => line.includes(a.mark)), {
      what: "austin to get its event",
      deadlineMs: 30_000,
    });
    const response = await fetch(`http://${w.at(SITE).site.file.api?.listen}/readyz`);
    if (!response.ok) throw new Error(`The sidecar is not ready: ${response.status}`);
    return "austin got its event, the sidecar answers";
  },
  { allow: [...CATALOG, ...HOLDS] },
);

attempt(
  "peer: sends the sidecar a list of thirty thousand patterns",
  async (a, w) => {
    const rogue = await link(a);
    const subjects = Array.from({ length: 30_000 }, (_, i) => `acme.catalog.*.${i}.>`);
    await rogue.ask("sync", { accepted: [{ tenant: "acme", origin: SITE, subjects, mirror: false }] });
    const response = await fetch(`http://${w.at(SITE).site.file.api?.listen}/readyz`);
    if (!response.ok) throw new Error(`The sidecar is not ready: ${response.status}`);
    // It is what it accepted before that counts in the end.
    const said = await rogue.ask("sync", {
      accepted: [{ tenant: "acme", origin: SITE, subjects: ["acme.>"], mirror: false }],
    });
    return denialOf(said).slice(0, 100);
  },
  { allow: HOLDS },
);
