/** A site of three servers, below the sidecars: any server dies, leaders change, all are rolled, and every event is there once. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { clusterNames } from "../../src/control/cluster_names.ts";
import { LinkedLeaders } from "../../src/control/linked_leaders.ts";
import { moveLeader } from "../../src/control/move_leader.ts";
import { observeMesh } from "../../src/control/observe.ts";
import { inStream, outStream, rpcSubject } from "../../src/model/names.ts";
import { faults, Load } from "../support/ledger.ts";
import { makeExport, makeImport, makeTenantStreams } from "../support/native_routes.ts";
import { readLog } from "../support/read_log.ts";
import { startSites, type TestSite, type TestSites } from "../support/sites.ts";
import { waitFor } from "../support/wait_for.ts";

const SITES = ["berlin", "tokyo"] as const;
const WAIT = { deadlineMs: 60_000 } as const;

let sites: TestSites;
let berlin: TestSite[];
let tokyo: TestSite;
let loads: Record<(typeof SITES)[number], Load>;

beforeAll(async () => {
  const of = (peer: string) => [{ tenant: "acme", imports: [{ from: peer, subjects: ["acme.>"] }] }];
  sites = await startSites({
    sites: { berlin: { servers: 3, tenants: of("tokyo") }, tokyo: { tenants: of("berlin") } },
    links: [["berlin", "tokyo"]],
    sync: 1000,
  });
  berlin = sites.members("berlin");
  tokyo = sites.site("tokyo");
  for (const [site, peer] of [
    [sites.site("berlin"), "tokyo"],
    [tokyo, "berlin"],
  ] as const) {
    await makeTenantStreams(site, "acme");
    await makeExport(site, peer, "acme", ["acme.>"]);
    await makeImport(site, [peer], "acme");
  }
  const servers = berlin.map(({ addresses }) => addresses.listen);
  const app = { servers, name: "load" };
  loads = {
    berlin: new Load(await sites.site("berlin").app("acme", undefined, app), { subject, pauseMs: 20 }),
    tokyo: new Load(await tokyo.app("acme"), { subject, pauseMs: 20 }),
  };
}, 120_000);

afterAll(async () => await sites?.[Symbol.asyncDispose]());

const subject = (n: number) => `acme.orders.${n % 4}`;

/** Both loads have brought events since, and the log of each site has some of the other's. */
async function goesOn(): Promise<void> {
  const before = SITES.map((site) => loads[site].count);
  await waitFor(() => SITES.every((site, i) => loads[site].count > (before[i] ?? 0) + 200), {
    ...WAIT,
    what: "both sites to take events",
  });
  const seen = () => Promise.all([received(berlin, "berlin"), received([tokyo], "tokyo")]);
  const arrived = await seen();
  await waitFor(async () => (await seen()).every((count, i) => count > (arrived[i] ?? 0)), {
    ...WAIT,
    what: "events to cross in both directions",
  });
}

/** Events of the peer that a site has stored, as any of its servers knows it. */
async function received(servers: readonly TestSite[], _site: string): Promise<number> {
  for (const server of servers) {
    try {
      const jsm = await jetstreamManager(server.mesh, { checkAPI: false, timeout: 1000 });
      return (await jsm.streams.info(inStream("acme", true))).state.messages;
    } catch {
      // It is the one that is away.
    }
  }
  return 0;
}

/** Compares what each site's log has with what was acknowledged. */
async function compare(): Promise<void> {
  const readers = [sites.site("berlin"), tokyo];
  for (const reader of readers) {
    const app = await reader.app("acme");
    for (const origin of SITES) {
      const load = loads[origin];
      const read = () => readLog(app, "acme", `${origin}.acme.>`);
      await waitFor(async () => (await read()).length >= load.count, {
        ...WAIT,
        pollMs: 500,
        what: `the ${load.count} events of ${origin} at ${reader.name}, which has ${(await read()).length}`,
      });
      const { seen, repeated, reordered } = faults(await read(), load.acked);
      const lost = [...load.acked.keys()].filter((n) => !seen.has(n));
      expect({ origin, at: reader.name, repeated, reordered, lost }).toEqual({
        origin,
        at: reader.name,
        repeated: [],
        reordered: 0,
        lost: [],
      });
      expect(seen.size).toBe(load.count);
    }
  }
}

