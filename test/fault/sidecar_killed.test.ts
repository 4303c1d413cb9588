/** Sidecars killed with SIGKILL under load: native routes flow on, views go on where they were. */
import { expect, test } from "bun:test";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { faults, Load } from "../support/ledger.ts";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const VIEW = {
  name: "out",
  to: ["austin"],
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" as const }] }],
};
const NATIVE = { name: "out", to: ["austin"], rules: [{ subjects: ["globex.orders.>"] }] };

async function pair() {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [
            { tenant: "acme", exports: [structuredClone(VIEW)] },
            { tenant: "globex", exports: [structuredClone(NATIVE)] },
          ]
        : [
            { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
            { tenant: "globex", imports: [{ from: "berlin", subjects: ["globex.>"] }] },
          ],
  });
}

test("SIGKILL of both sidecars under load: native flows on, the view resumes, nothing lost or repeated", async () => {
  await using mesh = await pair();
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const loads = {
    acme: new Load(await berlin.app("acme"), {
      subject: () => "acme.orders.x",
      body: (n) => ({ email: `person-${n}@example.org` }),
    }),
    globex: new Load(await berlin.app("globex"), { subject: () => "globex.orders.x" }),
  };
  const far = { acme: await austin.app("acme"), globex: await austin.app("globex") };
  const read = (tenant: "acme" | "globex") => readLog(far[tenant], tenant, `berlin.${tenant}.orders.>`);
  await waitFor(() => loads.acme.count > 300 && loads.globex.count > 300, {
    what: "a load",
    deadlineMs: 30_000,
  });

  const server = await readRunningProcess(`${berlin.dataFolder}/nats.pid`);
  for (let round = 0; round < 3; round++) {
    await Promise.all([berlin.end("SIGKILL"), austin.end("SIGKILL")]);
    const from = (await read("globex")).length;
    await waitFor(async () => (await read("globex")).length > from + 200, {
      what: "native events to cross while no sidecar runs",
      deadlineMs: 30_000,
    });
    await Promise.all([berlin.start(), austin.start()]);
    const seen = (await read("acme")).length;
    await waitFor(async () => (await read("acme")).length > seen + 200, {
      what: "the view to go on",
      deadlineMs: 30_000,
    });
  }
  // The server was adopted each time, not restarted.
  expect((await readRunningProcess(`${berlin.dataFolder}/nats.pid`))?.pid).toBe(server?.pid ?? -1);

  for (const tenant of ["acme", "globex"] as const) {
    const load = loads[tenant];
    await load.stop();
    const events = await waitFor(
      async () => {
        const found = await read(tenant);
        return found.length >= load.count ? found : null;
      },
      { deadlineMs: 40_000, what: `${load.count} events of ${tenant}` },
    );
    expect(events.length).toBe(load.count);
    expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
    if (tenant === "acme") expect(events.filter((event) => "email" in event.body).length).toBe(0);
  }
}, 240_000);

test("SIGKILL of both nats-servers under load: they come back, nothing lost or repeated", async () => {
  await using mesh = await pair();
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), {
    subject: () => "acme.orders.x",
    body: () => ({ email: "a@example.org" }),
  });
  const far = await austin.app("acme");
  for (const site of [berlin, austin, berlin]) {
    const from = load.count;
    await waitFor(() => load.count > from + 300, { what: "a load", deadlineMs: 20_000 });
    const server = await readRunningProcess(`${site.dataFolder}/nats.pid`);
    expect(server).not.toBeNull();
    process.kill(server?.pid ?? 0, "SIGKILL");
    await waitFor(
      async () => {
        const now = await readRunningProcess(`${site.dataFolder}/nats.pid`);
        return now !== null && now.pid !== server?.pid;
      },
      { what: "a new server", deadlineMs: 20_000 },
    );
  }
  await load.stop();
  const events = await waitFor(
    async () => {
      const found = await readLog(far, "acme", "berlin.acme.orders.>");
      return found.length >= load.count ? found : null;
    },
    { deadlineMs: 40_000, what: `${load.count} events` },
  );
  expect(events.length).toBe(load.count);
  expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
}, 240_000);
