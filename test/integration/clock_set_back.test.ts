/** A connection that was made while the clock was ahead comes back as soon as any other. */
import { expect, test } from "bun:test";
import { connect } from "@nats-io/transport-node";
import { connectionOptions, steadyWait } from "../../src/nats/control_connection.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { TestServer, until } from "./flow_support.ts";

const DAY_MS = 86_400_000;

test("connectionOptions() reconnects after the clock was set back by a day", async () => {
  await using server = await TestServer.start();
  const { now } = Date;
  Date.now = () => now() + DAY_MS;
  const connecting = connect(connectionOptions("tokyo", `127.0.0.1:${server.port}`, createSigningKey()));
  const nc = await connecting.finally(() => {
    Date.now = now;
  });
  try {
    let back = false;
    void (async () => {
      for await (const { type } of nc.status()) back ||= type === "reconnect";
    })();
    await server.kill();
    await server.up();
    await until(() => back, "the connection is back", 30_000);
    expect(nc.isClosed()).toBe(false);
  } finally {
    await nc.close();
  }
}, 60_000);

test("steadyWait() lets the client try at once, and then after the pause", () => {
  let now = 1000;
  const wait = steadyWait(300, () => now);
  expect(wait()).toBeLessThan(-DAY_MS);
  now += 100;
  expect(wait()).toBe(200);
  now += 200;
  expect(wait()).toBeLessThan(-DAY_MS);
});
