/** Two sites become peers by one token, over real servers; and the ways in which a token is refused. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { InvitationReport, RevokeReport } from "../../src/control/join_api.ts";
import { freePorts } from "../support/free_ports.ts";
import { invite, join, linked, peersOf, post, refused, startStrangers } from "../support/invited.ts";
import type { Mesh, MeshSite } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

let mesh: Mesh;
let berlin: MeshSite;
let tokyo: MeshSite;
let austin: MeshSite;

beforeAll(async () => {
  mesh = await startStrangers(["berlin", "tokyo", "austin"]);
  [berlin, tokyo, austin] = [mesh.site("berlin"), mesh.site("tokyo"), mesh.site("austin")];
}, 60_000);
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
});

const invitations = async (site: MeshSite) =>
  (await site.json<{ items: InvitationReport[] }>("/v1/invitations")).items;
const stateOf = async (site: MeshSite, id: string) =>
  (await invitations(site)).find((one) => one.id === id)?.state;

/** Ends what a test has made: both sites forget each other. */
async function part(one: MeshSite, other: MeshSite): Promise<void> {
  for (const [site, peer] of [
    [one, other],
    [other, one],
  ] as const) {
    const path = `/v1/peers/${peer.name}`;
    await waitFor(
      async () => {
        const there = await site.api("GET", path);
        if (there.status === 404) return true;
        // What a join has made is written once more when it is finished: then there is a newer one.
        const etag = there.headers.get("etag") ?? "";
        const gone = await site.api("DELETE", `${path}?wait=true`, undefined, { "if-match": etag });
        return gone.ok || Promise.reject(new Error(`${gone.status} ${await gone.text()}`));
      },
      { what: `${site.name} to forget ${peer.name}` },
    );
  }
}

test("one token makes two sites peers, each with the other's key, and their link is up", async () => {
  const made = await invite(berlin, "tokyo");
  expect(made).toMatchObject({ site: "tokyo", state: "open", usedBy: null, by: "bootstrap" });
  expect(await peersOf(berlin)).toEqual([]);

  const preview = await join(tokyo, made.token, { preview: true });
  const site = await berlin.json<{ key: string }>("/v1/site");
  expect(preview).toMatchObject({ site: "berlin", key: site.key, address: made.address, linked: null });
  expect(await peersOf(tokyo)).toEqual([]);
  expect(await stateOf(berlin, made.id)).toBe("open");

  const joined = await join(tokyo, made.token);
  expect(joined.linked).toBe(true);
  const tokyoKey = (await tokyo.json<{ key: string }>("/v1/site")).key;
  expect(await peersOf(berlin)).toMatchObject([{ name: "tokyo", key: tokyoKey }]);
  expect(await peersOf(tokyo)).toMatchObject([{ name: "berlin", key: site.key }]);
  expect((await peersOf(tokyo))[0]?.dial).toEndWith(made.address);
  await linked(berlin, "tokyo");
  await waitFor(async () => (await stateOf(berlin, made.id)) === "used", { deadlineMs: 20_000 });
  expect((await invitations(berlin)).find(({ id }) => id === made.id)?.usedBy).toBe(tokyoKey);

  // Again: it is done already.
  expect(await join(tokyo, made.token)).toMatchObject({ known: true, linked: true });
  // Another site, which holds the token too.
  await part(berlin, tokyo);
  expect(await refused(tokyo, made.token)).toMatchObject({ status: 409, code: "invitation_used" });
  expect(await peersOf(tokyo)).toEqual([]);
}, 60_000);

test("--dial-back: the inviting site dials", async () => {
  const made = await invite(berlin, "tokyo");
  const joined = await join(tokyo, made.token, { dialBack: tokyo.file.server?.leaf });
  expect(joined).toMatchObject({ linked: true, dials: "the inviting site" });
  expect((await peersOf(berlin))[0]?.dial).toEndWith(tokyo.file.server?.leaf ?? "-");
  expect((await peersOf(tokyo))[0]?.dial).toBeUndefined();
  await linked(berlin, "tokyo");
  await part(berlin, tokyo);
}, 60_000);

