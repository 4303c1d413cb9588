/** Where a token may be after it was made and used: nowhere. And what cannot be done with an old one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdir, readFile } from "node:fs/promises";
import { join as pathOf } from "node:path";
import { openInvitation } from "../../../src/control/invitation_token.ts";
import { createSigningKey, loadSiteKeys } from "../../../src/nats/keys.ts";
import { invite, join, linked, peersOf, post, refused, startStrangers } from "../../support/invited.ts";
import type { Mesh, MeshSite } from "../../support/mesh.ts";
import { RawJoiner } from "../../support/raw_joiner.ts";
import { waitFor } from "../../support/wait_for.ts";

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

/** Every file of a site that holds one of the texts. */
async function filesWith(site: MeshSite, secrets: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(site.folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = pathOf(entry.parentPath, entry.name);
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    if (secrets.some((secret) => bytes.includes(secret))) found.push(path);
  }
  return found;
}

test("a token stands in no file, log, state, audit trail or answer after it was shown", async () => {
  const made = await invite(berlin, "tokyo");
  const { seed } = openInvitation(made.token);
  const body = made.token.slice(4).split(".")[0] ?? "";
  const secrets = [made.token, body.slice(0, 60), body.slice(-60), seed];
  await refused(tokyo, `${made.token.slice(0, -4)}AAAA`);
  await join(tokyo, made.token, { preview: true });
  expect((await join(tokyo, made.token)).linked).toBe(true);
  await linked(berlin, "tokyo");
  for (const site of [berlin, tokyo]) {
    expect(await filesWith(site, secrets)).toEqual([]);
    expect((await readdir(site.dataFolder)).length).toBeGreaterThan(3);
    for (const path of [
      "/v1/invitations",
      "/v1/peers",
      "/v1/links",
      "/v1/site",
      "/v1/audit?limit=500",
      "/metrics",
    ]) {
      const text = await (await site.api("GET", path)).text();
      for (const secret of secrets) expect([path, text.includes(secret)]).toEqual([path, false]);
    }
  }
}, 60_000);

test("a request to join that was recorded makes no peer again", async () => {
  await part();
  const made = await invite(berlin, "tokyo");
  using one = await RawJoiner.open(made.token, (await loadSiteKeys(tokyo.dataFolder)).site);
  const bytes = one.seal();
  expect(await one.send(bytes)).toEqual({ joined: true });
  await part();
  expect(await one.send(bytes)).toMatchObject({ code: "request_invalid" });
  expect(await peersOf(berlin)).toEqual([]);
  await berlin.api("DELETE", `/v1/invitations/${made.id}`);
  await waitFor(() => one.leaf.failure !== null, { deadlineMs: 20_000, what: "the cut" });
}, 60_000);

test("an invitation that one key has shown is lost to any other", async () => {
  await part();
  const made = await invite(berlin, "tokyo");
  {
    using first = await RawJoiner.open(made.token, createSigningKey());
    expect(await first.ask()).toEqual({ joined: true });
  }
  // The site that it was meant for finds out: it is told, and nothing is made there.
  expect(await refused(tokyo, made.token)).toMatchObject({ code: "invitation_used" });
  expect(await peersOf(tokyo)).toEqual([]);
  // Closing it takes the peer back that nobody has finished.
  expect((await berlin.api("DELETE", `/v1/invitations/${made.id}`)).status).toBe(204);
  expect(await peersOf(berlin)).toEqual([]);
}, 60_000);

test("a revoked site cannot come back by an invitation of before, nor finish a join with it", async () => {
  await part();
  const made = await invite(berlin, "tokyo");
  const spare = await invite(berlin, "tokyo");
  expect((await join(tokyo, made.token)).linked).toBe(true);
  await linked(berlin, "tokyo");
  using ready = await RawJoiner.open(spare.token, (await loadSiteKeys(tokyo.dataFolder)).site);
  await post(berlin, "/v1/peers/tokyo/revoke");
  await waitFor(() => ready.leaf.failure !== null, { deadlineMs: 20_000, what: "the cut of a waiting join" });
  await part();
  expect(await refused(tokyo, spare.token)).toMatchObject({ code: "invitation_used" });
  // Not even with another key: the invitation itself is closed.
  await expect(RawJoiner.open(spare.token, createSigningKey())).rejects.toThrow("does not let us in");
  expect(await peersOf(berlin)).toEqual([]);
}, 60_000);

async function part(): Promise<void> {
  for (const [site, peer] of [
    [berlin, tokyo],
    [tokyo, berlin],
  ] as const) {
    await site.api("DELETE", `/v1/peers/${peer.name}?wait=true`, undefined, { "if-match": "*" });
  }
}
