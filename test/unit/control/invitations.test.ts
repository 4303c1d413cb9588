/** What an invitation leaves behind when its join is cut, against the state of a real server. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { StateStore } from "../../../src/control/api.ts";
import { checkState } from "../../../src/control/check_state.ts";
import { openMessage } from "../../../src/control/envelope.ts";
import { openInvitation } from "../../../src/control/invitation_token.ts";
import { FINISH_WITHIN_MS, Invitations, type InvitationsHost } from "../../../src/control/invitations.ts";
import type { Invited } from "../../../src/control/join_api.ts";
import { JoinDesk } from "../../../src/control/join_desk.ts";
import { sealJoin } from "../../../src/control/join_message.ts";
import type { ResourceRef, ResourceValue } from "../../../src/control/resource.ts";
import { KvStateStore } from "../../../src/control/state_store.ts";
import { joinSubject } from "../../../src/model/names.ts";
import { createSigningKey, type SigningKey, signingKeyOf } from "../../../src/nats/keys.ts";
import { waitFor } from "../../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const BERLIN = createSigningKey();
const TOKYO = createSigningKey();
const PEER = { type: "peer", peer: "tokyo" } as const;

let server: TestJetStream;
let state: KvStateStore;
let clock = 0;
const opened: AsyncDisposable[] = [];
const logged: string[] = [];

beforeEach(async () => {
  clock = 0;
  logged.length = 0;
  server = await startJetStream();
  state = await KvStateStore.open({
    site: "berlin",
    js: server.js,
    seed: { site: "berlin", peers: [], tenants: [] },
    check: checkState,
    onChange: () => {},
  });
});
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await state[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** The state as a sidecar writes it that does something else before its n-th write, or dies there. */
function writing(before: (ref: ResourceRef, n: number) => Promise<void>): StateStore {
  let n = 0;
  return {
    desired: () => state.desired(),
    get: (ref) => state.get(ref),
    list: (type, tenant) => state.list(type, tenant),
    check: (ref, value) => state.check(ref, value),
    put: async <R extends ResourceRef>(
      ref: R,
      value: ResourceValue<R>,
      expected: number | null | undefined,
    ) => {
      await before(ref, ++n);
      return await state.put(ref, value, expected);
    },
    remove: async (ref, expected) => {
      await before(ref, ++n);
      await state.remove(ref, expected);
    },
  };
}

function host(store: StateStore = state): InvitationsHost {
  return {
    site: "berlin",
    key: BERLIN,
    state: store,
    trust: { address: "127.0.0.1:7422", tls: null },
    configure: async () => {},
    verified: () => false,
    now: () => Date.now() + clock,
    steady: () => performance.now() + clock,
    log: (_level, message) => void logged.push(message),
  };
}

interface Question {
  /** The site key of tokyo, or of who says so. */
  readonly key?: SigningKey;
  readonly verb?: "join" | "joined";
  readonly dialBack?: string;
}

/** What the desk of a sidecar answers to tokyo's question. */
async function asked(
  made: Invited,
  inviting: InvitationsHost = host(),
  { verb = "join", dialBack, key = TOKYO }: Question = {},
): Promise<unknown> {
  const audit = { as: <T>(_site: string, _id: string, work: () => Promise<T>) => work(), refused: () => {} };
  await using _desk = new JoinDesk(server.nc, inviting, audit);
  const { id, from, to, seed } = openInvitation(made.token);
  const message = {
    version: 1,
    from: to,
    to: from,
    nonce: randomBytes(16).toString("hex"),
    // After the start of the desk, to the millisecond.
    at: Date.now() + clock + 5,
    verb,
    body: { invitation: id, ...(dialBack === undefined ? {} : { dialBack }) },
  } as const;
  const sealed = sealJoin(message, key, signingKeyOf(new TextEncoder().encode(seed)));
  const answer = await server.nc.request(joinSubject(from, id), sealed, { timeout: 20_000 });
  const expected = { from, to, key: BERLIN.publicKey, sender: "the inviting site" };
  return openMessage(answer.string(), expected).body;
}

const dies = (at: number) =>
  host(
    writing(async (_ref, n) => {
      if (n >= at) throw new Error("the sidecar was killed");
    }),
  );
const peers = () => state.desired().state.peers.map(({ name }) => name);

/** An invitation of tokyo, and who keeps it. */
async function invited(): Promise<{ all: Invitations; made: Invited }> {
  const all = new Invitations(host());
  opened.push(all);
  return { all, made: await all.create({ site: "tokyo", ttlMs: 600_000 }) };
}

/** Some time after the invitation has expired. */
async function sweepAt(all: Invitations, made: Invited, afterMs: number): Promise<void> {
  clock = Date.parse(made.expires) + afterMs - Date.now();
  await all.sweep();
}