async function leaderOf(stream: string, consumer: string): Promise<string> {
  return await waitFor(
    async () => {
      const jsm = await jetstreamManager(sites.site("berlin").mesh, { checkAPI: false, timeout: 1000 });
      return (await jsm.consumers.info(stream, consumer)).cluster?.leader;
    },
    { ...WAIT, what: `a leader of ${stream}/${consumer}` },
  );
}

async function healthy(): Promise<void> {
  await waitFor(
    async () =>
      (await Promise.all(berlin.map(({ control }) => control.system.health()))).every(({ ok }) => ok),
    { ...WAIT, what: "all servers to be healthy" },
  );
}

describe("a site of three servers", () => {
  test("has what sidecars ask each other heard once, at whichever of its servers the sidecar is", async () => {
    for (const server of berlin) {
      const heard: string[] = [];
      const ear = server.mesh.subscribe(rpcSubject("berlin", "tokyo", ">"), {
        callback: (_, message) => {
          heard.push(message.string());
          message.respond("heard");
        },
      });
      await server.mesh.flush();
      await waitFor(() =>
        tokyo.mesh.request(rpcSubject("berlin", "tokyo", "status"), "first", { timeout: 1000 }),
      );
      heard.length = 0;
      for (let i = 0; i < 5; i++) {
        await tokyo.mesh.request(rpcSubject("berlin", "tokyo", "status"), `${i}`, { timeout: 5000 });
      }
      expect(heard).toEqual(["0", "1", "2", "3", "4"]);
      ear.unsubscribe();
    }
  }, 60_000);

  test("goes on when any one of them is killed, and takes it back", async () => {
    await goesOn();
    for (const server of berlin) {
      await server.server.kill();
      await goesOn();
      await server.server.start();
      await healthy();
    }
  }, 180_000);

  test("goes on when streams change their leaders", async () => {
    for (const stream of [outStream("acme"), inStream("acme", true)]) {
      const answer = await sites
        .site("berlin")
        .mesh.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, "", { timeout: 10_000 });
      expect(answer.json<{ success?: boolean }>().success).toBe(true);
      await goesOn();
    }
  }, 120_000);

  test("has another server lead what the leader has no link for, and goes on", async () => {
    const [first] = berlin;
    if (first === undefined) throw new Error("berlin has no server");
    const { desired } = first;
    const led = await leaderOf(outStream("acme"), "tokyo");
    const unlinked = berlin.find(({ member }) => `berlin-${member?.name}` === led);
    if (unlinked === undefined) throw new Error(`berlin has no server ${led}`);
    await unlinked.reload({ ...desired, peers: desired.peers.map(({ dial: _, ...peer }) => peer) });
    await unlinked.control.system.kickLeaf("tokyo", "here");
    const { system, mesh: nc } = first.control;
    const leaders = new LinkedLeaders(() => performance.now());
    const moved = await waitFor(
      async () => {
        const mesh = await jetstreamManager(nc, { checkAPI: false });
        const streams = await observeMesh(mesh, clusterNames(nc, new Set(["tokyo"])));
        const found = leaders.find(streams, desired.peers, await system.serverLinks());
        for (const one of found) await moveLeader(nc, one);
        return found.find(({ stream, consumer }) => stream === outStream("acme") && consumer === "tokyo");
      },
      { ...WAIT, pollMs: 500, what: `${led} to lead the route no more` },
    );
    expect(moved.from).toBe(led);
    expect(moved.to).not.toBe(led);
    await goesOn();
    await unlinked.reload(desired);
    await sites.linked();
  }, 120_000);

  test("goes on when all are stopped and started one after another", async () => {
    for (const server of berlin) {
      await server.server.stop();
      await server.server.start();
      await healthy();
    }
    await goesOn();
  }, 180_000);

  test("and has lost, repeated and reordered nothing, here and at the peer", async () => {
    await Promise.all(SITES.map((site) => loads[site].stop()));
    await compare();
  }, 120_000);
});
