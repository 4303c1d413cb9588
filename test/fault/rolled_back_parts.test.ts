/** Older copies of an importer's store, of mirrors, and of single streams: what is missing comes again, or an alarm names exactly what does not. */
import { expect, test } from "bun:test";
import process from "node:process";
import { jetstream } from "@nats-io/jetstream";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { alarmsOf, logHas, numbers, OlderCopy, publishNumbers } from "../support/older_copy.ts";
import { readLog } from "../support/read_log.ts";
import { publishBoth, quickly, startTwoKinds, TWO_KINDS } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

const KEPT = 200;
/** `LEAFMESH_ROLLED_BACK=10000` for as many as an exporter is rolled back by in its own test. */
const LOST = Number(process.env.LEAFMESH_ROLLED_BACK ?? "2000");
const TIMEOUT_MS = 240_000;

/** The numbers of berlin's events in a tenant's log, when it has so many. */
async function logOf(site: MeshSite, tenant: string, least: number): Promise<number[]> {
  const nc = await site.app(tenant);
  await logHas(nc, tenant, least);
  return (await readLog(nc, tenant, `berlin.${tenant}.orders.>`)).map(({ n }) => n);
}

async function allArrived(site: MeshSite, last: number): Promise<void> {
  for (const tenant of TWO_KINDS) expect(await logOf(site, tenant, last)).toEqual(numbers(1, last));
}

test(
  "an importer that is rolled back by thousands of events gets them again, once and in order, and names them",
  async () => {
    const { mesh, berlin, austin } = await startTwoKinds();
    await using _ = mesh;
    await publishBoth(berlin, 1, KEPT);
    await allArrived(austin, KEPT);
    const copy = new OlderCopy(austin);
    await copy.take();
    await publishBoth(berlin, KEPT + 1, KEPT + LOST);
    await allArrived(austin, KEPT + LOST);
    await austin.noted("in_globex", KEPT + LOST);
    await austin.noted("in_acme", KEPT + LOST);
    await copy.putBack();
    await publishBoth(berlin, KEPT + LOST + 1, KEPT + LOST + 10);
    await austin.start();
    await allArrived(austin, KEPT + LOST + 10);
    const said = await alarmsOf(austin, "importer-rolled-back");
    for (const tenant of TWO_KINDS) {
      expect(said[`in_${tenant}`]).toContain(`in_${tenant} lacks events ${KEPT + 1} to ${KEPT + LOST},`);
    }
  },
  TIMEOUT_MS,
);

test(
  "a mirror that is rolled back, or whose exporter is, is named with its range; the exporter's other peers get what is new",
  async () => {
    await using mesh = await startMesh({
      sites: { berlin: ["austin"], austin: [] },
      tenants: (site) => [
        {
          tenant: "globex",
          ...(site === "berlin"
            ? { exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["globex.orders.>"] }] }] }
            : { imports: [{ from: "berlin", subjects: ["globex.>"], mirror: true }] }),
        },
      ],
      edit: quickly,
    });
    await mesh.flowing();
    const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
    const js = jetstream(await berlin.app("globex"));
    const name = "mirror_globex_berlin";
    const mirrored = async () => {
      await using there = await austin.mesh();
      return (await there.jsm.streams.info(name)).state;
    };
    const mirrors = async (last: number) =>
      await waitFor(async () => (await mirrored()).last_seq >= last, {
        what: `the mirror at ${last}`,
        deadlineMs: 60_000,
      });
    await publishNumbers(js, "globex", 1, 100);
    await mirrors(100);

    const importer = new OlderCopy(austin);
    await importer.take();
    await publishNumbers(js, "globex", 101, 150);
    await mirrors(150);
    await austin.noted(name, 150);
    await importer.putBack();
    await austin.start();
    const here = await alarmsOf(austin, "importer-rolled-back");
    expect(here[name]).toContain(`${name} lacks events 101 to 150,`);

    await mesh.flowing();
    await publishNumbers(js, "globex", 151, 160);
    await mirrors(160);
    const exporter = new OlderCopy(berlin);
    await exporter.take();
    await publishNumbers(js, "globex", 161, 200);
    await mirrors(200);
    await berlin.noted("out_globex", 200);
    await exporter.putBack();
    await berlin.start();
    expect((await alarmsOf(berlin, "exporter-rolled-back")).out_globex).toContain(
      "out_globex lacks events 161 to 200,",
    );
    await publishNumbers(js, "globex", 201, 250);
    // Not one of the new events goes under the sequence of an old one.
    await waitFor(
      async () => (await berlin.links()).flatMap(({ routes }) => routes).some(({ why }) => why !== null),
      { what: "berlin to say that the route stands still", deadlineMs: 60_000 },
    );
    expect((await mirrored()).last_seq).toBe(200);
  },
  TIMEOUT_MS,
);

test(
  "single streams that are restored alone: what is new arrives once and in order, and their ranges are named",
  async () => {
    const { mesh, berlin, austin } = await startTwoKinds();
    await using _ = mesh;
    let last = 0;
    const more = async (count: number) => {
      await publishBoth(berlin, last + 1, last + count);
      last += count;
    };
    await more(100);
    await allArrived(austin, last);
    // Each time one of each tenant: they have nothing to do with each other.
    const rounds = [
      { site: austin, streams: ["MESH/in_globex", "T_acme/acme"], alarm: "importer-rolled-back" },
      { site: berlin, streams: ["MESH/view_acme_out", "MESH/out_globex"], alarm: "exporter-rolled-back" },
      { site: berlin, streams: ["MESH/out_acme", "T_globex/globex"], alarm: "exporter-rolled-back" },
    ] as const;
    for (const { site, streams, alarm } of rounds) {
      const copies = streams.map((stream) => new OlderCopy(site, stream));
      await OlderCopy.takeAll(site, copies);
      const kept = last;
      await more(100);
      await allArrived(austin, last);
      const noted = streams.map((stream) => stream.split("/")).filter(([account]) => account === "MESH");
      for (const [, name = ""] of noted) await site.noted(name, last);
      for (const copy of copies) await copy.putBack();
      await site.start();
      await mesh.flowing();
      await more(150);
      await allArrived(austin, last);
      await allArrived(berlin, last);
      const said = await alarmsOf(site, alarm);
      for (const [, name = ""] of noted) expect(said[name]).toContain(`lacks events ${kept + 1} to `);
    }
  },
  TIMEOUT_MS,
);

test(
  "an exporter that is rolled back to a copy with routes that were held, and have been let go since, repeats nothing",
  async () => {
    const { mesh, berlin, austin } = await startTwoKinds();
    await using _ = mesh;
    await publishBoth(berlin, 1, 100);
    const first = new OlderCopy(berlin);
    await first.take();
    await publishBoth(berlin, 101, 200);
    await allArrived(austin, 200);
    await austin.end("SIGTERM");
    await first.putBack();
    await berlin.start();
    await publishBoth(berlin, 201, 250);
    // The peer has not said yet how far it is.
    const second = new OlderCopy(berlin);
    await second.take();
    await austin.start();
    await allArrived(austin, 250);
    await publishBoth(berlin, 251, 300);
    await allArrived(austin, 300);
    await second.putBack();
    await berlin.start();
    await publishBoth(berlin, 301, 350);
    await allArrived(austin, 350);
  },
  TIMEOUT_MS,
);
