/**
 * A site of three servers with a sidecar beside each: changes reach every server, and any of them may be lost or rolled, under
 * load. Longer, with figures: `LEAFMESH_CLUSTER_ROUNDS=5 LEAFMESH_CLUSTER_RATE=2000 bun test --timeout 1800000 <this file>`.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import process from "node:process";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { inStream, viewStream } from "../../src/model/names.ts";
import { createSigningKey, type SigningKey } from "../../src/nats/keys.ts";
import { type ClusteredMesh, clusteredMesh } from "../support/clustered_mesh.ts";
import { invite, join } from "../support/invited.ts";
import { faults, Load } from "../support/ledger.ts";
import { letIn } from "../support/let_in.ts";
import type { MeshSite } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const WAIT = { deadlineMs: 180_000, pollMs: 200 } as const;
const ROUNDS = Number(process.env.LEAFMESH_CLUSTER_ROUNDS ?? 1);
/** Events a second of each tenant. */
const RATE = Number(process.env.LEAFMESH_CLUSTER_RATE ?? 200);
const BATCH = Math.ceil(RATE / 50);
/** acme's route is native, shop's a view. */
const TENANTS = ["acme", "shop"] as const;
type Tenant = (typeof TENANTS)[number];
const rules = (tenant: Tenant) =>
  tenant === "acme"
    ? [{ subjects: ["acme.orders.>"] }]
    : [{ subjects: ["shop.orders.>"], redact: [{ path: "$.secret", with: "remove" as const }] }];
const figures: string[] = [];

let mesh: ClusteredMesh;
let loads: Record<Tenant, Load>;
let apps: Record<Tenant, NatsConnection>;

async function open(servers: readonly string[], key: SigningKey): Promise<NatsConnection> {
  return await letIn(
    {
      servers: [...servers],
      authenticator: nkeyAuthenticator(() => key.seed()),
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100,
      ignoreAuthErrorAbort: true,
    },
    { ...WAIT, what: `${servers} to let a user in` },
  );
}

interface Link {
  readonly peer: string;
  readonly connected: boolean;
  readonly routes: readonly { readonly why: string | null }[];
}

/** The member whose sidecar leads, once all routes of the site flow. */
async function leader(): Promise<MeshSite> {
  return await waitFor(
    async () => {
      for (const member of mesh.members) {
        if (!member.running) continue;
        const response = await member.api("GET", "/v1/links").catch(() => null);
        if (response?.ok !== true) continue;
        const { items } = (await response.json()) as { items: Link[] };
        if (items.every(({ connected, routes }) => connected && routes.every(({ why }) => why === null)))
          return member;
        throw new Error(JSON.stringify(items));
      }
      return null;
    },
    { ...WAIT, what: "a sidecar that leads, with all routes flowing" },
  );
}

async function received(tenant: string, site = mesh.tokyo): Promise<number> {
  await using nats = await site.mesh();
  return (await nats.jsm.streams.info(inStream(tenant, true))).state.messages;
}

/** Apps publish, and the peer gets what they publish from now on. */
async function goesOn(what: string): Promise<void> {
  const began = performance.now();
  for (const tenant of TENANTS) {
    const before = loads[tenant].count;
    await waitFor(() => loads[tenant].count > before + 100, {
      ...WAIT,
      what: `berlin to take events of ${tenant}`,
    });
  }
  const taken = performance.now();
  for (const tenant of TENANTS) {
    const arrived = await received(tenant);
    await waitFor(async () => (await received(tenant)) > arrived + 100, {
      ...WAIT,
      what: `tokyo to get events of ${tenant}`,
    });
  }
  const ms = (until: number) => `${Math.round(until - began)} ms`;
  figures.push(`${what}: taken again after ${ms(taken)}, across after ${ms(performance.now())}`);
}

/** The member whose server leads a stream. */
async function leads(stream: string): Promise<MeshSite> {
  return await waitFor(
    async () => {
      for (const member of mesh.members) {
        if (!member.running) continue;
        await using nats = await member.mesh();
        const { cluster } = await nats.jsm.streams.info(stream);
        return mesh.members.find(({ file }) => cluster?.leader === `berlin-${file.server?.cluster?.member}`);
      }
      return null;
    },
    { ...WAIT, what: `a leader of ${stream}` },
  );
}

/** Replaces a document, whichever sidecar leads by then, and has it applied. */
async function change(path: string, body: object): Promise<void> {
  const [member] = mesh.members;
  await waitFor(async () => await member?.put(path, body), { ...WAIT, what: `${path} to be taken` });
  await waitFor(async () => (await member?.api("POST", "/v1/apply"))?.ok, {
    ...WAIT,
    what: `${path} to be applied`,
  });
}

async function ready(member: MeshSite): Promise<void> {
  await waitFor(async () => (await fetch(`http://${member.file.api?.listen}/readyz`)).ok, {
    ...WAIT,
    what: `${member.folder} to be ready`,
  });
}

