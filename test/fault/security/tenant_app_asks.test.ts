/** An app of acme at berlin, against other tenants, the mesh and the server: what it asks, hears, and uses up. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { publishes } from "./attempt.ts";
import { besiegeByApp } from "./tenant_siege.ts";

const { attempt, OWN, GLOBEX, app, askAll, overhear } = besiegeByApp();

attempt("tenant app: asks the server about itself, other accounts and all connections", async (a) =>
  askAll(a, [
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.SERVER.PING.ACCOUNTZ",
    "$SYS.REQ.SERVER.PING.JSZ",
    "$SYS.REQ.ACCOUNT.PING.CONNZ",
    "$SYS.REQ.ACCOUNT.PING.STATZ",
    "$SYS.REQ.ACCOUNT.T_globex.CONNZ",
    "$SYS.REQ.ACCOUNT.MESH.JSZ",
    "$SYS.REQ.CLAIMS.LIST",
    "$SYS.DEBUG.SUBSCRIBERS",
  ]),
);

attempt("tenant app: reloads the server, kicks connections, shuts it down", async (a, w) => {
  const id = w.at("berlin").control.system.serverId;
  return await askAll(a, [
    `$SYS.REQ.SERVER.${id}.RELOAD`,
    `$SYS.REQ.SERVER.${id}.KICK`,
    `$SYS.REQ.SERVER.${id}.LDM`,
    `$SYS.REQ.SERVER.${id}.PROFILEZ`,
    "$SYS.REQ.SERVER.RELOAD",
    "$JS.API.SERVER.REMOVE",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.ACCOUNT.PURGE.T_globex",
  ]);
});

attempt("tenant app: asks for streams of others by name, by domain and at other sites", async (a) =>
  askAll(a, [
    "$JS.API.STREAM.INFO.out_globex",
    "$JS.API.STREAM.INFO.globex",
    "$JS.API.STREAM.INFO.KV_leafmesh_state",
    "$JS.berlin.API.STREAM.INFO.out_acme",
    "$JS.austin.API.STREAM.NAMES",
    "$JS.API.DIRECT.GET.out_globex",
    "$JS.API.STREAM.MSG.GET.out_acme",
    "mesh.berlin.API.CONSUMER.RESET.out_acme.tokyo",
    "mesh.local.globex.API.STREAM.NAMES",
    "mesh.local.acme.API.STREAM.NAMES",
  ]),
);

attempt("tenant app: counts what others have: account totals, stream lists, stream names", async (a) => {
  const nc = await app(a);
  const told: string[] = [];
  for (const subject of ["$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$SYS.REQ.USER.INFO"])
    told.push((await nc.request(subject, "")).string());
  const all = told.join("\n");
  a.unrevealed(all);
  for (const name of ["globex", "initech", "out_globex", "KV_leafmesh_state", "T_globex", "LINK_"])
    if (all.includes(name)) throw new Error(`It is told of ${name}`);
  const { streams } = JSON.parse(told[0] ?? "") as { streams: number };
  if (streams !== 1) throw new Error(`It counts ${streams} streams`);
  return "its own log alone";
});

attempt("tenant app: learns from errors whether others' names exist", async (a) => {
  const nc = await app(a);
  const answers = new Map<string, string>();
  for (const name of ["globex", "nobody"]) {
    const said: string[] = [];
    for (const subject of [
      `$JS.API.STREAM.INFO.out_${name}`,
      `$JS.API.STREAM.INFO.${name}`,
      `$JS.API.CONSUMER.INFO.out_${name}.log_`,
      `${name}.some.thing`,
      `berlin.${name}.some.thing`,
      `mesh.local.${name}.API.INFO`,
      `$SYS.REQ.ACCOUNT.T_${name}.INFO`,
    ])
      said.push((await a.unanswered(nc, subject)).replaceAll(name, "NAME").replace(/_INBOX\.\S+/g, ""));
    answers.set(name, said.join("\n"));
  }
  if (answers.get("globex") !== answers.get("nobody")) throw new Error([...answers.values()].join("\n---\n"));
  return answers.get("globex") ?? "";
});

attempt(
  "tenant app: listens to everything while others publish",
  async (a) => overhear(a, await app(a), [">", "*.>", "globex.>", "berlin.>", "_INBOX.>", "_R_.>"]),
  { allow: GLOBEX },
);

attempt(
  "tenant app: listens to the plumbing: deliveries, flow control, acknowledgements, JetStream's own talk",
  async (a) => {
    const client = await a.raw("berlin", { key: a.world.at("berlin").site.appKey("acme") });
    const subjects = [
      "$JS.ACK.>",
      "$JSC.>",
      "$SYS.>",
      "$NRG.>",
      "$GR.>",
      "$KV.>",
      "$SRV.>",
      "mesh.>",
      "mesh.*.*.>",
    ];
    for (const [i, subject] of subjects.entries()) client.subscribe(subject, String(i + 1));
    await client.ping();
    const other = await a.app("berlin", "globex");
    await jetstream(other).publish("globex.deals.plumbing", "secret-globex plumbing");
    await a.settle(other);
    await client.ping();
    const heard = client.lines.filter((line) => line.startsWith("MSG") || line.startsWith("HMSG"));
    const foreign = heard.filter((line) => /globex|initech|LINK|MESH/.test(line));
    if (foreign.length > 0) throw new Error(foreign.join("; "));
    a.unrevealed(client.lines.join("\n"));
    return client.errors || "nothing";
  },
  { allow: GLOBEX },
);

attempt(
  "tenant app: takes a share of others' events by queue groups of their names",
  async (a) => {
    const nc = await app(a);
    const heard: string[] = [];
    for (const queue of ["globex", "acme", "NRG", "log_"])
      nc.subscribe("globex.>", { queue, callback: (_error, message) => void heard.push(message.subject) });
    await nc.flush();
    const other = await a.app("berlin", "globex");
    await jetstream(other).publish("globex.deals.queue", "secret-globex queue");
    await a.settle(nc, other);
    if (heard.length > 0) throw new Error(heard.join());
    return "nothing";
  },
  { allow: GLOBEX },
);

attempt("tenant app: answers in place of JetStream when the sidecar asks it", async (a, w) => {
  const client = await a.raw("berlin", { key: w.at("berlin").site.appKey("acme") });
  const poses = [
    "$JS.API.STREAM.INFO.acme",
    "$JS.API.STREAM.LIST",
    "*.API.>",
    "$JS.*.STREAM.>",
    "*.*.STREAM.INFO.acme",
  ];
  for (const [i, subject] of poses.entries()) client.subscribe(subject, String(i + 1));
  await client.ping();
  const jsm = await jetstreamManager(w.at("berlin").control.mesh, {
    apiPrefix: "mesh.local.acme.API",
    checkAPI: false,
  });
  const { config } = await jsm.streams.info("acme");
  if (config.name !== "acme") throw new Error("Somebody else answered");
  await client.ping();
  const heard = client.lines.filter((line) => line.startsWith("MSG") || line.startsWith("HMSG"));
  if (heard.length > 0) throw new Error(`It hears what the sidecar asks: ${heard.join("; ")}`);
  return client.errors || "it hears nothing of it";
});

attempt(
  "tenant app: traces its event through the mesh",
  async (a) => {
    const nc = await app(a);
    const traces: string[] = [];
    nc.subscribe("trace.here", { callback: (_error, message) => void traces.push(message.string()) });
    await nc.flush();
    const h = headers();
    h.set("Nats-Trace-Dest", "trace.here");
    nc.publish("acme.catalog.traced", a.mark, { headers: h });
    for (const dest of ["globex.trace", "berlin.globex.trace", "mesh.berlin.rpc.tokyo.sync"]) {
      const other = headers();
      other.set("Nats-Trace-Dest", dest);
      nc.publish("acme.catalog.traced", a.mark, { headers: other });
    }
    await a.settle(nc);
    const told = traces.join();
    for (const name of ["out_acme", "globex", "initech", "T_globex", "LINK_", "austin", "tokyo"])
      if (told.includes(name)) throw new Error(`A trace names ${name}: ${told.slice(0, 600)}`);
    return `what a trace says: ${told.slice(0, 200) || "nothing"}`;
  },
  { allow: OWN },
);

attempt(
  "tenant app: publishes with headers that servers act on",
  async (a) => {
    const nc = await app(a);
    const said: string[] = [];
    for (const [name, value] of [
      ["Nats-Rollup", "all"],
      ["Nats-Rollup", "sub"],
      ["Nats-TTL", "1s"],
      ["Nats-Schedule", "@every 1s"],
      ["Nats-Stream-Source", "out_globex:x:C=y 9 > > z"],
      ["Nats-Batch-Id", "b"],
      ["Nats-Expected-Stream", "out_globex"],
      ["Nats-Expected-Last-Sequence", "424242"],
      ["Nats-Incr", "+1"],
    ] as const) {
      const h = headers();
      h.set(name, value);
      const answer = await nc
        .request("acme.private.header", a.mark, { headers: h, timeout: 1000 })
        .then((message) => message.string())
        .catch((error: unknown) => String(error));
      if (!/error/i.test(answer)) throw new Error(`${name}: ${value} was taken: ${answer}`);
      said.push(answer);
    }
    return said.join("; ");
  },
  { allow: [/^berlin\/marked\/MESH\/berlin\.acme\.private\.header$/] },
);

attempt(
  "tenant app: uses up streams, consumers and storage of its account until others have none",
  async (a, w) => {
    const nc = await app(a);
    const jsm = await jetstreamManager(nc);
    const said: string[] = [];
    await jsm.streams.add({ name: "huge", subjects: ["huge.x"], max_bytes: 200 * 1024 ** 4 }).then(
      () => jsm.streams.delete("huge").then(() => Promise.reject(new Error("200 TiB were granted"))),
      (error: unknown) => said.push(String(error)),
    );
    let made = 0;
    try {
      for (; made < 400; made++)
        await jsm.streams.add({ name: `many${made}`, subjects: [`many.${made}`], storage: "memory" });
    } catch (error) {
      said.push(String(error));
    }
    for (let i = 0; i < made; i++) await jsm.streams.delete(`many${i}`);
    if (made >= 400) throw new Error("There is no end to the streams");
    const other = await w.at("berlin").site.app("globex");
    const theirs = await jetstreamManager(other);
    await theirs.streams.add({ name: "still", subjects: ["still.x"] });
    await theirs.streams.delete("still");
    await other.close();
    return said.join("; ");
  },
  { allow: [...OWN, /^berlin\/inbox\/globex$/] },
);

attempt("tenant app: sends messages and control lines larger than the server takes", async (a, w) => {
  const key = w.at("berlin").site.appKey("acme");
  const said: string[] = [];
  for (const frame of [
    `PUB acme.large ${256 * 1024 * 1024}\r\n`,
    `HPUB acme.large 99999999 99999999\r\n`,
    `HPUB acme.large 12 4\r\nNATS/1.0\r\n\r\n`,
    `PUB ${"a".repeat(8192)} 1\r\nx`,
    `SUB ${"a.".repeat(4096)}x 1`,
    "PUB acme.x 99999999999999999999\r\n",
  ]) {
    const client = await a.raw("berlin", { key });
    client.socket.write(frame);
    await client.gone();
    said.push(client.errors || "cut");
  }
  return said.join("; ");
});

attempt(
  "tenant app: writes a second header block, and line breaks into header values",
  async (a, w) => {
    const client = await a.raw("berlin", { key: w.at("berlin").site.appKey("acme") });
    // A reader that goes by the last of two, or by bare line feeds, would see region EU.
    for (const block of [
      "NATS/1.0\r\nx: 1\nregion: EU\r\n\r\n",
      "NATS/1.0\r\nx: 1\r\n\r\nNATS/1.0\r\nregion: EU\r\n\r\n",
      "NATS/1.0\r\nregion: US\r\nregion: EU\r\n\r\n",
      "NATS/1.0\r\n region: EU\r\n\r\n",
      "NATS/1.0\r\nregion : EU\r\n\r\n",
      "NATS/1.0\nregion: EU\n\n",
    ])
      client.publishHeaders("acme.orders.split", block, `{"email":"${a.mark}@example.net"}`);
    await client.ping();
    await a.settle();
    if (w.inbox("austin", "acme").some((line) => line.includes(a.mark)))
      throw new Error("It crossed the link");
    return "the view quarantines or drops them";
  },
  { allow: publishes("berlin", "acme") },
);

attempt(
  "tenant app: floods the server with subscriptions and messages while others work",
  async (a, w) => {
    const client = await a.raw("berlin", { key: w.at("berlin").site.appKey("acme") });
    const flood = Array.from(
      { length: 20_000 },
      (_, i) => `SUB flood.${i}.> ${i + 1}\r\nPUB unheard.${i} 1\r\nx`,
    );
    client.send(flood.join("\r\n"));
    const other = await w.at("berlin").site.app("globex");
    await jetstream(other).publish("globex.deals.meanwhile", "meanwhile");
    await other.close();
    await client.ping();
    return "globex published meanwhile";
  },
  { allow: [...GLOBEX, ...OWN] },
);

attempt(
  "tenant app: never reads what it subscribed to",
  async (a, w) => {
    const client = await a.raw("berlin", { key: w.at("berlin").site.appKey("acme") });
    client.subscribe("slow.>");
    await client.ping();
    client.socket.pause();
    const nc = await app(a);
    for (let i = 0; i < 100; i++) nc.publish("slow.x", "x".repeat(900_000));
    await nc.flush();
    const other = await w.at("berlin").site.app("globex");
    await jetstream(other).publish("globex.deals.slow", "meanwhile");
    await other.close();
    return "globex published meanwhile";
  },
  { allow: [...GLOBEX, ...OWN, /^berlin\/server$/] },
);
