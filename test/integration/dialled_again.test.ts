/** Whatever a peer does to the connections that we make, we dial it again: nats-server alone stops where a write fails too early. */
import { expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { createSigningKey } from "../../src/nats/keys.ts";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

/** What a nats-server says first; who dials answers it with its own. */
const INFO = {
  server_id: "NTOKYO",
  server_name: "tokyo",
  version: "2.15.1",
  proto: 1,
  headers: true,
  max_payload: 1_048_576,
  nonce: "AAAAAAAAAAA",
  jetstream: true,
  domain: "tokyo",
  compression: "s2_auto",
  client_id: 7,
  leafnode_urls: ["127.0.0.1:7422"],
};
const CONNECTIONS = 6;
/** Longer than a server that dials waits. */
const STOPPED_MS = 4000;
/** Longer than it takes to dial again, and shorter than the sidecar waits before it has the server dial anew. */
const SILENT_MS = 2500;

test("a peer that ends each connection with its first word is dialled again and again", async () => {
  await withPeer(async (mesh, times) => {
    await waitFor(() => times.length >= CONNECTIONS, {
      what: `${CONNECTIONS} connections`,
      deadlineMs: 150_000,
    });
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    const stops = pauses.filter((pause) => pause > STOPPED_MS).length;
    // Where it has stopped, it was told.
    const told = async () =>
      (await mesh.site("berlin").log()).split("have the server dial tokyo anew").length - 1;
    await waitFor(async () => (await told()) >= stops, { what: `${stops} times`, deadlineMs: 20_000 });
    expect(await mesh.site("berlin").log()).not.toContain("refuses");
  });
}, 200_000);

test("a peer that the server has stopped to dial while the sidecar was away is dialled again", async () => {
  await withPeer(async (mesh, times) => {
    const berlin = mesh.site("berlin");
    await waitFor(() => performance.now() - (times.at(-1) ?? Number.POSITIVE_INFINITY) > SILENT_MS, {
      what: "the server to stop",
      deadlineMs: 60_000,
      pollMs: 20,
    });
    await berlin.end("SIGKILL");
    const before = times.length;
    await berlin.start();
    await waitFor(() => times.length > before, { what: "another connection", deadlineMs: 60_000 });
    expect(await berlin.log()).toContain("adopted nats-server");
  });
}, 200_000);

/** A site whose peer ends each connection with its first word, and when it was dialled. */
async function withPeer(work: (mesh: Mesh, times: readonly number[]) => Promise<void>): Promise<void> {
  const times: number[] = [];
  const open = new Set<Socket>();
  const peer = createServer((socket) => {
    times.push(performance.now());
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    // At once: the answer meets a connection that is gone.
    socket.write(`INFO ${JSON.stringify(INFO)} \r\n`);
    socket.resetAndDestroy();
  });
  await new Promise<void>((resolve) => peer.listen(0, "127.0.0.1", () => resolve()));
  const { port } = peer.address() as { port: number };
  const key = (await createSigningKey()).publicKey;
  try {
    await using mesh = await startMesh({
      sites: { berlin: [] },
      tenants: () => [{ tenant: "acme" }],
      mode: "plain",
      edit: (file) => ({
        ...file,
        peers: [{ name: "tokyo", key, dial: `nats-leaf://127.0.0.1:${port}` }],
      }),
    });
    await work(mesh, times);
  } finally {
    for (const socket of open) socket.destroy();
    peer.close();
  }
}
