/** Whatever a peer does to the connections that we make, we dial it again: nats-server alone stops where a write fails too early. */
import { expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { createSigningKey } from "../../src/nats/keys.ts";
import { startMesh } from "../support/mesh.ts";
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

test("a peer that ends each connection with its first word is dialled again and again", async () => {
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
  } finally {
    for (const socket of open) socket.destroy();
    peer.close();
  }
}, 200_000);
