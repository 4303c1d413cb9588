/** Changing a running server's accounts: who notices, and what a reload must not break. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { desiredTenant } from "../../src/model/desired.ts";
import { logStream, outStream } from "../../src/model/names.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { retiredTenants } from "../../src/nats/system_api.ts";
import { makeTenantStreams } from "../support/native_routes.ts";
import { startSites, type TestSite, type TestSites } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

let sites: TestSites;
let berlin: TestSite;
const globexApp = createSigningKey();

beforeAll(async () => {
  sites = await startSites({ sites: { berlin: { tenants: ["acme"] }, tokyo: {} } });
  berlin = sites.site("berlin");
  await makeTenantStreams(berlin, "acme");
}, 30_000);

afterAll(async () => await sites?.[Symbol.asyncDispose]());

/** Counts the times that a connection was lost. */
function losses(connection: NatsConnection): () => number {
  let count = 0;
  void (async () => {
    for await (const status of connection.status()) if (status.type === "disconnect") count++;
  })();
  return () => count;
}

const withGlobex = () => ({
  ...berlin.desired,
  tenants: [
    ...berlin.desired.tenants.filter((tenant) => tenant.name !== "globex"),
    desiredTenant({ tenant: "globex", users: [{ name: "app", key: globexApp.publicKey }] }),
  ],
});
const withoutGlobex = () => ({
  ...berlin.desired,
  tenants: berlin.desired.tenants.filter((tenant) => tenant.name !== "globex"),
});
/** What a sidecar passes to the renderer: tenants that are gone from `desired` and not from the server. */
const retired = async (desired: typeof berlin.desired) =>
  retiredTenants(
    await berlin.control.system.accounts(),
    desired.tenants.map((tenant) => tenant.name),
  );

describe("reload()", () => {
  test("adds a tenant whose publishes are acknowledged at once, and drops no client", async () => {
    const app = await berlin.app("acme");
    const lost = [losses(app), losses(berlin.mesh), losses(berlin.control.sys)];
    await berlin.reload(withGlobex());
    await makeTenantStreams(berlin, "globex");
    const globex = await berlin.app("globex", globexApp);
    const ack = await jetstream(globex).publish("globex.a", "first");
    expect(ack.stream).toBe(outStream("globex"));
    const log = await jetstreamManager(globex);
    await waitFor(async () => (await log.streams.info(logStream("globex"))).state.messages === 1, {
      what: "the log of the new tenant",
    });
    await app.flush();
    expect(lost.map((count) => count())).toEqual([0, 0, 0]);
    expect((await jetstream(app).publish("acme.a", "still here")).stream).toBe(outStream("acme"));
  });

  test("closes the door on a removed tenant, whose data is there when it comes back without a restart", async () => {
    const globex = await berlin.app("globex", globexApp, { reconnect: false });
    const desired = withoutGlobex();
    expect(await retired(desired)).toEqual(["globex"]);
    await berlin.reload(desired, await retired(desired));
    await globex.closed();
    await expect(berlin.app("globex", globexApp, { reconnect: false })).rejects.toThrow(/authorization/i);
    expect(await berlin.control.system.accounts()).toContain("T_globex");

    await berlin.reload(withGlobex());
    const back = await berlin.app("globex", globexApp);
    const ack = await jetstream(back).publish("globex.a", "second");
    expect(ack).toMatchObject({ stream: outStream("globex"), seq: 2 });
    const log = await jetstreamManager(back);
    await waitFor(async () => (await log.streams.info(logStream("globex"))).state.messages === 2, {
      what: "the log of the tenant that came back",
    });
  });

  test("adds a peer in both directions: the link comes up", async () => {
    const tokyo = sites.site("tokyo");
    const dial = `tls://${tokyo.addresses.leaf}`;
    await tokyo.reload({
      ...tokyo.desired,
      peers: [{ name: "berlin", key: berlin.keys.site.publicKey, ca: berlin.pki?.caPem }],
    });
    await berlin.reload({
      ...berlin.desired,
      peers: [{ name: "tokyo", key: tokyo.keys.site.publicKey, ca: tokyo.pki?.caPem, dial }],
    });
    await sites.linked();
    const [link] = await berlin.control.system.leafs(["tokyo"]);
    expect(link).toMatchObject({ type: "up", name: "tokyo", dialed: true });
  });

  test("passes on why the server refuses a configuration, and leaves the old one in force", async () => {
    const before = await berlin.control.system.accounts();
    await writeFile(
      berlin.server.configFile,
      'listen: "127.0.0.1:4222"\naccounts { X { users: [ { nkey: "no" } ] } }',
    );
    await expect(berlin.control.system.reload()).rejects.toMatchObject({
      code: "server_config_refused",
      message: expect.stringContaining("Not a valid public nkey"),
    });
    expect(await berlin.control.system.accounts()).toEqual(before);
    await berlin.reload(berlin.desired);
  });
});

describe("SystemApi", () => {
  test("tells of the server and of an account's borders", async () => {
    const varz = await berlin.control.system.varz();
    expect(varz).toMatchObject({ server_name: "berlin", jetstream: { config: { domain: "berlin" } } });
    const account = await berlin.control.system.account("T_acme");
    expect(account?.jetstream_enabled).toBe(true);
    expect(account?.imports?.map((border) => border.subject)).toContain("berlin.acme.>");
    expect(await berlin.control.system.account("T_nobody")).toBeNull();
  });
});
