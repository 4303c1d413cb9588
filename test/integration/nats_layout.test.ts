/** The NATS layout of DESIGN.md §2 and §3 on real servers: what flows. What must not is in nats_isolation.test.ts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { logStream, outStream, rpcSubject, tenantApiPrefix } from "../../src/model/names.ts";
import { makeExport, makeImport, makeTenantStreams } from "../support/native_routes.ts";
import { startSites, type TestSites } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

const NAMES = ["berlin", "tokyo", "austin"];
const TENANTS = ["acme", "globex"];

let sites: TestSites;

beforeAll(async () => {
  sites = await startSites({
    sites: Object.fromEntries(
      NAMES.map((name) => {
        const peers = NAMES.filter((peer) => peer !== name);
        const tenants = TENANTS.map((tenant) => ({
          tenant,
          imports: peers.map((from) => ({ from, subjects: [`${tenant}.>`] })),
        }));
        return [name, { tenants }];
      }),
    ),
    links: [
      ["berlin", "tokyo"],
      ["tokyo", "austin"],
      ["austin", "berlin"],
    ],
  });
  for (const tenant of TENANTS) {
    for (const site of sites.all) await makeTenantStreams(site, tenant);
    for (const site of sites.all) {
      for (const peer of NAMES.filter((name) => name !== site.name)) {
        await makeExport(site, peer, tenant, [`${tenant}.orders.>`]);
      }
    }
    for (const site of sites.all) {
      await makeImport(
        site,
        NAMES.filter((name) => name !== site.name),
        tenant,
      );
    }
  }
}, 60_000);

afterAll(async () => await sites?.[Symbol.asyncDispose]());

function listen(connection: NatsConnection, subject: string): string[] {
  const got: string[] = [];
  connection.subscribe(subject, {
    callback: (_, message) => void got.push(`${message.subject} ${message.string()}`),
  });
  return got;
}

describe("native routes in a full ring of three sites", () => {
  test("bring what is exported to every site's subscribers and logs, and nothing else", async () => {
    const heard = new Map<string, string[]>();
    for (const site of sites.all) {
      for (const tenant of TENANTS) {
        const app = await site.app(tenant);
        heard.set(`${tenant}@${site.name}`, listen(app, `${tenant}.>`));
        await app.flush();
      }
    }
    for (const site of sites.all) {
      for (const tenant of TENANTS) {
        const js = jetstream(await site.app(tenant));
        const ack = await js.publish(`${tenant}.orders.created`, `shared ${tenant}@${site.name}`);
        expect(ack.stream).toBe(outStream(tenant));
        expect(ack.domain).toBe(site.name);
        await js.publish(`${tenant}.private.note`, `private ${tenant}@${site.name}`);
      }
    }
    for (const site of sites.all) {
      for (const tenant of TENANTS) {
        const expected = [
          ...NAMES.map((name) => `${tenant}.orders.created shared ${tenant}@${name}`),
          `${tenant}.private.note private ${tenant}@${site.name}`,
        ].sort();
        const got = () => [...(heard.get(`${tenant}@${site.name}`) ?? [])].sort();
        await waitFor(() => got().length >= expected.length, { what: `events of ${tenant} at ${site.name}` });
        expect(got()).toEqual(expected);
        const log = await jetstreamManager(await site.app(tenant));
        await waitFor(
          async () => (await log.streams.info(logStream(tenant))).state.messages === expected.length,
          {
            what: `the log of ${tenant} at ${site.name}`,
          },
        );
      }
    }
  }, 60_000);
});

describe("the tenant's JetStream from MESH", () => {
  test("makes, updates, lists and removes streams under tenantApiPrefix()", async () => {
    const manager = await jetstreamManager(sites.site("berlin").mesh, {
      apiPrefix: tenantApiPrefix("acme"),
      checkAPI: false,
    });
    await manager.streams.add({ name: "made", subjects: ["made.>"] });
    const { config } = await manager.streams.info("made");
    await manager.streams.update("made", { ...config, max_msgs: 7 });
    expect((await manager.streams.info("made")).config.max_msgs).toBe(7);
    const names = await manager.streams.list().next();
    expect(names.map((stream) => stream.config.name).sort()).toEqual(["acme", "made"]);
    await manager.consumers.add("made", { durable_name: "worker", ack_policy: "explicit" });
    expect((await manager.consumers.list("made").next()).map((consumer) => consumer.name)).toEqual([
      "worker",
    ]);
    await manager.streams.delete("made");
  });
});

describe("the sidecars' RPC", () => {
  test("reaches the peer over the link in both directions, and its answer comes back", async () => {
    for (const [us, them] of [
      ["berlin", "tokyo"],
      ["tokyo", "berlin"],
    ] as const) {
      const ear = sites.site(them).mesh.subscribe(rpcSubject(them, us, ">"), {
        callback: (_, message) =>
          void message.respond(`${them} hears ${message.subject}: ${message.string()}`),
      });
      await sites.site(them).mesh.flush();
      const answer = await waitFor(() =>
        sites.site(us).mesh.request(rpcSubject(them, us, "status"), "hello", { timeout: 1000 }),
      );
      expect(answer.string()).toBe(`${them} hears mesh.${them}.rpc.${us}.status: hello`);
      ear.unsubscribe();
    }
  });
});
