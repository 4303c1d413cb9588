/**
 * Both ends of a link take new certificates, CAs and keys into use while events flow both ways: nothing is lost, repeated or
 * reordered. A sidecar that is killed in any phase goes on. Publishers are processes of their own.
 */
import { expect, test } from "bun:test";
import process from "node:process";
import { splitPem } from "../../src/model/certificate.ts";
import type { RotationKind, RotationReport } from "../../src/model/rotation.ts";
import type { Peer } from "../../src/model/schema/site.ts";
import { faults } from "../support/ledger.ts";
import { LoadProcesses } from "../support/load_processes.ts";
import { type Mesh, type MeshSite, startMesh } from "../support/mesh.ts";
import { pendingIn, readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";
import { whereStored } from "../support/where_stored.ts";

/** Events a second of both publishers together. */
const RATE = Number(process.env.LEAFMESH_LOAD_RATE ?? "5000");
const DEADLINE_MS = 120_000;
/** On a busy machine the links are slower than what is published. */
const ARRIVED_MS = 400_000;

/** Berlin dials austin; each shares what it publishes, berlin as it is and austin through a view. */
async function pair(): Promise<Mesh> {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      {
        tenant: "acme",
        exports: [
          site === "berlin"
            ? { name: "out", to: ["austin"], rules: [{ subjects: ["acme.native.>"] }] }
            : {
                name: "out",
                to: ["berlin"],
                rules: [{ subjects: ["acme.view.>"], redact: [{ path: "$.email", with: "remove" }] }],
              },
        ],
        imports: [{ from: site === "berlin" ? "austin" : "berlin", subjects: ["acme.>"], live: false }],
      },
    ],
    edit: (file) => ({ ...file, server: { ...file.server, sync: "2m" } }),
  });
}

function startLoad(site: MeshSite, kind: "native" | "view", rate: number): LoadProcesses {
  return new LoadProcesses(site, "acme", {
    publishers: 1,
    rate,
    subjects: Array.from({ length: 8 }, (_, i) => `acme.${kind}.${i}`),
    body: '"email":"a@example.org"',
  });
}

async function begin(site: MeshSite, what: RotationKind): Promise<void> {
  const response = await site.api("POST", "/v1/rotations", { what });
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
}

async function rotationOf(site: MeshSite, what: RotationKind): Promise<RotationReport> {
  return await site.json<RotationReport>(`/v1/rotations/${what}`);
}

/** Rotates at both sites at the same time. */
async function rotate(mesh: Mesh, what: RotationKind): Promise<void> {
  await Promise.all(mesh.sites.map((site) => begin(site, what)));
  for (const site of mesh.sites) await done(site, what);
}

async function done(site: MeshSite, what: RotationKind): Promise<RotationReport> {
  let last: RotationReport | null = null;
  try {
    return await waitFor(
      async () => {
        last = await rotationOf(site, what);
        return last.phase === "done" ? last : null;
      },
      { deadlineMs: DEADLINE_MS, pollMs: 100, what: `the rotation of the ${what} at ${site.name}` },
    );
  } catch (error) {
    throw new Error(`${String(error)}: ${JSON.stringify(last)}\n${(await site.log()).slice(-3000)}`);
  }
}

/** What a site shows: its key, the fingerprints of its CA and of its certificate. */
async function identity(site: MeshSite) {
  const { key, links } = await site.json<{
    key: string;
    links: { certificates: { kind: string; fingerprint: string }[] };
  }>("/v1/site");
  const of = (kind: string) => links.certificates.find((one) => one.kind === kind)?.fingerprint;
  return { key, ca: of("ca"), link: of("link") };
}

async function peerAt(site: MeshSite, peer: string): Promise<Peer> {
  return await site.json<Peer>(`/v1/peers/${peer}`);
}