describe("a join whose inviting sidecar is killed", () => {
  // Claimed, the peer made, and all the rest.
  for (const at of [1, 2, 3]) {
    test(`before its write ${at} leaves no peer once the invitation is closed`, async () => {
      const { all, made } = await invited();
      await asked(made, dies(at));
      expect(state.get(PEER) !== null).toBe(at > 2);
      await all.revoke(made.id);
      expect(state.get(PEER)).toBeNull();
    }, 30_000);

    test(`before its write ${at} leaves no peer once the invitation has expired`, async () => {
      const { all, made } = await invited();
      await asked(made, dies(at));
      await sweepAt(all, made, FINISH_WITHIN_MS);
      expect(state.get(PEER)).toBeNull();
      expect(all.list()).toMatchObject([{ id: made.id, state: "expired" }]);
    }, 30_000);

    test(`before its write ${at} goes on with the same token, and is taken back as before`, async () => {
      const { all, made } = await invited();
      await asked(made, dies(at));
      expect(await asked(made)).toEqual({ joined: true });
      expect(peers()).toEqual(["tokyo"]);
      await all.revoke(made.id);
      expect(state.get(PEER)).toBeNull();
    }, 30_000);
  }

  test("after its invitation was closed behind its back has no peer, which goes at the next look", async () => {
    const { all, made } = await invited();
    const late = writing(async (ref) => {
      // As another sidecar does, which has not heard of the peer.
      if (ref.type === "peer") await end(made.id);
    });
    // What is removed afterwards is not, either: it is killed.
    await asked(made, host({ ...late, remove: () => Promise.reject(new Error("the sidecar was killed")) }));
    expect(state.get(PEER)).not.toBeNull();
    expect(peers()).toEqual([]);
    await all.sweep();
    expect(state.get(PEER)).toBeNull();
  }, 30_000);
});

async function end(id: string): Promise<void> {
  const ref = { type: "invitation", id } as const;
  const found = state.get(ref);
  if (found === null) throw new Error("There is no such invitation");
  const ended = { type: "revoked", at: new Date().toISOString() } as const;
  await state.put(ref, { ...found.value, state: ended }, undefined);
}

describe("an invitation that is closed while its join is answered", () => {
  for (const at of [1, 2]) {
    test(`before the write ${at}: nobody is let in`, async () => {
      const { all, made } = await invited();
      let closed = false;
      const store = writing(async (_ref, n) => {
        if (n !== at || closed) return;
        closed = true;
        await all.revoke(made.id);
      });
      expect(await asked(made, host(store))).toMatchObject({ code: "invitation_used" });
      expect(closed).toBe(true);
      expect(state.get(PEER)).toBeNull();
      expect(all.list()).toMatchObject([{ id: made.id, state: "revoked" }]);
    }, 30_000);
  }

  test("while the server learns whom to dial: nobody is let in", async () => {
    const { all, made } = await invited();
    expect(await asked(made)).toEqual({ joined: true });
    const closing = { ...host(), configure: () => all.revoke(made.id) };
    const question = { verb: "joined", dialBack: "127.0.0.1:7423" } as const;
    expect(await asked(made, closing, question)).toMatchObject({ code: "invitation_used" });
    expect(state.get(PEER)).toBeNull();
  }, 30_000);
});

