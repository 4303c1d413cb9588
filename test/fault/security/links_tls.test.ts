/** What TLS of links keeps out: who listens on the way, and who dials or is dialled without the right certificate and key. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, connect as dialPlain, type Server, type Socket } from "node:net";
import { type ConnectionOptions, createServer as createTlsServer, connect as dialTls } from "node:tls";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { parseAddress } from "../../../src/nats/addresses.ts";
import { createSigningKey, type SigningKey } from "../../../src/nats/keys.ts";
import { LeafClient as Leaf, type LeafClient } from "../../../src/nats/leaf_client.ts";
import { LinkLog } from "../../../src/nats/link_log.ts";
import { type Credential, createCa, issueClient, issueLink } from "../../../src/nats/pki/certificates.ts";
import { followServerLog } from "../../../src/nats/server_log.ts";
import { freePorts } from "../../support/free_ports.ts";
import { makeExport, makeImport, makeTenantStreams } from "../../support/native_routes.ts";
import { startSites, type TestSite, type TestSites } from "../../support/sites.ts";
import { waitFor } from "../../support/wait_for.ts";

const SECRET = "a-payload-nobody-may-read";
const HOUR = { now: new Date(), ttlMs: 3_600_000 };
const stop = new AbortController();

let sites: TestSites;
let berlin: TestSite;
let austin: TestSite;
/** The site that dials berlin, by hand: its key and its CA are those of a peer. */
const tokyo = createSigningKey();
let tokyoCa: Credential;
let tokyoLink: Credential;
let foreignCa: Credential;
let proxy: Server;
const captured: Buffer[] = [];
const seen = new LinkLog();

beforeAll(async () => {
  sites = await startSites({ sites: { berlin: { tenants: ["acme"] }, austin: { tenants: ["acme"] } } });
  [berlin, austin] = [sites.site("berlin"), sites.site("austin")];
  tokyoCa = await createCa("tokyo", HOUR);
  tokyoLink = await issueLink(tokyoCa, { site: "tokyo", hosts: ["127.0.0.1"] }, HOUR);
  foreignCa = await createCa("mallory", HOUR);
  const [port = 0] = await freePorts("127.0.0.1", 1);
  proxy = recordingProxy(parseAddress(berlin.addresses.leaf).port);
  await new Promise<void>((resolve) => proxy.listen(port, "127.0.0.1", resolve));
  void followServerLog(`${austin.folder}/nats.log`, 0, (line) => seen.take(line), stop.signal);
  await berlin.reload({
    ...berlin.desired,
    peers: [
      { name: "austin", key: austin.keys.site.publicKey, ca: austin.pki?.caPem },
      { name: "tokyo", key: tokyo.publicKey, ca: tokyoCa.certPem },
    ],
  });
  await austin.reload({
    ...austin.desired,
    peers: [
      {
        name: "berlin",
        key: berlin.keys.site.publicKey,
        ca: berlin.pki?.caPem,
        dial: `tls://127.0.0.1:${port}`,
      },
    ],
  });
  await linkedWith("austin");
}, 60_000);

afterAll(async () => {
  stop.abort();
  proxy?.close();
  await sites?.[Symbol.asyncDispose]();
});

async function linkedWith(peer: string): Promise<void> {
  await waitFor(async () => (await berlin.control.system.leafs([peer]))[0]?.type === "up", {
    what: `the link of ${peer}`,
    deadlineMs: 30_000,
  });
}

/** Passes everything on to `port`, and keeps a copy of each byte. */
function recordingProxy(port: number): Server {
  return createServer((left) => {
    const right = dialPlain(port, "127.0.0.1");
    const pass = (from: Socket, to: Socket) => {
      from.on("data", (bytes: Buffer) => {
        captured.push(Buffer.from(bytes));
        to.write(bytes);
      });
      from.on("close", () => to.destroy());
      from.on("error", () => to.destroy());
    };
    pass(left, right);
    pass(right, left);
  });
}

const dial = (key: SigningKey, credential: Credential | null, more: { readonly ca?: string } = {}) =>
  Leaf.open({
    address: berlin.addresses.leaf,
    key,
    deadlineMs: 20_000,
    tls: {
      ca: more.ca ?? berlin.pki?.caPem ?? "",
      ...(credential === null ? {} : { cert: credential.certPem, key: credential.keyPem }),
    },
  });