/** Every acknowledged event is in the other site's log once, in order. */
async function arrived(
  mesh: Mesh,
  site: MeshSite,
  pattern: string,
  acked: ReadonlyMap<number, number>,
): Promise<void> {
  const nc = await site.app("acme");
  let found = 0;
  try {
    await waitFor(
      async () => {
        found = await pendingIn(nc, "acme", pattern);
        return found >= acked.size;
      },
      { deadlineMs: ARRIVED_MS, pollMs: 500, what: `${acked.size} events of ${pattern} at ${site.name}` },
    );
  } catch (error) {
    const shown = await Promise.all(
      mesh.sites.map(
        async (one) =>
          `${one.name}: ${JSON.stringify(await one.links())}\n${JSON.stringify(await one.json("/v1/alarms"))}\n${(await one.log()).slice(-3000)}`,
      ),
    );
    throw new Error(`${found} are there. ${shown.join("\n")}`, { cause: error });
  }
  const events = await readLog(nc, "acme", pattern);
  const { repeated, reordered } = faults(events, acked);
  const [first = -1, last = first] = [repeated.at(0), repeated.at(-1)];
  if (repeated.length + reordered > 0) {
    const where = await whereStored(mesh, [first - 1, first, last, last + 1]);
    console.error(
      `${repeated.length} events twice, ${first} to ${last}, ${reordered} out of order:\n${where}`,
    );
  }
  expect({ repeated, reordered }).toEqual({ repeated: [], reordered: 0 });
  expect(events.length).toBe(acked.size);
  expect(events.filter(({ n }) => !acked.has(n))).toEqual([]);
}

test(
  "certificates, CAs and keys of both ends rotate under 5,000 events/s: nothing is lost or repeated",
  async () => {
    await using mesh = await pair();
    await mesh.flowing();
    const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
    const before = await Promise.all(mesh.sites.map(identity));
    await using native = startLoad(berlin, "native", RATE / 2);
    await using view = startLoad(austin, "view", RATE / 2);
    await waitFor(() => native.count > 1_000 && view.count > 1_000, { what: "the load", deadlineMs: 60_000 });

    for (const what of ["certificate", "ca", "key"] as const) {
      const counts = native.count + view.count;
      await rotate(mesh, what);
      await mesh.flowing();
      // It goes on under load after each.
      await waitFor(() => native.count + view.count > counts + 1_000, {
        what: "load after it",
        deadlineMs: 60_000,
      });
    }
    const acked = await Promise.all([native.stop(), view.stop()]);
    await arrived(mesh, austin, "berlin.acme.native.>", acked[0]);
    await arrived(mesh, berlin, "austin.acme.view.>", acked[1]);
    if (process.env.LEAFMESH_LOAD_RATE !== undefined)
      console.log(
        `${native.count + view.count} events, ${Math.round(native.rate + view.rate)}/s, ${native.again + view.again} sent again`,
      );

    const after = await Promise.all(mesh.sites.map(identity));
    for (const [i, now] of after.entries()) {
      for (const part of ["key", "ca", "link"] as const) expect(now[part]).not.toBe(before[i]?.[part] ?? "");
    }
    // Each trusts the new ones of the other, and those alone.
    for (const [site, other, shown] of [
      [berlin, "austin", after[1]],
      [austin, "berlin", after[0]],
    ] as const) {
      const peer = await peerAt(site, other);
      expect([peer.key, peer.nextKey, splitPem(peer.ca ?? "").length]).toEqual([
        shown?.key ?? "",
        undefined,
        1,
      ]);
    }
    // The end that dials may still be on its way back with the new key.
    await mesh.flowing();
    for (const site of mesh.sites) {
      await waitFor(
        async () => (await site.links()).every(({ connected, verified }) => connected && verified === "yes"),
        { what: `the link of ${site.name} with the new keys`, deadlineMs: 60_000 },
      );
    }
    const trail = await berlin.json<{ items: { operation: string; key: string; after?: unknown }[] }>(
      "/v1/audit?type=event&limit=500",
    );
    expect(trail.items.filter(({ operation }) => /^site\..*rotated$/.test(operation))).toMatchObject([
      { operation: "site.ca.rotated", after: { fingerprint: after[0]?.ca } },
      { operation: "site.key.rotated", key: before[0]?.key, after: { key: after[0]?.key } },
    ]);
  },
  DEADLINE_MS * 3 + ARRIVED_MS,
);
