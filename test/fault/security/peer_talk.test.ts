import { deliverSubject, rpcSubject } from "../../../src/model/names.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { waitFor } from "../../support/wait_for.ts";
import { besiegePeer, CATALOG, catalogEvent } from "./peer_siege.ts";
import { PEER, SITE } from "./rogue.ts";

const { attempt, link } = besiegePeer();
const denialOf = (error: string) => {
  if (error === "") throw new Error("There was no answer at all");
  return error;
};

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