/** That an attempt to dial fails, and that afterwards berlin has only the link of austin. */
async function keptOut(opened: Promise<LeafClient>): Promise<string> {
  const refused = await opened.then(
    (leaf) => {
      leaf[Symbol.dispose]();
      return "IT WAS LET IN";
    },
    (error: Error) => error.message,
  );
  expect(refused).not.toBe("IT WAS LET IN");
  expect(await berlin.control.system.leafs(["tokyo"])).toEqual([{ type: "down", peer: "tokyo" }]);
  expect((await berlin.control.system.leafs(["austin"]))[0]?.type).toBe("up");
  return refused;
}

describe("who listens on the way", () => {
  test("reads no payload, subject, account, site name, key or seed, and no INFO in clear", async () => {
    for (const site of [berlin, austin]) await makeTenantStreams(site, "acme");
    await makeExport(berlin, "austin", "acme", ["acme.orders.>"]);
    await makeImport(austin, ["berlin"], "acme");
    await jetstream(await berlin.app("acme")).publish("acme.orders.new", SECRET);
    const arrived = await jetstreamManager(austin.mesh);
    await waitFor(async () => (await arrived.streams.info("in_acme")).state.messages === 1, {
      what: "the event to cross",
      deadlineMs: 30_000,
    });

    const bytes = Buffer.concat(captured);
    expect(bytes.length).toBeGreaterThan(2000);
    const seeds = [berlin, austin].map(({ keys }) => new TextDecoder().decode(keys.site.seed()));
    const keys = [berlin, austin].map(({ keys: of }) => of.site.publicKey);
    const words = [
      "INFO",
      "CONNECT",
      "LS+",
      "LMSG",
      "PING",
      "acme",
      "orders",
      "MESH",
      "LINK_",
      "berlin",
      "austin",
      "nonce",
    ];
    for (const word of [SECRET, ...seeds, ...keys, ...words]) {
      // Four letters come about by chance in so many random bytes; a message begins a line with them.
      const found =
        word.length < 5 ? bytes.includes(`${word} `) || bytes.includes(`\n${word}`) : bytes.includes(word);
      expect([word, found]).toEqual([word, false]);
    }
    // The first byte of either side is that of a TLS record.
    expect(captured[0]?.[0]).toBe(0x16);
  }, 60_000);
});

describe("who dials", () => {
  test("with the peer's key and certificate gets in: the attempts below fail for what they are named after", async () => {
    using leaf = await dial(tokyo, tokyoLink);
    expect(leaf).toBeDefined();
    await linkedWith("tokyo");
    leaf[Symbol.dispose]();
    await waitFor(async () => (await berlin.control.system.leafs(["tokyo"]))[0]?.type === "down", {
      what: "the leaf to go",
      deadlineMs: 20_000,
    });
  }, 60_000);

  test("without TLS", async () => {
    await keptOut(Leaf.open({ address: berlin.addresses.leaf, key: tokyo, deadlineMs: 8_000 }));
  }, 30_000);

  test("without a certificate", async () => {
    await keptOut(dial(tokyo, null));
  }, 30_000);

  test("with a certificate of a CA that nobody knows", async () => {
    await keptOut(dial(tokyo, await issueLink(foreignCa, { site: "tokyo", hosts: [] }, HOUR)));
  }, 30_000);

  test("with a CA that has the name of the peer's", async () => {
    const same = await createCa("tokyo", HOUR);
    await keptOut(dial(tokyo, await issueLink(same, { site: "tokyo", hosts: [] }, HOUR)));
  }, 30_000);

  test("with an expired certificate of the peer", async () => {
    const past = { now: new Date(Date.now() - 7_200_000), ttlMs: 1000 };
    await keptOut(dial(tokyo, await issueLink(tokyoCa, { site: "tokyo", hosts: [] }, past)));
  }, 30_000);

  test("with a certificate that is good from tomorrow", async () => {
    const future = { now: new Date(Date.now() + 86_400_000), ttlMs: 86_400_000 };
    await keptOut(dial(tokyo, await issueLink({ ...tokyoCa }, { site: "tokyo", hosts: [] }, future)));
  }, 30_000);

  test("with a peer's certificate and a key that nobody knows", async () => {
    expect(await keptOut(dial(createSigningKey(), tokyoLink))).toMatch(/Authorization/i);
  }, 30_000);

  test("with a certificate of another peer and its own key gets no further than its own account", async () => {
    const mallory = await issueClient(foreignCa, "tokyo", HOUR);
    await keptOut(dial(austin.keys.site, mallory));
  }, 30_000);

  test("a second time with the key of a link that stands", async () => {
    const credential = austin.pki?.linkCredential;
    if (credential === undefined) throw new Error("austin has no certificate");
    await keptOut(dial(austin.keys.site, credential));
  }, 30_000);

  test.each(["TLSv1.1", "TLSv1.2"] as const)(
    "in %s at most",
    async (maxVersion) => {
      expect(await handshake({ maxVersion, minVersion: "TLSv1" })).not.toBe("agreed");
    },
    30_000,
  );

  test("as a nats-server that is too old", async () => {
    const opened = Leaf.open({
      address: berlin.addresses.leaf,
      key: tokyo,
      deadlineMs: 20_000,
      connect: { version: "2.10.0" },
      tls: { ca: berlin.pki?.caPem ?? "", cert: tokyoLink.certPem, key: tokyoLink.keyPem },
    });
    await keptOut(opened);
  }, 30_000);
});