beforeAll(async () => {
  mesh = await clusteredMesh((site) => {
    if (site === "austin") return [{ tenant: "late" }];
    return TENANTS.map((tenant) =>
      site === "berlin"
        ? {
            tenant,
            exports: [{ name: "orders", start: "all" as const, rules: rules(tenant), to: ["tokyo"] }],
          }
        : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
    );
  });
  await Promise.all([mesh.tokyo.start(), ...mesh.members.map((member) => member.launch())]);
  await leader();
  apps = {
    acme: await open(mesh.servers, mesh.tokyo.appKey("acme")),
    shop: await open(mesh.servers, mesh.tokyo.appKey("shop")),
  };
  const load = (tenant: Tenant) =>
    new Load(apps[tenant], {
      subject: (n) => `${tenant}.orders.${n % 4}`,
      body: () => ({ secret: "s" }),
      batch: BATCH,
      pauseMs: 20,
    });
  loads = { acme: load("acme"), shop: load("shop") };
}, 300_000);

afterAll(async () => {
  if (process.env.LEAFMESH_CLUSTER_ROUNDS !== undefined) process.stdout.write(`${figures.join("\n")}\n`);
  await Promise.all(TENANTS.map((tenant) => loads?.[tenant].stop().catch(() => undefined)));
  await Promise.all(TENANTS.map((tenant) => apps?.[tenant].close()));
  await mesh?.[Symbol.asyncDispose]();
}, 60_000);

describe("a site of three servers with a sidecar beside each", () => {
  test("lets a new user in at every server, and at none any more when it is removed", async () => {
    const lead = await leader();
    const key = createSigningKey();
    const app = { name: "app", key: mesh.tokyo.appKey("acme").publicKey };
    const { value } = await lead.json<{ value: object }>("/v1/tenants/acme");
    await change("/v1/tenants/acme", { ...value, users: [app, { name: "late", key: key.publicKey }] });
    for (const server of mesh.servers) {
      const nc = await open([server], key);
      await nc.close();
    }
    await change("/v1/tenants/acme", { ...value, users: [app] });
    for (const server of mesh.servers) {
      const refused = connect({
        servers: server,
        authenticator: nkeyAuthenticator(() => key.seed()),
        reconnect: false,
      });
      expect(refused).rejects.toThrow(/uthorization/);
      await refused.catch(() => undefined);
    }
  }, 240_000);

  test(
    "goes on when servers and their sidecars are killed, those that lead among them",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const lead = await leader();
        const victims = [
          lead,
          await leads(viewStream("shop", "orders")),
          ...(ROUNDS > 1 ? mesh.members : []),
        ];
        for (const member of victims) {
          await member.kill();
          await goesOn(`${member.folder.slice(-1)} killed`);
          await member.launch();
          await ready(member);
        }
      }
    },
    240_000 * ROUNDS,
  );

  test(
    "goes on when all sidecars with their servers are stopped and started one after another",
    async () => {
      for (let round = 0; round < ROUNDS; round++) {
        for (const member of mesh.members) {
          await member.end("SIGTERM");
          await goesOn(`${member.folder.slice(-1)} stopped`);
          await member.launch();
          await ready(member);
        }
      }
      await leader();
    },
    240_000 * ROUNDS,
  );

  test("lets in a site that it has invited, and takes a tenant for it at every server", async () => {
    await mesh.austin.start();
    const { token } = await waitFor(async () => await invite(await leader(), "austin"), WAIT);
    await join(mesh.austin, token);
    const key = mesh.austin.appKey("late");
    await mesh.austin.put("/v1/tenants/late/imports/berlin", { subjects: ["late.>"] });
    await change("/v1/tenants/late", { tenant: "late", users: [{ name: "app", key: key.publicKey }] });
    await change("/v1/tenants/late/exports/all", {
      name: "all",
      to: ["austin"],
      start: "all",
      rules: [{ subjects: ["late.>"] }],
    });
    const acked: number[] = [];
    for (const [n, server] of mesh.servers.entries()) {
      const nc = await waitFor(() => open([server], key), {
        ...WAIT,
        what: `${server} to let the tenant in`,
      });
      await waitFor(() => nc.request("late.orders", JSON.stringify({ n }), { timeout: 2000 }), {
        ...WAIT,
        what: `${server} to take events`,
      });
      acked.push(n);
      await nc.close();
    }
    await waitFor(async () => (await received("late", mesh.austin)) >= acked.length, {
      ...WAIT,
      what: "austin to get what each server took",
    });
  }, 180_000);

  test("and has lost, repeated and reordered nothing, here and at the peer", async () => {
    await Promise.all(TENANTS.map((tenant) => loads[tenant].stop()));
    for (const tenant of TENANTS) {
      const { acked, count } = loads[tenant];
      for (const nc of [apps[tenant], await mesh.tokyo.app(tenant)]) {
        const read = () => readLog(nc, tenant, `berlin.${tenant}.>`);
        await waitFor(async () => (await read()).length >= count, {
          ...WAIT,
          pollMs: 1000,
          what: `all ${count} events of ${tenant}`,
        });
        const { seen, repeated, reordered } = faults(await read(), acked);
        const lost = [...acked.keys()].filter((n) => !seen.has(n));
        const found = { tenant, repeated, reordered, lost, count: seen.size };
        expect(found).toEqual({ tenant, repeated: [], reordered: 0, lost: [], count });
        figures.push(
          `${tenant}: ${count} events, lost ${lost.length}, repeated ${repeated.length}, reordered ${reordered}`,
        );
      }
    }
  }, 180_000);
});
