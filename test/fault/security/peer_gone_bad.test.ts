/**
 * A peer with a valid link that ignores all rules: tokyo, which may have acme's catalog and may send acme.public.>. It asks
 * for more than it was granted. What it sends is in peer_deliveries.test.ts, what it says to the sidecar in peer_talk.test.ts.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { openMessage } from "../../../src/control/envelope.ts";
import { deliverSubject } from "../../../src/model/names.ts";
import { RawLeaf } from "../../support/raw_leaf.ts";
import { waitFor } from "../../support/wait_for.ts";
import { besiegePeer, CATALOG, HASH, HELD } from "./peer_siege.ts";
import { PEER, type Rogue, SITE } from "./rogue.ts";

const { attempt, link, tryEach, options, identity } = besiegePeer();

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
    // It is passed on only while nothing is delivered to it.
    const answer = await rogue.reset("out_acme", PEER, '{"seq":1}');
    if (answer === null) throw new Error("The peer may reset its own consumer");
    rogue.leaf.subscribe(deliverSubject(SITE, PEER, "out_acme"));
    await rogue.leaf.ping();
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
  "peer: resets its consumer to its begin after the policy was widened",
  async (a, w) => {
    const { site, control } = w.at(SITE);
    const rogue = await link(a);
    const accepted = [{ tenant: "acme", origin: SITE, subjects: ["acme.>"], mirror: false }];
    const tell = () => rogue.ask("sync", { accepted });
    const path = "/v1/tenants/acme/exports/catalog";
    const [narrow, wide] = [["acme.catalog.>"], ["acme.catalog.>", "acme.private.>"]].map((subjects) => ({
      to: [PEER],
      rules: subjects.map((one) => ({ subjects: [one] })),
    }));
    const jsm = await jetstreamManager(control.mesh, { checkAPI: false });
    // Who says that it has nothing keeps the narrower policy.
    rogue.answerPositions((await jsm.streams.info("out_acme")).state.last_seq);
    await site.put(path, wide);
    await waitFor(
      async () => {
        await tell();
        const { config } = await jsm.consumers.info("out_acme", PEER);
        return JSON.stringify(config.filter_subjects ?? []).includes("acme.private");
      },
      { deadlineMs: 20_000, pollMs: 200, what: "the wider policy" },
    );
    const refused = await rogue.reset("out_acme", PEER, '{"seq":1}');
    await rogue.reset("out_acme", PEER, "");
    rogue.leaf.subscribe(deliverSubject(SITE, PEER, "out_acme"));
    await rogue.leaf.ping();
    a.unrevealed(rogue.heard);
    const nc = await site.app("acme");
    await jetstream(nc).publish("acme.private.later", `${a.mark}later`);
    await nc.close();
    await waitFor(() => rogue.heard.includes(`${a.mark}later`), { what: "what it may have now" });
    a.unrevealed(rogue.heard);
    if (!/below start seq/.test(refused ?? "")) throw new Error(`RESET: ${refused}`);
    await site.put(path, narrow);
    await waitFor(
      async () =>
        !JSON.stringify((await jsm.consumers.info("out_acme", PEER)).config).includes("acme.private"),
      { deadlineMs: 20_000, pollMs: 100, what: "the policy of before" },
    );
    return refused ?? "";
  },
  {
    allow: [
      ...CATALOG,
      /^berlin\/MESH\/out_acme\/consumer\/tokyo\/config$/,
      /^berlin\/MESH\/KV_leafmesh_state\/state$/,
    ],
  },
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

/** What the sidecar answers to a question for a position. */
async function positionOf(
  rogue: Rogue,
  tenant = "",
  stream = "",
): Promise<{ attached: boolean; sequence: number }> {
  const { message } = JSON.parse(await rogue.ask("position", { tenant, stream })) as { message: string };
  return (JSON.parse(message) as { body: { attached: boolean; sequence: number } }).body;
}

attempt("peer: asks the sidecar for positions of streams that are not its own", async (a) => {
  const rogue = await link(a);
  const answers = new Set<string>();
  for (const [tenant, stream] of [
    ["globex", "out_globex"],
    ["initech", "out_initech"],
    ["nobody", "out_nobody"],
    ["../acme", "KV_leafmesh_state"],
  ])
    answers.add(JSON.stringify(await positionOf(rogue, tenant, stream)));
  if (answers.size !== 1) throw new Error(`There and not there differ: ${[...answers].join(" | ")}`);
  // Of a tenant that it shares it is told how far its own events have come, and nothing of the stream that it names.
  const shared = await positionOf(rogue, "acme", "view_acme_orders");
  if (shared.attached || shared.sequence !== 0) throw new Error(JSON.stringify(shared));
  return [...answers].join();
});

attempt("peer: opens a second connection with the key of its link", async (a, _w) => {
  await link(a);
  const second = await RawLeaf.open(await options());
  a.onEnd(() => second[Symbol.dispose]());
  if (!second.closed) throw new Error("There are two");
  return second.lines.find((line) => line.startsWith("-ERR")) ?? "closed";
});

attempt("peer: logs in at the port of the apps with the key of its link", async (a) => {
  const client = await a.raw(SITE, { key: identity().keys.site });
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
    const leaf = await RawLeaf.open({ ...(await options()), connect: claim });
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
