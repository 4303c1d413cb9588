/** What an invitation leaves behind when its join is cut, against the state of a real server. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { StateStore } from "../../../src/control/api.ts";
import { checkState } from "../../../src/control/check_state.ts";
import { openMessage } from "../../../src/control/envelope.ts";
import { openInvitation } from "../../../src/control/invitation_token.ts";
import { Invitations, type InvitationsHost } from "../../../src/control/invitations.ts";
import type { Invited } from "../../../src/control/join_api.ts";
import { JoinDesk } from "../../../src/control/join_desk.ts";
import { sealJoin } from "../../../src/control/join_message.ts";
import type { ResourceRef, ResourceValue } from "../../../src/control/resource.ts";
import { KvStateStore } from "../../../src/control/state_store.ts";
import { joinSubject } from "../../../src/model/names.ts";
import { createSigningKey, signingKeyOf } from "../../../src/nats/keys.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const BERLIN = createSigningKey();
const TOKYO = createSigningKey();
const PEER = { type: "peer", peer: "tokyo" } as const;

let server: TestJetStream;
let state: KvStateStore;
let clock = 0;
const opened: AsyncDisposable[] = [];

beforeEach(async () => {
  clock = 0;
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
    log: () => {},
  };
}

function invitations(): Invitations {
  const made = new Invitations(host());
  opened.push(made);
  return made;
}

/** What the desk of a sidecar with this store answers to tokyo's question to be let in. */
async function asked(made: Invited, store: StateStore = state): Promise<unknown> {
  const audit = { as: <T>(_site: string, _id: string, work: () => Promise<T>) => work(), refused: () => {} };
  await using _desk = new JoinDesk(server.nc, host(store), audit);
  const { id, from, to, seed } = openInvitation(made.token);
  const message = {
    version: 1,
    from: to,
    to: from,
    nonce: randomBytes(16).toString("hex"),
    // After the start of the desk, to the millisecond.
    at: Date.now() + clock + 5,
    verb: "join",
    body: { invitation: id },
  } as const;
  const sealed = sealJoin(message, TOKYO, signingKeyOf(new TextEncoder().encode(seed)));
  const answer = await server.nc.request(joinSubject(from, id), sealed, { timeout: 20_000 });
  const expected = { from, to, key: BERLIN.publicKey, sender: "the inviting site" };
  return openMessage(answer.string(), expected).body;
}

const DIED = "the sidecar was killed";
const dies = (at: number) =>
  writing(async (_ref, n) => {
    if (n >= at) throw new Error(DIED);
  });

describe("a join whose inviting sidecar is killed", () => {
  // Claimed, the peer made, and noted.
  for (const at of [1, 2, 3, 4]) {
    test(`before its write ${at} leaves no peer once the invitation is closed`, async () => {
      const all = invitations();
      const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
      await asked(made, dies(at));
      expect(state.get(PEER) !== null).toBe(at > 2);
      await all.revoke(made.id);
      expect(state.get(PEER)).toBeNull();
    }, 30_000);

    test(`before its write ${at} leaves no peer once the invitation has expired`, async () => {
      const all = invitations();
      const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
      await asked(made, dies(at));
      clock = 60_000 + 5_000;
      await all.sweep();
      expect(state.get(PEER)).toBeNull();
      expect(all.list()).toMatchObject([{ id: made.id, state: "expired" }]);
    }, 30_000);

    test(`before its write ${at} goes on with the same token, and is taken back as before`, async () => {
      const all = invitations();
      const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
      await asked(made, dies(at));
      expect(await asked(made)).toEqual({ joined: true });
      expect(state.get(PEER)?.value).toEqual({ name: "tokyo", key: TOKYO.publicKey });
      await all.revoke(made.id);
      expect(state.get(PEER)).toBeNull();
    }, 30_000);
  }
});

describe("an invitation that is closed while its join is answered", () => {
  for (const at of [1, 2, 3]) {
    test(`before the write ${at}: nobody is let in`, async () => {
      const all = invitations();
      const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
      let closed = false;
      const store = writing(async (_ref, n) => {
        if (n !== at || closed) return;
        closed = true;
        await all.revoke(made.id);
      });
      expect(await asked(made, store)).toMatchObject({ code: "invitation_used" });
      expect(closed).toBe(true);
      expect(state.get(PEER)).toBeNull();
      expect(all.list()).toMatchObject([{ id: made.id, state: "revoked" }]);
    }, 30_000);
  }
});

test("a peer that was there before its invitation was shown stays when it is closed", async () => {
  const all = invitations();
  const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
  await state.put(PEER, { name: "tokyo", key: TOKYO.publicKey }, null);
  expect(await asked(made)).toEqual({ joined: true });
  await all.revoke(made.id);
  expect(state.get(PEER)?.value).toEqual({ name: "tokyo", key: TOKYO.publicKey });
}, 30_000);

test("a peer that somebody has changed since it was made stays when the invitation is closed", async () => {
  const all = invitations();
  const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
  expect(await asked(made)).toEqual({ joined: true });
  const theirs = { name: "tokyo", key: TOKYO.publicKey, dial: "nats-leaf://127.0.0.1:7423" };
  await state.put(PEER, theirs, undefined);
  await all.revoke(made.id);
  expect(state.get(PEER)?.value).toEqual(theirs);
}, 30_000);

test("a join that began in time is not taken back before it can end", async () => {
  const all = invitations();
  const made = await all.create({ site: "tokyo", ttlMs: 60_000 });
  expect(await asked(made)).toEqual({ joined: true });
  clock = 60_000 + 1_000;
  await all.sweep();
  expect(state.get(PEER)).not.toBeNull();
  expect(all.list()).toMatchObject([{ id: made.id, state: "joining" }]);
}, 30_000);
