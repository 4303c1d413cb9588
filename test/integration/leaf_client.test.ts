/** Our own leaf connection against a real nats-server, and against listeners that are none. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer, type Server, type Socket } from "node:net";
import { LeafmeshError } from "../../src/model/errors.ts";
import { deliverSubject, rpcSubject } from "../../src/model/names.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { LeafClient } from "../../src/nats/leaf_client.ts";
import { startSite, type TestSite } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

const AUSTIN = createSigningKey();
let started: Awaited<ReturnType<typeof startSite>>;
let site: TestSite;

beforeAll(async () => {
  started = await startSite("berlin", [], "plain");
  site = started.site;
  await site.reload({ ...site.desired, peers: [{ name: "austin", key: AUSTIN.publicKey }] });
}, 60_000);
afterAll(async () => {
  await started[Symbol.asyncDispose]();
});

const open = (more: object = {}) =>
  LeafClient.open({ address: site.addresses.leaf, key: AUSTIN, deadlineMs: 20_000, ...more });

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof LeafmeshError) return `${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("It was taken");
}

/** A listener that does with each connection what the test says. */
async function listener(
  on: (socket: Socket) => void,
): Promise<{ address: string; server: Server } & Disposable> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    on(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const found = server.address();
  const port = found !== null && typeof found === "object" ? found.port : 0;
  return { address: `127.0.0.1:${port}`, server, [Symbol.dispose]: () => void server.close() };
}

test("LeafClient logs in, asks and hears the answer", async () => {
  const subscription = site.mesh.subscribe(rpcSubject("berlin", "austin", "*"), {
    callback: (_error, message) => void message.respond(`heard ${message.string()}`),
  });
  await site.mesh.flush();
  using leaf = await open();
  expect(leaf.info.server_name).toBe("berlin");
  const reply = rpcSubject("austin", "berlin", "answer");
  leaf.subscribe(reply);
  const answer = await leaf.request(rpcSubject("berlin", "austin", "ask"), "hello", {
    reply,
    deadlineMs: 20_000,
  });
  expect(new TextDecoder().decode(answer)).toBe("heard hello");
  subscription.unsubscribe();
}, 30_000);

test("LeafClient gives the bytes of large messages with their headers", async () => {
  const seen: Uint8Array[] = [];
  using leaf = await open({
    onFrame: (frame: { type: string; data?: Uint8Array }) => {
      if (frame.type === "message" && frame.data !== undefined) seen.push(frame.data);
    },
  });
  const subject = deliverSubject("berlin", "austin", "out_acme");
  leaf.subscribe(subject);
  await leaf.ping({ deadlineMs: 20_000 });
  const data = new Uint8Array(200_000).map((_, i) => i % 251);
  const { headers } = await import("@nats-io/transport-node");
  const some = headers();
  some.set("a", "b");
  site.mesh.publish(subject, data, { headers: some });
  await waitFor(() => seen.length === 1, { deadlineMs: 20_000 });
  expect(Buffer.from(seen[0] ?? []).equals(Buffer.from(data))).toBe(true);
}, 30_000);

test("LeafClient says that a key is not let in", async () => {
  const said = await refusal(() => open({ key: createSigningKey() }));
  expect(said).toStartWith("login_refused: ");
  expect(said).toContain("Authorization Violation");
}, 30_000);

test("LeafClient is cut off where it publishes what it may not", async () => {
  using leaf = await open();
  leaf.publish("$SYS.REQ.SERVER.PING", "{}");
  await waitFor(() => leaf.failure !== null, { deadlineMs: 20_000 });
  expect(leaf.objection).toContain("Permissions Violation");
}, 30_000);

test("LeafClient says that nobody is there, and that somebody does not speak", async () => {
  using closed = await listener(() => {});
  closed.server.close();
  expect(await refusal(() => open({ address: closed.address }))).toStartWith("peer_unreachable: ");
  using silent = await listener(() => {});
  expect(await refusal(() => open({ address: silent.address, deadlineMs: 200 }))).toMatch(
    // What is left of them when the connection stands.
    /^peer_unreachable: 127\.0\.0\.1:\d+ did not answer its greeting within (200|1\d\d) ms$/,
  );
}, 30_000);

test("LeafClient takes no endless line, no garbage, no oversized message, no INFO that is none", async () => {
  const cases: [string, string][] = [
    ["INFO ".padEnd(70_000, "x"), "a line of more than 32768 bytes"],
    [`\0\0${"z".repeat(40_000)}`, "a line of more than 32768 bytes"],
    ["HTTP/1.1 400 Bad Request\r\n", "'HTTP/1.1', which is no word of the leaf protocol"],
    ["LMSG a 99999999\r\n", "a message of 99999999 bytes"],
    ["LMSG a\r\n", "a message without a size"],
    ["INFO {}\r\nLMSG a 1\r\nabc\r\n", "a message longer than it says"],
    ["INFO no json\r\n", "is no leaf listener"],
    ['INFO {"tls_required":true}\r\n', "wants TLS"],
  ];
  for (const [bytes, expected] of cases) {
    using rude = await listener((socket) => void socket.write(bytes));
    const said = await refusal(() => open({ address: rude.address }));
    expect(said).toStartWith("peer_refused: ");
    expect(said).toContain(expected);
  }
}, 60_000);

test("LeafClient takes frames in single bytes, and gives up when it is told to", async () => {
  using slow = await listener((socket) => {
    void (async () => {
      for (const byte of Buffer.from('INFO {"nonce":"abc"}\r\nPING\r\n-ERR \'go away\'\r\n')) {
        socket.write(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      socket.end();
    })();
  });
  expect(await refusal(() => open({ address: slow.address }))).toBe(
    `login_refused: ${slow.address} does not let us in: go away`,
  );
  using silent = await listener(() => {});
  const stop = new AbortController();
  const opened = open({ address: silent.address, signal: stop.signal }).catch((error: unknown) => error);
  stop.abort(new Error("stopped"));
  expect(await opened).toEqual(new Error("stopped"));
}, 30_000);
