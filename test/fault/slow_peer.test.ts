/** A peer on a slow link beside one on a fast link, of the same native route and the same view. */
import { expect, test } from "bun:test";
import type { SiteReport } from "../../src/control/site_api.ts";
import { LinkProxy } from "../support/faults/link_proxy.ts";
import { LoadProcesses } from "../support/load_processes.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const TENANTS = ["acme", "globex"] as const;
const PEERS = ["austin", "tokyo"];
const FILLER = "x".repeat(400);

/** Stored of both tenants at a site that takes them. */
async function stored(site: MeshSite): Promise<number[]> {
  await using inside = await site.mesh();
  const infos = await Promise.all(TENANTS.map((tenant) => inside.jsm.streams.info(`in_${tenant}`)));
  return infos.map(({ state }) => state.last_seq);
}

test("a slow peer does not slow the fast one, and loses nothing", async () => {
  await using proxy = await LinkProxy.listen();
  await using mesh = await startMesh({
    sites: { berlin: [], austin: ["berlin"], tokyo: ["berlin"] },
    tenants: (site) =>
      TENANTS.map((tenant) => ({
        tenant,
        log: false,
        ...(site === "berlin"
          ? {
              exports: [
                {
                  name: "out",
                  to: PEERS,
                  rules: [
                    {
                      subjects: [`${tenant}.orders.>`],
                      ...(tenant === "globex"
                        ? { redact: [{ path: "$.email", with: "remove" as const }] }
                        : {}),
                    },
                  ],
                },
              ],
            }
          : { imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] }),
      })),
    edit: (file) => {
      if (file.site === "berlin") proxy.target = file.server?.leaf ?? "";
      if (file.site !== "tokyo") return file;
      const peers = (file.peers ?? []).map((peer) =>
        typeof peer.dial === "string"
          ? { ...peer, dial: peer.dial.replace(/127\.0\.0\.1:\d+/, proxy.address) }
          : peer,
      );
      return { ...file, peers };
    },
  });
  await mesh.flowing();
  const [berlin, austin, tokyo] = [mesh.site("berlin"), mesh.site("austin"), mesh.site("tokyo")];

  /** Publishes to both tenants for a while. @returns events each has, and how long the fast peer took to have all after it */
  const run = async (rate: number, least: number) => {
    const load = (tenant: string) =>
      new LoadProcesses(berlin, tenant, {
        publishers: 1,
        rate,
        subjects: [`${tenant}.orders.x`],
        body: `"email":"ada@example.net","filler":"${FILLER}"`,
      });
    await using acme = load("acme");
    await using globex = load("globex");
    await waitFor(() => acme.count >= least && globex.count >= least, { what: "a load", deadlineMs: 60_000 });
    const before = await stored(austin);
    const startedAt = performance.now();
    const counts = [await acme.finish(), await globex.finish()];
    return { counts, before, startedAt };
  };
  const arrived = async (site: MeshSite, goal: readonly number[], deadlineMs: number) => {
    await waitFor(async () => (await stored(site)).every((one, i) => one >= (goal[i] ?? 0)), {
      what: `${goal} events at ${site.name}`,
      deadlineMs,
    });
  };

  const first = await run(500, 1000);
  await arrived(austin, first.counts, 30_000);
  const aloneMs = performance.now() - first.startedAt;
  await arrived(tokyo, first.counts, 30_000);

  proxy.mode = { type: "throttle", bytesPerSecond: 20 * 1024 };
  const second = await run(500, 2000);
  const goal = second.counts.map((count, i) => count + (first.counts[i] ?? 0));
  await arrived(austin, goal, 30_000);
  const besideMs = performance.now() - second.startedAt;
  const behind = (await stored(tokyo)).map((one, i) => (goal[i] ?? 0) - one);
  const { memory } = await berlin.json<SiteReport>("/v1/site");
  const told = JSON.stringify({ aloneMs, besideMs, behind, memory, goal });
  // 4000 events of half a kilobyte at 20 KiB/s take more than a minute.
  for (const one of behind) expect(one, told).toBeGreaterThan(500);
  expect(besideMs, told).toBeLessThan(Math.max(aloneMs, 500) * 10);
  expect(memory.usedBytes, told).toBeLessThan(memory.limitBytes);

  proxy.mode = { type: "pass" };
  await arrived(tokyo, goal, 60_000);
  expect(await stored(tokyo)).toEqual(goal);
  expect(await stored(austin)).toEqual(goal);
}, 240_000);
