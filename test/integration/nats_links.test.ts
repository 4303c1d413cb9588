/** What a peer can do through its leaf link when it ignores all rules, whether it dials us or we dial it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { DesiredState } from "../../src/model/desired.ts";
import {
  deliverSubject,
  flowControlSubject,
  outStream,
  peerConsumer,
  rpcSubject,
  siteApiReset,
} from "../../src/model/names.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { freePorts } from "../support/free_ports.ts";
import { makeExport, makeTenantStreams } from "../support/native_routes.ts";
import { RawLeaf } from "../support/raw_leaf.ts";
import { startSites, type TestSite, type TestSites } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

const tokyo = createSigningKey();
const austin = createSigningKey();
const osaka = createSigningKey();
const OUT = outStream("acme");

let sites: TestSites;
let berlin: TestSite;
let acme: NatsConnection;
let osakaPort: number;

beforeAll(async () => {
  sites = await startSites({
    // What a peer can do that has got in: spoken by hand, without TLS.
    mode: "plain",
    sites: { berlin: { tenants: ["acme"] } },
  });
  berlin = sites.site("berlin");
  [osakaPort = 0] = await freePorts("127.0.0.1", 1);
  await berlin.reload(withPeers(berlin.desired));
  await makeTenantStreams(berlin, "acme");
  for (const peer of ["tokyo", "austin", "osaka"]) await makeExport(berlin, peer, "acme", ["acme.orders.>"]);
  acme = await berlin.app("acme");
}, 30_000);

afterAll(async () => await sites?.[Symbol.asyncDispose]());

function withPeers(desired: DesiredState): DesiredState {
  return {
    ...desired,
    peers: [
      { name: "tokyo", key: tokyo.publicKey },
      { name: "austin", key: austin.publicKey },
      { name: "osaka", key: osaka.publicKey, dial: `nats-leaf://127.0.0.1:${osakaPort}` },
    ],
  };
}

const dialIn = async (connect: Readonly<Record<string, unknown>> = {}): Promise<RawLeaf> =>
  await RawLeaf.open({ address: berlin.addresses.leaf, key: tokyo, connect });

/** What no peer may send, beside what is another peer's. */
const FORBIDDEN = [
  "acme.forged",
  "berlin.acme.forged",
  "tokyo.acme.forged",
  "mesh.log.acme.out_acme",
  "mesh.berlin.gate.reset.out_acme.tokyo",
  "mesh.local.acme.API.STREAM.NAMES",
  "mesh.API.CONSUMER.RESET.out_acme.log_",
  "mesh.berlin.API.STREAM.INFO.out_acme",
  "mesh.berlin.API.CONSUMER.INFO.out_acme.tokyo",
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.berlin.API.STREAM.NAMES",
  "$JS.API.CONSUMER.RESET.out_acme.tokyo",
  "$SYS.REQ.SERVER.PING.CONNZ",
  "$SYS.REQ.SERVER.PING.VARZ",
  "$SYS.REQ.ACCOUNT.PING.CONNZ",
  "$SYS.REQ.USER.INFO",
  siteApiReset("berlin", OUT, peerConsumer("austin")),
  siteApiReset("austin", OUT, peerConsumer("berlin")),
  deliverSubject("austin", "berlin", OUT),
  deliverSubject("berlin", "austin", OUT),
  rpcSubject("berlin", "austin", "status"),
  flowControlSubject("berlin", OUT, "austin").replace(">", "x"),
];

const FORGERY = "forged by a peer";

/** Collects the subjects of all forged messages that the sidecar and the app hear. */
async function eavesdrop(): Promise<string[]> {
  const heard: string[] = [];
  for (const connection of [berlin.mesh, await berlin.app("acme")]) {
    connection.subscribe(">", {
      callback: (_, message) => {
        if (message.string() === FORGERY) heard.push(message.subject);
      },
    });
    await connection.flush();
  }
  return heard;
}

/** Sends one forbidden message and waits until the server has dealt with it; what came back but for interest. */
async function trespass(leaf: RawLeaf, subject: string): Promise<string[]> {
  leaf.publish(subject, FORGERY, "_R_.raw.answer");
  await leaf.ping();
  await berlin.mesh.flush();
  return leaf.lines.filter((line) => line.startsWith("LMSG "));
}

