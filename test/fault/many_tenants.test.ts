/** Many tenants, one of which floods: the others' events arrive as before, and its budgets hold. */
import { expect, test } from "bun:test";
import process from "node:process";
import { jetstream } from "@nats-io/jetstream";
import type { SiteReport } from "../../src/control/site_api.ts";
import { LoadProcesses } from "../support/load_processes.ts";
import { startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

/** Each costs a start a part of a second: LEAFMESH_TENANTS=100 by hand, on a machine with nothing else to do. */
const COUNT = Number(process.env.LEAFMESH_TENANTS ?? "20");
const TENANTS = Array.from({ length: COUNT }, (_, n) => `t${n}`);
/** Views run for a few, native routes for the others. */
const VIEWS = new Set(["t0", "t1", "t2"]);
const OTHERS = ["t1", "t2", "t3", `t${COUNT - 1}`];
const STORAGE = 4 * 1024 ** 2;

test("a tenant that floods is held to its budget, and the others' events arrive as before", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    // Those that cross a link are a few; the others only have their streams and their accounts.
    tenants: (site) =>
      (site === "berlin" ? TENANTS : ["t0", ...OTHERS]).map((tenant) => {
        const base = { tenant, log: false, limits: { storage: `${STORAGE}` } };
        if (site !== "berlin") return { ...base, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] };
        if (tenant !== "t0" && !OTHERS.includes(tenant)) return base;
        const redact = VIEWS.has(tenant) ? { redact: [{ path: "$.email", with: "remove" as const }] } : {};
        const rules = [{ subjects: [`${tenant}.>`], ...redact }];
        return { ...base, exports: [{ name: "out", to: ["austin"], rules }] };
      }),
    edit: (file) => ({ ...file, server: { ...file.server, sync: "1s" } }),
    startMs: 180_000,
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const arrived = new Map<string, number>();
  const apps = new Map(
    await Promise.all(
      OTHERS.map(async (tenant) => {
        const far = await austin.app(tenant);
        far.subscribe(`${tenant}.>`, {
          callback: (_error, message) => void arrived.set(message.string(), performance.now()),
        });
        await far.flush();
        return [tenant, jetstream(await berlin.app(tenant))] as const;
      }),
    ),
  );
  let next = 0;
  /** How long events of the others take to the other site: the middle one, milliseconds. */
  const measure = async (rounds: number) => {
    const took: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const sent = new Map<string, number>();
      await Promise.all(
        [...apps].map(async ([tenant, js]) => {
          const event = `{"n":${next++}}`;
          sent.set(event, performance.now());
          await js.publish(`${tenant}.x`, event, { timeout: 20_000 });
        }),
      );
      await waitFor(() => [...sent.keys()].every((event) => arrived.has(event)), {
        what: "the others' events",
        deadlineMs: 20_000,
        pollMs: 1,
      });
      for (const [event, at] of sent) took.push((arrived.get(event) ?? 0) - at);
    }
    return took.sort((a, b) => a - b)[took.length >> 1] ?? 0;
  };
  await measure(5);
  const aloneMs = await measure(25);
  await using flood = new LoadProcesses(berlin, "t0", {
    publishers: 1,
    rate: 20_000,
    subjects: ["t0.x"],
    body: `"email":"ada@example.net","filler":"${"x".repeat(400)}"`,
  });
  await waitFor(() => flood.count > 15_000, { what: "a flood", deadlineMs: 60_000 });
  const besideMs = await measure(25);
  const { memory } = await berlin.json<SiteReport>("/v1/site");
  await using inside = await berlin.mesh();
  const { state } = await inside.jsm.streams.info("out_t0");
  const other = (await inside.jsm.streams.info("out_t3")).state;
  const published = await flood.finish();
  const told = JSON.stringify({ aloneMs, besideMs, published, memory, bytes: state.bytes });
  // More was published than the budget takes: the oldest went, of this tenant alone.
  expect(state.bytes, told).toBeLessThanOrEqual(STORAGE);
  expect(state.first_seq, told).toBeGreaterThan(1);
  expect(other.first_seq, told).toBe(1);
  // The publisher and both servers share a few cores with all else here; a route that waited for the flood would take seconds.
  expect(besideMs, told).toBeLessThan(Math.max(aloneMs, 10) * 30);
  expect(memory.usedBytes, told).toBeLessThan(memory.limitBytes);
}, 300_000);