test("a token is for one site, of another one, whole, in time, and for somebody who is there", async () => {
  const made = await invite(berlin, "tokyo");
  expect(await refused(austin, made.token)).toMatchObject({ code: "invitation_foreign" });
  expect((await refused(austin, made.token)).detail).toBe("The invitation is for tokyo, but this is austin");
  expect(await refused(berlin, made.token)).toMatchObject({ code: "invitation_foreign" });
  const at = Math.floor(made.token.length / 2);
  const other = made.token[at] === "A" ? "B" : "A";
  const altered = `${made.token.slice(0, at)}${other}${made.token.slice(at + 1)}`;
  expect(await refused(tokyo, altered)).toMatchObject({ status: 422, code: "invitation_invalid" });
  expect(await refused(tokyo, "lmi_what.ever")).toMatchObject({ code: "invitation_invalid" });

  const short = await invite(berlin, "tokyo", { expires: "1s" });
  await waitFor(async () => (await stateOf(berlin, short.id)) === "expired", { deadlineMs: 20_000 });
  expect(await refused(tokyo, short.token)).toMatchObject({ status: 410, code: "invitation_expired" });

  const [port] = await freePorts("127.0.0.1", 1);
  const nowhere = await invite(berlin, "tokyo", { address: `127.0.0.1:${port}` });
  expect(await refused(tokyo, nowhere.token)).toMatchObject({ status: 503, code: "peer_unreachable" });

  for (const { id } of [made, nowhere])
    expect((await berlin.api("DELETE", `/v1/invitations/${id}`)).status).toBe(204);
  expect(await refused(tokyo, made.token)).toMatchObject({ status: 409, code: "invitation_used" });
  expect(await stateOf(berlin, made.id)).toBe("revoked");
  expect((await berlin.api("DELETE", `/v1/invitations/${made.id}`)).status).toBe(409);
  expect(await peersOf(tokyo)).toEqual([]);
  expect(await peersOf(berlin)).toEqual([]);
}, 60_000);

test("what cannot be invited is refused", async () => {
  const code = async (body: object) =>
    ((await (await berlin.api("POST", "/v1/invitations", body)).json()) as { code: string }).code;
  expect(await code({ site: "berlin" })).toBe("conflict");
  expect(await code({ site: "tokyo", expires: "25h" })).toBe("request_invalid");
  expect(await code({ site: "Tokyo" })).toBe("request_invalid");
  expect(await code({ site: "tokyo", address: "nowhere" })).toBe("request_invalid");
}, 30_000);

test("revoke cuts the link at once, and the key comes back by force alone", async () => {
  const first = await invite(berlin, "tokyo");
  const spare = await invite(berlin, "tokyo");
  expect((await join(tokyo, first.token)).linked).toBe(true);
  await linked(berlin, "tokyo");
  const report = await post<RevokeReport>(berlin, "/v1/peers/tokyo/revoke");
  expect(report).toMatchObject({ peer: "tokyo", cut: 1, gone: true, invitations: 1 });
  const [link] = await berlin.links();
  expect(link).toMatchObject({ peer: "tokyo", connected: false, revoked: report.at });
  await waitFor(async () => (await tokyo.links()).every(({ connected }) => !connected), {
    deadlineMs: 20_000,
  });

  // It may not come back: neither by an old invitation, nor by a new one, nor by hand.
  expect(await stateOf(berlin, spare.id)).toBe("revoked");
  const again = await berlin.api("PUT", "/v1/peers/tokyo", { key: report.key }, { "if-match": "*" });
  expect(((await again.json()) as { code: string }).code).toBe("peer_revoked");
  await part(berlin, tokyo);
  const anew = await berlin.api("PUT", "/v1/peers/tokyo", { key: report.key }, { "if-none-match": "*" });
  expect(((await anew.json()) as { code: string }).code).toBe("peer_revoked");
  const fresh = await invite(berlin, "tokyo");
  expect(await refused(tokyo, fresh.token)).toMatchObject({ status: 409, code: "peer_revoked" });
  expect(await peersOf(berlin)).toEqual([]);

  const forcedBack = async (token: string) => {
    const forced = await berlin.api(
      "PUT",
      "/v1/peers/tokyo?force=true&wait=true",
      { key: report.key },
      { "if-none-match": "*" },
    );
    expect(forced.status).toBe(201);
    expect((await join(tokyo, token)).linked).toBe(true);
    await linked(berlin, "tokyo");
  };
  await forcedBack(fresh.token);

  // Within a second, as required. Tests that run beside this one may hold one of them up, and not all.
  let quickest = report.cutMs;
  for (let more = 0; more < 2 && quickest >= 1000; more++) {
    quickest = Math.min(quickest, (await post<RevokeReport>(berlin, "/v1/peers/tokyo/revoke")).cutMs);
    await part(berlin, tokyo);
    await forcedBack((await invite(berlin, "tokyo")).token);
  }
  expect(quickest).toBeLessThan(1000);
}, 150_000);

test("a race of two with one token has one winner", async () => {
  await part(berlin, tokyo);
  // Two that call themselves tokyo: the second is another site, with another key.
  const other = await startStrangers(["tokyo"]);
  try {
    const made = await invite(berlin, "tokyo");
    const answers = await Promise.all(
      [tokyo, other.site("tokyo")].map((site) => site.api("POST", "/v1/joins", { token: made.token })),
    );
    const bodies = (await Promise.all(answers.map((one) => one.json()))) as { code?: string }[];
    expect(answers.map((one) => one.status).sort(), JSON.stringify(bodies)).toEqual([200, 409]);
    expect(bodies.find(({ code }) => code !== undefined)?.code).toBe("invitation_used");
    expect(await peersOf(berlin)).toHaveLength(1);
  } finally {
    await other[Symbol.asyncDispose]();
  }
}, 90_000);