describe("a peer that dials us", () => {
  for (const connect of [{}, { is_hub: true }, { domain: "berlin", jetstream: true }]) {
    const claim = JSON.stringify(connect);

    test(`may reset its own consumers and talk to our sidecar ${claim}`, async () => {
      using leaf = await dialIn(connect);
      leaf.subscribe("_R_.>");
      leaf.publish(siteApiReset("berlin", OUT, peerConsumer("tokyo")), '{"seq":1}', "_R_.raw.answer");
      await leaf.next((line) => line.startsWith("LMSG _R_.raw.answer"));
      const ear = berlin.mesh.subscribe(rpcSubject("berlin", "tokyo", ">"), { max: 1 });
      await berlin.mesh.flush();
      leaf.publish(rpcSubject("berlin", "tokyo", "status"), "hello");
      for await (const message of ear) expect(message.string()).toBe("hello");
    });

    test(`may do nothing else ${claim}`, async () => {
      const heard = await eavesdrop();
      const floor = (await (await jetstreamManager(berlin.mesh)).consumers.info(OUT, "austin")).delivered;
      for (const subject of FORBIDDEN) {
        using leaf = await dialIn(connect);
        leaf.subscribe("_R_.>");
        expect(await trespass(leaf, subject)).toEqual([]);
      }
      expect(heard).toEqual([]);
      const manager = await jetstreamManager(berlin.mesh);
      expect((await manager.consumers.info(OUT, "austin")).delivered).toEqual(floor);
      expect((await manager.streams.info(OUT)).state.subjects ?? {}).toEqual({});
    }, 20_000);
  }

  test("hears only what is delivered to it", async () => {
    const wanted = deliverSubject("berlin", "tokyo", OUT);
    for (const subject of [">", "acme.>", "berlin.>", "mesh.>", deliverSubject("berlin", "austin", "*")]) {
      for (const connect of [{}, { is_hub: true }]) {
        using leaf = await dialIn(connect);
        leaf.subscribe(subject);
        await leaf.ping();
        berlin.mesh.publish(deliverSubject("berlin", "austin", OUT), "for austin");
        acme.publish("acme.plain", "plain");
        await berlin.mesh.flush();
        await acme.flush();
        if (!leaf.closed) await leaf.ping();
        expect(leaf.lines.filter((line) => line.startsWith("LMSG "))).toEqual([]);
      }
    }
    using leaf = await dialIn();
    leaf.subscribe(wanted);
    await leaf.ping();
    await jetstream(acme).publish("acme.orders.1", "for all");
    await leaf.next((line) => line.startsWith(`LMSG ${wanted}`));
  });

  test("has one connection, and with its key nothing but a leaf connection", async () => {
    using first = await dialIn();
    using second = await dialIn();
    expect(first.closed).toBe(false);
    expect(second.closed).toBe(true);
    expect(second.lines.join()).toContain("maximum account active connections exceeded");
    await expect(berlin.connect(tokyo, { reconnect: false })).rejects.toThrow(/authorization/i);
  });

  test("needs the key of a peer", async () => {
    for (const key of [createSigningKey(), berlin.keys.mesh, berlin.keys.sys, berlin.keys.site]) {
      using leaf = await RawLeaf.open({ address: berlin.addresses.leaf, key });
      expect(leaf.closed).toBe(true);
      expect(leaf.lines.join()).toContain("Authorization Violation");
    }
  });
});

describe("a peer that we dial", () => {
  test("may do no more than one that dials us", async () => {
    using leaf = await RawLeaf.accept(osakaPort);
    leaf.subscribe(">");
    leaf.subscribe("_R_.>");
    leaf.publish(siteApiReset("berlin", OUT, peerConsumer("osaka")), '{"seq":1}', "_R_.raw.control");
    await leaf.next((line) => line.startsWith("LMSG _R_.raw.control"));

    const heard = await eavesdrop();
    for (const subject of FORBIDDEN) await trespass(leaf, subject);
    expect(leaf.lines.filter((line) => line.startsWith("LMSG _R_.raw.answer"))).toEqual([]);
    expect(heard).toEqual([]);

    berlin.mesh.publish(deliverSubject("berlin", "austin", OUT), "for austin");
    acme.publish("acme.plain", "plain");
    await berlin.mesh.flush();
    await acme.flush();
    await leaf.ping();
    const received = leaf.lines.filter((line) => line.startsWith("LMSG ")).map((line) => line.split(" ")[1]);
    const own = [deliverSubject("berlin", "osaka", OUT), "_R_.raw.control"];
    expect(received.filter((subject) => !own.includes(subject ?? ""))).toEqual([]);
  }, 20_000);
});

describe("a peer that is removed", () => {
  test("keeps its link over a reload, loses it by kickLeaf(), and does not get it back", async () => {
    using leaf = await dialIn();
    const { peers } = berlin.desired;
    await berlin.reload({ ...berlin.desired, peers: peers.filter((peer) => peer.name !== "tokyo") });
    await leaf.ping();
    expect(leaf.closed).toBe(false);
    expect(await berlin.control.system.kickLeaf("tokyo")).toBe(1);
    await waitFor(() => leaf.closed, { what: "the leaf to be cut" });
    expect(await berlin.control.system.leafs(["tokyo"])).toEqual([{ type: "down", peer: "tokyo" }]);
    using again = await dialIn();
    expect(again.closed).toBe(true);
    await berlin.reload({ ...berlin.desired, peers });
    using back = await dialIn();
    expect(back.closed).toBe(false);
  });
});
