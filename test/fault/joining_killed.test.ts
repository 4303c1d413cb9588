/** Joins that are cut in the middle: the same token goes on, or nothing half-trusted stays. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { InvitationReport } from "../../src/control/join_api.ts";
import { loadSiteKeys } from "../../src/nats/keys.ts";
import { invite, join, linked, peersOf, startStrangers } from "../support/invited.ts";
import type { Mesh, MeshSite } from "../support/mesh.ts";
import { RawJoiner } from "../support/raw_joiner.ts";
import { waitFor } from "../support/wait_for.ts";

let mesh: Mesh;
let berlin: MeshSite;
let tokyo: MeshSite;

beforeAll(async () => {
  mesh = await startStrangers(["berlin", "tokyo"]);
  [berlin, tokyo] = [mesh.site("berlin"), mesh.site("tokyo")];
}, 60_000);
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

const stateOf = async (id: string) =>
  (await berlin.json<{ items: InvitationReport[] }>("/v1/invitations")).items.find((one) => one.id === id)
    ?.state;

async function part(): Promise<void> {
  for (const [site, peer] of [
    [berlin, tokyo],
    [tokyo, berlin],
  ] as const) {
    await site.api("DELETE", `/v1/peers/${peer.name}?wait=true`, undefined, { "if-match": "*" });
  }
}

test("a site that dies after the answer, before it has made the peer, joins again with the same token", async () => {
  const made = await invite(berlin, "tokyo");
  {
    using cut = await RawJoiner.open(made.token, (await loadSiteKeys(tokyo.dataFolder)).site);
    expect(await cut.ask()).toEqual({ joined: true });
  }
  expect(await stateOf(made.id)).toBe("joining");
  expect(await peersOf(berlin)).toMatchObject([{ name: "tokyo" }]);
  expect((await join(tokyo, made.token)).linked).toBe(true);
  await linked(berlin, "tokyo");
  await waitFor(async () => (await stateOf(made.id)) === "used", { deadlineMs: 20_000 });
  await part();
}, 60_000);

test("a join that nobody finishes is taken back when the invitation expires", async () => {
  const made = await invite(berlin, "tokyo", { expires: "4s" });
  using cut = await RawJoiner.open(made.token, (await loadSiteKeys(tokyo.dataFolder)).site);
  expect(await cut.ask()).toEqual({ joined: true });
  expect(await peersOf(berlin)).toHaveLength(1);
  // A join that began in time has 25 s to end.
  await waitFor(async () => (await stateOf(made.id)) === "expired", { deadlineMs: 60_000 });
  await waitFor(async () => (await peersOf(berlin)).length === 0, { deadlineMs: 20_000 });
  await waitFor(() => cut.leaf.failure !== null, { deadlineMs: 20_000, what: "its connection to be cut" });
}, 90_000);

test("a peer that has not finished its join is the operator's own when he writes it", async () => {
  const made = await invite(berlin, "tokyo");
  using cut = await RawJoiner.open(made.token, (await loadSiteKeys(tokyo.dataFolder)).site);
  expect(await cut.ask()).toEqual({ joined: true });
  expect(await peersOf(berlin)).toMatchObject([{ name: "tokyo", invited: made.id }]);
  const [half] = await peersOf(berlin);
  expect((await berlin.api("PUT", "/v1/peers/tokyo", half, { "if-match": "*" })).status).toBe(200);
  await berlin.api("DELETE", `/v1/invitations/${made.id}`);
  const [peer] = await peersOf(berlin);
  expect(peer).toMatchObject({ name: "tokyo" });
  expect(peer).not.toHaveProperty("invited");
  await part();
}, 60_000);

/** Joins while `kill` strikes, starts what was killed again, and joins once more. */
async function joinThrough(victim: MeshSite, afterMs: number): Promise<void> {
  const made = await invite(berlin, "tokyo");
  const answer = join(tokyo, made.token).catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  await victim.end("SIGKILL");
  await victim.start();
  await answer;
  expect((await join(tokyo, made.token)).linked).toBe(true);
  await linked(berlin, "tokyo");
  expect(await peersOf(berlin)).toHaveLength(1);
  expect(await peersOf(tokyo)).toHaveLength(1);
  await waitFor(async () => (await stateOf(made.id)) === "used", { deadlineMs: 20_000 });
  await part();
}

test("the joining sidecar is killed while it joins", async () => {
  await joinThrough(tokyo, 40);
}, 90_000);

test("the inviting sidecar is killed while it answers", async () => {
  await joinThrough(berlin, 60);
}, 90_000);