/** How a TLS handshake with berlin ends, with tokyo's certificate. */
async function handshake(options: ConnectionOptions): Promise<string> {
  const { host, port } = parseAddress(berlin.addresses.leaf);
  return await new Promise((resolve) => {
    const socket = dialTls({
      host,
      port,
      ca: berlin.pki?.caPem,
      cert: tokyoLink.certPem,
      key: tokyoLink.keyPem,
      ...options,
    });
    socket.setTimeout(10_000, () => resolve("silence"));
    socket.once("secureConnect", () => resolve("agreed"));
    socket.once("error", (error) => resolve(error.message));
    socket.once("close", () => resolve("closed"));
  }).then((result) => String(result));
}

describe("who is dialled", () => {
  /** Puts a server with this certificate in berlin's place; what austin says of its link. */
  async function posing(credential: Credential | null, expected: RegExp): Promise<void> {
    const heard: string[] = [];
    const sockets = new Set<Socket>();
    const take = (socket: Socket) => {
      sockets.add(socket);
      socket.on("data", (bytes: Buffer) => heard.push(bytes.toString("latin1")));
      socket.on("error", () => {});
    };
    const server =
      credential === null
        ? createServer((socket) => {
            take(socket);
            socket.write(
              'INFO {"server_id":"N","version":"2.15.1","nonce":"x","headers":true,"max_payload":1048576}\r\n',
            );
          })
        : createTlsServer({ cert: credential.certPem, key: credential.keyPem, minVersion: "TLSv1.3" }, take);
    server.on("tlsClientError", () => {});
    const [port = 0] = await freePorts("127.0.0.1", 1);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const before = austin.desired;
    try {
      seen.cleared("berlin");
      const peers = before.peers.map((peer) => ({ ...peer, dial: `tls://127.0.0.1:${port}` }));
      await austin.reload({ ...before, peers });
      await waitFor(() => expected.test(seen.failure("berlin")?.why ?? ""), {
        what: `a failure like ${expected}`,
        deadlineMs: 30_000,
      });
      // It says neither who it is nor what it wants.
      expect(heard.join("")).not.toContain("CONNECT");
      expect(heard.join("")).not.toContain(austin.keys.site.publicKey);
    } finally {
      await austin.reload(before);
      for (const socket of sockets) socket.destroy();
      server.close();
    }
    await linkedWith("austin");
  }

  const hosts = ["127.0.0.1"];

  test("with a certificate of a CA that nobody knows", async () => {
    await posing(
      await issueLink(foreignCa, { site: "berlin", hosts }, HOUR),
      /not of the CA that is trusted here/,
    );
  }, 60_000);

  test("with a certificate of another peer's CA", async () => {
    await posing(tokyoLink, /not of the CA that is trusted here/);
  }, 60_000);

  test("without TLS", async () => {
    await posing(null, /does not answer in TLS/);
  }, 60_000);
});
