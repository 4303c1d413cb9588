/** Before retention drops what a peer has not received, an alarm says so with numbers; when it does, another one. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { alarmsOf } from "../support/alarms.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const BODY = "x".repeat(1000);
const raised = async (site: MeshSite, name: string, target: string) =>
  (await alarmsOf(site)).find((one) => one.name === name && one.target === target);

test("a peer that is away: told before events are dropped, and when they are; a publisher that is full is told, too", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [
            {
              tenant: "acme",
              limits: { storage: "1MiB" },
              exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] }],
            },
            { tenant: "globex", limits: { storage: "256KiB", whenFull: "refuse" } },
          ]
        : [{ tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] }],
    edit: (file) => ({ ...file, alarms: { linkDown: "1s", retentionShare: 40 } }),
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const publish = async (count: number) => {
    await Promise.all(Array.from({ length: count }, () => js.publish("acme.orders.x", BODY)));
  };
  await publish(10);
  await waitFor(async () => (await berlin.links())[0]?.routes[0]?.position === 10, { what: "ten to cross" });
  expect((await alarmsOf(berlin)).filter(({ tenant }) => tenant !== null)).toEqual([]);

  // Away, and its link with it: the server under its keeper would take events on.
  await austin.end("SIGTERM");
  await waitFor(() => raised(berlin, "link-down", "austin"), {
    what: "the link to be missed",
    deadlineMs: 30_000,
  });
  await publish(700);
  const ahead = await waitFor(() => raised(berlin, "retention-ahead", "acme/out/austin"), {
    what: "to be told before",
    deadlineMs: 30_000,
  });
  expect(ahead).toMatchObject({ severity: "warning", tenant: "acme", peer: "austin" });
  expect(ahead.detail).toMatch(
    /^\d+ events \(about .+iB\) of out_acme wait for austin, from 11 on: .*limits\.storage/,
  );
  expect(await raised(berlin, "retention-lost", "acme/out/austin")).toBeUndefined();

  await publish(700);
  await using inside = await berlin.mesh();
  const { state } = await inside.jsm.streams.info("out_acme");
  // Ten were received: what is gone is exactly the rest of what is not there any more.
  const exactly = `at most ${state.first_seq - 11} events that austin has not received were dropped`;
  const lost = await waitFor(
    async () => {
      const alarm = await raised(berlin, "retention-lost", "acme/out/austin");
      return alarm?.detail.startsWith(exactly) === true ? alarm : null;
    },
    { what: `the loss to be told: ${exactly}`, deadlineMs: 30_000 },
  );
  expect(lost.severity).toBe("critical");
  const site = await berlin.json<{
    alarms: { critical: number };
    store: { budgetBytes: number; usedBytes: number };
  }>("/v1/site");
  expect(site.alarms.critical).toBeGreaterThan(0);
  // Out, in, log and apps of two tenants: 2 + 3 + 3 times the storage, apps 32 MiB at the least.
  expect(site.store.budgetBytes).toBe((2 + 3) * (1024 + 256) * 1024 + 2 * 32 * 1024 ** 2);
  expect(site.store.usedBytes).toBeGreaterThan(1_000_000);
  const metrics = await (await berlin.api("GET", "/metrics")).text();
  expect(metrics).toMatch(
    /leafmesh_alarm\{site="berlin",name="retention-lost",target="acme\/out\/austin",severity="critical"\} 1/,
  );
  for (const name of ["store_free_bytes", "store_budget_bytes", "memory_bytes"])
    expect(metrics).toMatch(new RegExp(`leafmesh_${name}\\{site="berlin"\\} [1-9]`));

  // The other tenant's publisher is told that its budget is full, and its operator that it nearly is.
  const full = jetstream(await berlin.app("globex"));
  const refused = await (async () => {
    for (let n = 0; n < 400; n++) {
      const error = await full.publish("globex.x", BODY).then(
        () => null,
        (thrown: Error) => thrown,
      );
      if (error !== null) return error.message;
    }
    return null;
  })();
  expect(refused).toBe("maximum bytes exceeded");
  await waitFor(() => raised(berlin, "budget-nearly-full", "globex/out_globex"), {
    what: "the budget to be told",
    deadlineMs: 30_000,
  });
  // It has cost the first tenant nothing.
  await publish(1);

  await austin.start();
  await waitFor(
    async () => {
      const names = (await alarmsOf(berlin)).filter(({ peer }) => peer === "austin").map(({ name }) => name);
      return names.length === 0;
    },
    { what: "all alarms of the peer to be over", deadlineMs: 60_000 },
  );
  // What the sidecar has said comes through a pipe.
  await waitFor(async () => (await berlin.log()).includes("retention-lost cleared for acme/out/austin"), {
    what: "the end of the loss in the log",
  });
  const log = await berlin.log();
  for (const name of ["link-down", "retention-ahead", "retention-lost"])
    expect(log.split("\n").filter((line) => line.includes(`alarm: ${name} raised`))).toHaveLength(1);
}, 180_000);
