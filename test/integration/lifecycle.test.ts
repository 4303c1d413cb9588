/** How a sidecar ends: it drains, a second signal hurries it, a deadline ends it; and nothing is lost or repeated in any way. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import process from "node:process";
import { jetstream } from "@nats-io/jetstream";
import { createSigningKey } from "../../src/nats/keys.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { type Mesh, type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

let mesh: Mesh | null = null;
const frozen: number[] = [];

afterEach(async () => {
  for (const pid of frozen.splice(0)) {
    try {
      process.kill(pid, "SIGCONT");
    } catch {
      // It is gone already.
    }
  }
  await mesh?.[Symbol.asyncDispose]();
  mesh = null;
}, 60_000);

/** A site with a view, that has decided `count` events. */
async function siteWithView(drain: string): Promise<MeshSite> {
  mesh = await startMesh({
    sites: { berlin: [] },
    tenants: () => [
      {
        tenant: "acme",
        exports: [
          {
            name: "out",
            to: ["austin"],
            start: "all",
            rules: [{ subjects: ["acme.orders.>"], headers: { set: { seen: "yes" } } }],
          },
        ],
      },
    ],
    // A peer that never comes: the view is filled all the same.
    edit: (file) => ({ ...file, drain, peers: [{ name: "austin", key: createSigningKey().publicKey }] }),
    mode: "plain",
  });
  return mesh.site("berlin");
}

async function publish(site: MeshSite, from: number, to: number): Promise<void> {
  const js = jetstream(await site.app("acme"));
  await Promise.all(
    Array.from({ length: to - from }, (_, index) =>
      js.publish("acme.orders.new", JSON.stringify({ n: from + index }), { msgID: String(from + index) }),
    ),
  );
}

/** The numbers of the events in the view, in its order, once there are as many. */
async function decided(site: MeshSite, count: number): Promise<readonly number[]> {
  await using server = await site.mesh();
  const { jsm } = server;
  return await waitFor(
    async () => {
      const { state } = await jsm.streams.info("view_acme_out");
      if (state.messages < count) return null;
      const numbers: number[] = [];
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage("view_acme_out", { seq });
        numbers.push(JSON.parse(message?.string() ?? "{}").n);
      }
      return numbers;
    },
    { deadlineMs: 60_000, what: `${count} events in the view` },
  );
}

const serverOf = async (site: MeshSite) =>
  (await readRunningProcess(join(site.dataFolder, "nats.pid")))?.pid ?? null;

async function freezeServer(site: MeshSite): Promise<number> {
  const pid = await serverOf(site);
  if (pid === null) throw new Error("no server runs");
  frozen.push(pid);
  process.kill(pid, "SIGSTOP");
  return pid;
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

test("the first signal drains: what was taken is stored, the server ends with the sidecar, exit code 0", async () => {
  const site = await siteWithView("60s");
  await publish(site, 0, 300);
  process.kill(site.pid, "SIGTERM");
  await waitFor(() => !site.running, { deadlineMs: 60_000, what: "the sidecar to end" });
  expect(site.exitCode).toBe(0);
  expect(await serverOf(site)).toBeNull();
  await site.start();
  await publish(site, 300, 310);
  const numbers = await decided(site, 310);
  expect([...numbers].sort((left, right) => left - right)).toEqual(upTo(310));
}, 150_000);

test("a second signal ends the process at once, and the server ends by itself; nothing is lost or repeated", async () => {
  const site = await siteWithView("10m");
  await publish(site, 0, 100);
  await decided(site, 100);
  // Nothing can be drained with a server that does not answer.
  const server = await freezeServer(site);
  process.kill(site.pid, "SIGTERM");
  await waitFor(async () => (await site.log()).includes("SIGTERM: stopping"), { deadlineMs: 60_000 });
  expect(site.running).toBe(true);
  process.kill(site.pid, "SIGTERM");
  await waitFor(() => !site.running, { deadlineMs: 60_000, what: "the sidecar to end" });
  expect(site.exitCode).toBe(143);
  process.kill(server, "SIGCONT");
  await waitFor(async () => (await serverOf(site)) === null, {
    deadlineMs: 60_000,
    what: "the server to end",
  });
  await site.start();
  await publish(site, 100, 110);
  expect([...(await decided(site, 110))].sort((left, right) => left - right)).toEqual(upTo(110));
}, 240_000);

test("a stop that is not drained in time ends with exit code 10, and the next start goes on", async () => {
  const site = await siteWithView("500ms");
  await publish(site, 0, 100);
  await decided(site, 100);
  const server = await freezeServer(site);
  process.kill(site.pid, "SIGTERM");
  await waitFor(() => !site.running, { deadlineMs: 60_000, what: "the sidecar to end" });
  expect(site.exitCode).toBe(10);
  expect(await site.log()).toContain("not drained after 500 ms");
  process.kill(server, "SIGCONT");
  // Before the server has ended: the start waits for it, or takes it up.
  await site.start();
  await publish(site, 100, 110);
  expect([...(await decided(site, 110))].sort((left, right) => left - right)).toEqual(upTo(110));
}, 240_000);

test("a test that dies leaves neither sidecars nor servers behind", async () => {
  mesh = await startMesh({ sites: { berlin: [] }, tenants: () => [], mode: "plain" });
  const site = mesh.site("berlin");
  const server = await serverOf(site);
  expect(server).not.toBeNull();
  site.letGo();
  await waitFor(() => !site.running, { deadlineMs: 60_000, what: "the sidecar to end" });
  expect(await serverOf(site)).toBeNull();
}, 150_000);