test("an invitation whose dial-back the server cannot take leaves no peer once it is closed", async () => {
  const { all, made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  const failing = { ...host(), configure: () => Promise.reject(new Error("the server does not read it")) };
  const question = { verb: "joined", dialBack: "127.0.0.1:7423" } as const;
  expect(await asked(made, failing, question)).not.toEqual({ joined: true });
  await all.revoke(made.id);
  expect(state.get(PEER)).toBeNull();
}, 30_000);

test("a peer that is named by policies, and cannot be removed, is shut out with its invitation", async () => {
  const { all, made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  await state.put({ type: "tenant", tenant: "acme" }, {}, undefined);
  const policy = { name: "orders", to: ["tokyo"], rules: [{ subjects: ["acme.orders.>"] }] };
  await state.put({ type: "export", tenant: "acme", name: "orders" }, policy, undefined);
  expect(peers()).toEqual(["tokyo"]);
  await all.revoke(made.id);
  expect(state.get(PEER)).not.toBeNull();
  expect(peers()).toEqual([]);
  const out = { name: "tokyo", key: TOKYO.publicKey, why: "join not finished" };
  expect(state.desired().state.revoked).toMatchObject([out]);
  // Tried once more when the state is another one, and said once.
  const said = () => logged.filter((line) => line.includes("tokyo did not finish its join"));
  expect(said()).toHaveLength(1);
  await all.sweep();
  await all.sweep();
  expect(said()).toHaveLength(1);
  // Whoever is invited in its place has it, with another key.
  const again = await all.create({ site: "tokyo", ttlMs: 600_000 });
  const other = createSigningKey();
  expect(await asked(again, host(), { key: other })).toEqual({ joined: true });
  expect(state.desired().state.peers).toEqual([{ name: "tokyo", key: other.publicKey }]);
  await state.remove({ type: "export", tenant: "acme", name: "orders" }, undefined);
  await all.revoke(again.id);
  expect(state.get(PEER)).toBeNull();
}, 30_000);

test("a peer that has finished its join by one of two invitations stays when the other one is closed", async () => {
  const { all, made } = await invited();
  const second = await all.create({ site: "tokyo", ttlMs: 600_000 });
  expect(await asked(made)).toEqual({ joined: true });
  expect(await asked(second)).toEqual({ joined: true });
  expect(await asked(made, host(), { verb: "joined" })).toEqual({ joined: true });
  await waitFor(() => state.get(PEER)?.value.invited === undefined, { deadlineMs: 10_000 });
  await all.revoke(second.id);
  expect(peers()).toEqual(["tokyo"]);
}, 30_000);

test("a peer that is revoked before its join is finished stays in the list as that", async () => {
  const { all, made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  const key = TOKYO.publicKey;
  await state.put({ type: "revocation", key }, { key, peer: "tokyo", at: new Date().toISOString() }, null);
  expect(await all.revokeOf("tokyo")).toBe(1);
  await all.sweep();
  expect(state.desired().state).toMatchObject({ peers: [], revoked: [{ name: "tokyo", why: "revoked" }] });
}, 30_000);

test("a join is not taken back before links can be up", async () => {
  const { made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  let settled = false;
  const all = new Invitations({ ...host(), settled: () => settled });
  opened.push(all);
  await sweepAt(all, made, 3600_000);
  expect(peers()).toEqual(["tokyo"]);
  settled = true;
  await all.sweep();
  expect(peers()).toEqual(["tokyo"]);
  await sweepAt(all, made, 2 * 3600_000);
  expect(state.get(PEER)).toBeNull();
}, 30_000);

test("a peer whose join is finished stays when its invitation is forgotten", async () => {
  const { all, made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  expect(state.get(PEER)?.value.invited).toBe(made.id);
  expect(await asked(made, host(), { verb: "joined" })).toEqual({ joined: true });
  await waitFor(() => state.get(PEER)?.value.invited === undefined, { deadlineMs: 10_000 });
  await expect(all.revoke(made.id)).rejects.toMatchObject({ code: "conflict" });
  await sweepAt(all, made, 8 * 24 * 3600_000);
  expect(all.list()).toEqual([]);
  expect(peers()).toEqual(["tokyo"]);
}, 30_000);

test("a peer whose link is up stays, though its site was killed before it said so", async () => {
  const { made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  const all = new Invitations({ ...host(), verified: () => true });
  opened.push(all);
  await expect(all.revoke(made.id)).rejects.toMatchObject({ code: "conflict" });
  await sweepAt(all, made, FINISH_WITHIN_MS);
  expect(all.list()).toMatchObject([{ state: "used", usedBy: TOKYO.publicKey }]);
  expect(state.get(PEER)?.value).toEqual({ name: "tokyo", key: TOKYO.publicKey });
}, 30_000);

test("a peer that was there before its invitation was shown, or is written by somebody since, stays", async () => {
  const own = { name: "tokyo", key: TOKYO.publicKey };
  const first = await invited();
  await state.put(PEER, own, null);
  expect(await asked(first.made)).toEqual({ joined: true });
  await first.all.revoke(first.made.id);
  expect(state.get(PEER)?.value).toEqual(own);
  await state.remove(PEER, undefined);

  const second = await invited();
  expect(await asked(second.made)).toEqual({ joined: true });
  await state.put(PEER, own, undefined);
  await second.all.revoke(second.made.id);
  expect(state.get(PEER)?.value).toEqual(own);
  expect(peers()).toEqual(["tokyo"]);
}, 30_000);

test("a join that began in time may end when the invitation has expired, and after a start of its sidecar", async () => {
  const { all, made } = await invited();
  expect(await asked(made)).toEqual({ joined: true });
  await sweepAt(all, made, FINISH_WITHIN_MS - 10_000);
  expect(all.list()).toMatchObject([{ id: made.id, state: "joining" }]);
  clock = Date.parse(made.expires) + 3600_000 - Date.now();
  const started = new Invitations(host());
  opened.push(started);
  await started.sweep();
  expect(peers()).toEqual(["tokyo"]);
  clock = Date.parse(made.expires) + FINISH_WITHIN_MS - 10_000 - Date.now();
  expect(await asked(made, host(), { verb: "joined" })).toEqual({ joined: true });
}, 30_000);
