/**
 * A site whose sidecar is killed again and again while it rotates its key and its CA, and a peer that is away meanwhile: every rotation
 * ends as one, what waits says for whom, and events go on.
 */
import { expect, test } from "bun:test";
import { describeCertificate, splitPem } from "../../src/model/certificate.ts";
import type { RotationKind, RotationReport } from "../../src/model/rotation.ts";
import type { Peer } from "../../src/model/schema/site.ts";
import { faults } from "../support/ledger.ts";
import { LoadProcesses } from "../support/load_processes.ts";
import { type MeshSite, startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const DEADLINE_MS = 120_000;
/** How long the sidecar lives between two kills, milliseconds: somewhere else in the rotation each time. */
const LIVES_MS = [20, 150];

async function rotation(site: MeshSite, what: RotationKind): Promise<RotationReport> {
  return await site.json<RotationReport>(`/v1/rotations/${what}`);
}

async function begin(site: MeshSite, what: RotationKind): Promise<number> {
  return (await site.api("POST", "/v1/rotations", { what })).status;
}

async function done(site: MeshSite, what: RotationKind): Promise<RotationReport> {
  let last: RotationReport | null = null;
  return await waitFor(
    async () => {
      last = await rotation(site, what);
      return last.phase === "done" ? last : Promise.reject(new Error(JSON.stringify(last)));
    },
    { deadlineMs: DEADLINE_MS, pollMs: 100, what: `the rotation of the ${what}` },
  );
}

/** Kills the sidecar and starts it again until it has lived through all lives, or the rotation is over. */
async function killWhileItRotates(site: MeshSite, what: RotationKind): Promise<void> {
  for (const lifeMs of LIVES_MS) {
    await new Promise((resolve) => setTimeout(resolve, lifeMs));
    await site.end("SIGKILL");
    await site.start();
    if ((await rotation(site, what)).phase === "done") return;
  }
}

test(
  "a sidecar that is killed while it rotates goes on; a peer that is away holds it up by name, until it is back or it is ended without it",
  async () => {
    await using mesh = await startPair({
      exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.n.>"] }] }],
      imports: [{ from: "berlin", subjects: ["acme.>"], live: false }],
    });
    await mesh.flowing();
    const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
    const berlinAtAustin = () => austin.json<Peer>("/v1/peers/berlin");
    await using load = new LoadProcesses(berlin, "acme", {
      publishers: 1,
      rate: 300,
      subjects: ["acme.n.1"],
      body: '"x":1',
    });

    // The peer's sidecar is away: nothing is switched, also over a kill.
    const { key: first } = await berlin.json<{ key: string }>("/v1/site");
    await austin.end("SIGKILL");
    expect(await begin(berlin, "key")).toBe(202);
    const waiting = async () => {
      const { phase, peers, next } = await rotation(berlin, "key");
      return phase === "announce" && peers[0]?.why !== null ? { peers, next } : null;
    };
    const held = await waitFor(waiting, { what: "the peer that is waited for", deadlineMs: 30_000 });
    expect(held.peers).toMatchObject([{ peer: "austin", state: "waiting" }]);
    expect(held.peers[0]?.why).toContain("austin");
    await berlin.end("SIGKILL");
    await berlin.start();
    expect(await berlin.json("/v1/site")).toMatchObject({ key: first });
    expect(await waitFor(waiting, { what: "the same again", deadlineMs: 30_000 })).toMatchObject({
      next: held.next,
    });
    // Begun again it is the same one; another kind, and an invitation, must wait.
    expect(await begin(berlin, "key")).toBe(202);
    expect((await rotation(berlin, "key")).next).toBe(held.next);
    expect(await begin(berlin, "ca")).toBe(409);
    expect((await berlin.api("POST", "/v1/invitations", { site: "tokyo" })).status).toBe(409);

    // It is back, and the site dies again and again.
    await austin.start();
    await killWhileItRotates(berlin, "key");
    await done(berlin, "key");
    expect(await berlin.json("/v1/site")).toMatchObject({ key: held.next });
    const trusted = await berlinAtAustin();
    expect([trusted.key, trusted.nextKey]).toEqual([held.next, undefined]);
    await mesh.flowing();

    expect(await begin(berlin, "ca")).toBe(202);
    await killWhileItRotates(berlin, "ca");
    const { next: ca } = await done(berlin, "ca");
    const [only = "", ...more] = splitPem((await berlinAtAustin()).ca ?? "");
    expect([describeCertificate(only).fingerprint, more]).toEqual([ca, []]);
    await mesh.flowing();

    // Ended without the peer, whose operator then trusts the new CA by hand.
    await austin.end("SIGKILL");
    expect(await begin(berlin, "ca")).toBe(202);
    expect((await berlin.api("POST", "/v1/rotations/ca/finish")).status).toBe(202);
    const ended = await done(berlin, "ca");
    expect(ended.peers).toMatchObject([{ peer: "austin", state: "skipped" }]);
    expect(ended.peers[0]?.remedy).toContain("leafmesh peer trust berlin --peer-ca");
    expect((await berlin.api("POST", "/v1/rotations/ca/finish")).status).toBe(404);
    await austin.start();
    const { links } = await berlin.json<{ links: { ca: string } }>("/v1/site");
    expect(describeCertificate(links.ca).fingerprint).toBe(ended.next);
    await austin.put("/v1/peers/berlin", { ...(await berlinAtAustin()), ca: links.ca });
    await mesh.flowing();

    const acked = await load.stop();
    const nc = await austin.app("acme");
    const events = await waitFor(
      async () => {
        const found = await readLog(nc, "acme", "berlin.acme.n.>");
        return found.length >= acked.size ? found : null;
      },
      { deadlineMs: DEADLINE_MS, pollMs: 250, what: `${acked.size} events at the far site` },
    );
    expect(events.length).toBe(acked.size);
    expect(faults(events, acked)).toMatchObject({ repeated: [], reordered: 0 });
  },
  DEADLINE_MS * 5,
);
