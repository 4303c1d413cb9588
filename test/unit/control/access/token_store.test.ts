/** Tokens against a real server: what is kept of them, and when they end. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Kvm } from "@nats-io/kv";
import { TokenStore } from "../../../../src/control/access/token_store.ts";
import { STATE_BUCKET } from "../../../../src/model/names.ts";
import { waitFor } from "../../../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "../jetstream.ts";

const DAY_MS = 86_400_000;
const VIEWER = { name: "ci", role: "viewer", ttlMs: DAY_MS, createdBy: "bootstrap" } as const;

let server: TestJetStream;
let now: number;
const stores: TokenStore[] = [];
beforeEach(async () => {
  server = await startJetStream();
  await new Kvm(server.js).create(STATE_BUCKET, { history: 64 });
  now = Date.UTC(2026, 0, 2);
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function open(): Promise<TokenStore> {
  const store = await TokenStore.open({ js: server.js, now: () => now, log: () => {} });
  stores.push(store);
  return store;
}
const bucket = () => new Kvm(server.js).open(STATE_BUCKET);

describe("TokenStore", () => {
  test("tells a token once, and keeps nothing that it could be read from", async () => {
    const store = await open();
    const { token, info } = await store.add(VIEWER);
    expect(token).toMatch(/^lmt_[0-9a-f]{12}_[\w-]{43}$/);
    expect(token).toContain(info.id);
    expect(store.list()).toEqual([info]);
    const kept = await (await bucket()).get(`token.${info.id}`);
    expect(`${kept?.string()} ${JSON.stringify(store.list())}`).not.toContain(token.slice(17));
    expect(store.authenticate(token)?.principal).toEqual({ name: "ci", type: "token", role: "viewer" });
  });

  test("knows only the token itself", async () => {
    const store = await open();
    const { token } = await store.add(VIEWER);
    const other = (await store.add({ ...VIEWER, name: "other" })).token;
    const changed = (at: number) =>
      token.slice(0, at) + (token[at] === "a" ? "b" : "a") + token.slice(at + 1);
    const candidates = [
      "",
      token.slice(0, -1),
      `${token}a`,
      token.toUpperCase(),
      changed(5),
      changed(20),
      changed(token.length - 1),
      // The id of one with the secret of the other.
      token.slice(0, 17) + other.slice(17),
    ];
    for (const candidate of candidates)
      expect([candidate, store.authenticate(candidate)]).toEqual([candidate, null]);
  });

  test("keeps tokens and revocations over a restart", async () => {
    const before = await open();
    const kept = await before.add(VIEWER);
    const gone = await before.add({ ...VIEWER, name: "gone" });
    await before.revoke(gone.info.id);
    const after = await open();
    expect(after.list().map(({ name }) => name)).toEqual(["ci"]);
    expect(after.authenticate(kept.token)?.principal.name).toBe("ci");
    expect(after.authenticate(gone.token)).toBeNull();
  });

  test("revoke() ends what is open at once, here and where another follows the bucket", async () => {
    const here = await open();
    const there = await open();
    const { token, info } = await here.add(VIEWER);
    await waitFor(() => there.authenticate(token) !== null, { what: "the other to know the token" });
    const signals = [here.authenticate(token)?.signal, there.authenticate(token)?.signal];
    await here.revoke(info.id);
    expect(here.authenticate(token)).toBeNull();
    expect(signals[0]?.aborted).toBe(true);
    await waitFor(() => there.authenticate(token) === null, { what: "the other to know of the revocation" });
    expect(signals[1]?.aborted).toBe(true);
    await expect(here.revoke(info.id)).rejects.toMatchObject({ code: "not_found" });
  });

  test("ends a token when it expires, and says so", async () => {
    const store = await open();
    const { token } = await store.add(VIEWER);
    const signal = store.authenticate(token)?.signal;
    now += DAY_MS;
    expect(() => store.authenticate(token)).toThrow("The token 'ci' has expired (2026-01-03T00:00:00.000Z)");
    await waitFor(() => signal?.aborted === true, { what: "what is open to end" });
  });

  test("refuses a name that is taken", async () => {
    const store = await open();
    await store.add(VIEWER);
    await expect(store.add(VIEWER)).rejects.toMatchObject({ code: "conflict" });
    expect(store.list().length).toBe(1);
  });

  test("keepTenants() revokes the tokens of tenants that are gone", async () => {
    const store = await open();
    const admin = {
      name: "admin",
      role: "tenant-admin",
      tenant: "acme",
      ttlMs: DAY_MS,
      createdBy: "x",
    } as const;
    const { token } = await store.add(admin);
    await store.add(VIEWER);
    await store.keepTenants(["acme"]);
    expect(store.authenticate(token)?.principal.tenant).toBe("acme");
    await store.keepTenants(["globex"]);
    expect(store.authenticate(token)).toBeNull();
    expect(store.list().map(({ name }) => name)).toEqual(["ci"]);
  });

  test("writes the time of the last use once an hour, and of no token that was revoked", async () => {
    const store = await open();
    const { token, info } = await store.add(VIEWER);
    const revisions = async () => {
      const history = await (await bucket()).history({ key: `token.${info.id}` });
      const found: string[] = [];
      for await (const entry of history) {
        found.push(entry.operation);
        if (entry.delta === 0) break;
      }
      return found;
    };
    for (let i = 0; i < 50; i += 1) store.authenticate(token);
    await waitFor(async () => (await revisions()).length === 2, { what: "the first use to be written" });
    now += 30 * 60_000;
    for (let i = 0; i < 50; i += 1) store.authenticate(token);
    expect(store.list()[0]?.lastUsed).toBe(new Date(now).toISOString());
    now += 31 * 60_000;
    store.authenticate(token);
    await store.revoke(info.id);
    expect((await revisions()).at(-1)).toBe("DEL");
    expect((await revisions()).length).toBeLessThanOrEqual(4);
  });

  test("lets nobody in by an entry that cannot be read", async () => {
    const store = await open();
    const { token, info } = await store.add(VIEWER);
    await (await bucket()).put(`token.${info.id}`, '{"role":"operator"}');
    await waitFor(() => store.authenticate(token) === null, { what: "the entry to be seen" });
    expect((await open()).list()).toEqual([]);
  });
});
