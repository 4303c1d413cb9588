/** The state against a real server: what is kept, what is refused, and what another writer may do. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Kvm } from "@nats-io/kv";
import { checkState } from "../../../src/control/check_state.ts";
import { KvStateStore } from "../../../src/control/state_store.ts";
import { STATE_BUCKET } from "../../../src/model/names.ts";
import type { SiteFile } from "../../../src/model/schema/site.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { waitFor } from "../../support/wait_for.ts";
import { startJetStream, type TestJetStream } from "./jetstream.ts";

const KEY = createSigningKey().publicKey;
const ORDERS = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const IMPORT = { from: "austin", subjects: ["acme.>"] };
const SEED: SiteFile = {
  site: "berlin",
  peers: [{ name: "austin", key: KEY }],
  tenants: [{ tenant: "acme", log: false, exports: [ORDERS], imports: [IMPORT] }],
};
const TENANT = { type: "tenant", tenant: "acme" } as const;
const EXPORT = { type: "export", tenant: "acme", name: "orders" } as const;

let server: TestJetStream;
const stores: KvStateStore[] = [];
beforeEach(async () => {
  server = await startJetStream();
});
afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function open(seed: SiteFile = SEED, onChange: () => void = () => {}): Promise<KvStateStore> {
  const store = await KvStateStore.open({
    site: seed.site,
    js: server.js,
    seed,
    check: checkState,
    onChange,
  });
  stores.push(store);
  return store;
}
const bucket = () => new Kvm(server.js).open(STATE_BUCKET);
const revision = (store: KvStateStore, ref: Parameters<KvStateStore["get"]>[0] = EXPORT) =>
  store.get(ref)?.revision ?? 0;

describe("KvStateStore.open()", () => {
  test("fills an empty bucket from the site file", async () => {
    const store = await open();
    const { state } = store.desired();
    expect(state).toMatchObject({
      site: "berlin",
      peers: [{ name: "austin", key: KEY }],
      tenants: [{ name: "acme", log: false, exports: [ORDERS], imports: [IMPORT] }],
    });
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
    expect(store.get({ type: "import", tenant: "acme", from: "austin" })?.value).toEqual(IMPORT);
    expect(Date.parse(store.get(EXPORT)?.changedAt ?? "")).toBeGreaterThan(Date.now() - 60_000);
  });

  test("takes the site file once: later the state is what was written", async () => {
    const first = await open();
    await first.put(TENANT, { log: true }, undefined);
    const before = first.desired();
    const again = await open({ ...SEED, tenants: [] });
    expect(again.desired()).toEqual(before);
    expect(again.get(EXPORT)).toEqual(first.get(EXPORT));
  });

  test("fills again what a start that was cut short has begun", async () => {
    const kv = await new Kvm(server.js).create(STATE_BUCKET, { history: 64 });
    await kv.put("peer.austin", JSON.stringify({ name: "austin", key: createSigningKey().publicKey }));
    expect((await open()).desired().state.peers).toEqual([{ name: "austin", key: KEY }]);
  });

  test("refuses the bucket of another site", async () => {
    await open();
    await expect(open({ site: "tokyo" })).rejects.toMatchObject({
      code: "conflict",
      message: "The data folder holds the state of site berlin, not of tokyo",
    });
  });

  test("writes nothing of a site file that contradicts itself", async () => {
    const bad: SiteFile = { ...SEED, tenants: [{ tenant: "berlin" }, { tenant: "austin" }] };
    await expect(open(bad)).rejects.toMatchObject({ code: "config_invalid", problems: { length: 2 } });
    expect((await open()).desired().state.tenants.map((tenant) => tenant.name)).toEqual(["acme"]);
  });

  test("names every stored document that cannot be read, and passes over keys that are none of ours", async () => {
    await open();
    const kv = await bucket();
    await kv.put("nonsense", "{}");
    expect((await open()).get(EXPORT)?.value).toEqual(ORDERS);
    await kv.put("peer.tokyo", JSON.stringify({ name: "tokyo", key: "no key" }));
    await kv.put("export.acme.more", "{");
    await expect(open()).rejects.toMatchObject({
      code: "data_folder_unusable",
      message: expect.stringMatching(/peer tokyo \(key: 'no key' .*; export acme\/more \(/),
    });
  });
});

describe("KvStateStore.put()", () => {
  test("raises the revisions of the document and of the state", async () => {
    const store = await open();
    const before = store.desired();
    const made = await store.put(EXPORT, { ...ORDERS, start: "all" }, revision(store));
    expect(made).toBeGreaterThan(before.revision);
    expect(store.desired().revision).toBe(made);
    expect(store.get(EXPORT)).toMatchObject({ revision: made, value: { start: "all" } });
    expect(store.desired().state.tenants[0]?.exports[0]?.start).toBe("all");
  });

  test("writes only over the revision that was read", async () => {
    const store = await open();
    const stale = revision(store);
    await store.put(EXPORT, ORDERS, stale);
    for (const [expected, said] of [
      [stale, `Expected export acme/orders at revision ${stale}, but it is at revision ${stale + 6}`],
      [null, "Expected export acme/orders to be new, but it is at revision"],
    ] as const) {
      const message = expect.stringContaining(said.slice(0, 60));
      await expect(store.put(EXPORT, ORDERS, expected)).rejects.toMatchObject({
        code: "precondition_failed",
        message,
      });
    }
    await expect(store.put({ ...EXPORT, name: "new" }, { ...ORDERS, name: "new" }, 3)).rejects.toMatchObject({
      code: "precondition_failed",
      message: "Expected export acme/new at revision 3, but it does not exist",
    });
  });

  test("lets one of two win that write over the same revision at the same time", async () => {
    const [one, two] = [await open(), await open()];
    const read = revision(one);
    const writes = await Promise.allSettled(
      [one, two].map((store) => store.put(EXPORT, { ...ORDERS, start: "all" }, read)),
    );
    expect(writes.map((write) => write.status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(writes.find((write) => write.status === "rejected")?.reason).toMatchObject({
      code: "precondition_failed",
    });
  });

  test("checks each of several writes against what the one before it left", async () => {
    const store = await open();
    const more = (name: string) => ({ ...EXPORT, name });
    // Both are fine alone; a peer gets a tenant's events by one export only.
    await store.remove(EXPORT, undefined);
    const writes = await Promise.allSettled(
      ["a", "b"].map((name) => store.put(more(name), { ...ORDERS, name }, null)),
    );
    expect(writes.map((write) => write.status)).toEqual(["fulfilled", "rejected"]);
    expect(store.list("export", "acme").map((one) => one.ref.name)).toEqual(["a"]);
  });

  test("refuses what would make the state invalid, with every problem at its place in the document", async () => {
    const store = await open();
    const bad = { name: "orders", to: ["austin", "paris"], rules: [{ subjects: ["globex.>"] }] };
    await expect(store.put(EXPORT, bad, undefined)).rejects.toMatchObject({
      code: "policy_invalid",
      message: expect.stringContaining("export acme/orders cannot be changed so"),
      problems: [{ path: "to[1]" }, { path: "rules[0].subjects[0]" }],
    });
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
    await expect(store.put({ type: "tenant", tenant: "austin" }, {}, undefined)).rejects.toMatchObject({
      code: "config_invalid",
      problems: [{ path: "tenant" }],
    });
  });

  test("wants the tenant to be there first", async () => {
    const store = await open();
    const ref = { type: "export", tenant: "globex", name: "x" } as const;
    await expect(store.put(ref, { ...ORDERS, name: "x" }, null)).rejects.toMatchObject({
      code: "not_found",
      message: "There is no tenant globex",
    });
  });

  test("goes on after a removal, with a revision that grows", async () => {
    const store = await open();
    const first = revision(store);
    await store.remove(EXPORT, first);
    const made = await store.put(EXPORT, ORDERS, null);
    expect(made).toBeGreaterThan(first + 1);
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
  });
});

describe("a server that answers nobody for a moment", () => {
  /** So many requests from now on find no responders, as while the server reads a changed configuration. */
  function deafFor(requests: number): void {
    const { nc } = server;
    const request = nc.request.bind(nc);
    let left = requests;
    nc.request = (subject, ...rest) => request(left-- > 0 ? "nobody.is.here" : subject, ...rest);
  }

  test("is asked again: a document is written, changed and removed once, and known at once", async () => {
    const store = await open();
    const ref = { type: "tenant", tenant: "shop" } as const;
    deafFor(2);
    const made = await store.put(ref, { log: false }, null);
    deafFor(3);
    const changed = await store.put(ref, { log: true }, made);
    expect(changed).toBe(made + 1);
    expect(store.get(ref)?.revision).toBe(changed);
    deafFor(2);
    await store.remove(ref, changed);
    expect(store.get(ref)).toBeNull();
  });

  test("fails the write when it lasts, and nothing is written", async () => {
    const store = await open();
    const before = revision(store);
    deafFor(Number.POSITIVE_INFINITY);
    await expect(store.put(EXPORT, { ...ORDERS, start: "all" }, before)).rejects.toThrow("not enabled");
    expect(revision(store)).toBe(before);
  });
});

describe("KvStateStore.remove()", () => {
  test("removes a tenant with its exports and imports", async () => {
    const store = await open();
    await store.remove(TENANT, revision(store, TENANT));
    expect(store.desired().state.tenants).toEqual([]);
    expect(store.list("export")).toEqual([]);
    expect(store.list("import")).toEqual([]);
    expect((await open()).desired().state.tenants).toEqual([]);
  });

  test("refuses what others need, what is not there, and what has changed", async () => {
    const store = await open();
    await expect(store.remove({ type: "peer", peer: "austin" }, undefined)).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining("peer austin cannot be changed so"),
    });
    await expect(store.remove({ ...EXPORT, name: "none" }, undefined)).rejects.toMatchObject({
      code: "not_found",
      message: "There is no export acme/none",
    });
    await expect(store.remove(EXPORT, revision(store) + 1)).rejects.toMatchObject({
      code: "precondition_failed",
    });
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
  });
});

describe("KvStateStore", () => {
  test("keeps a document when another writer replaces it by what is none", async () => {
    const store = await open();
    const kv = await bucket();
    for (const text of ["{", '{"name":1}', ""]) await kv.put("export.acme.orders", text);
    const mark = await kv.put("tenant.globex", "{}");
    await waitFor(() => store.get({ type: "tenant", tenant: "globex" })?.revision === mark);
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
  });

  test("follows what another writer changes and removes", async () => {
    let changes = 0;
    const store = await open(SEED, () => {
      changes++;
    });
    const other = await open();
    const seen = changes;
    const made = await other.put(EXPORT, { ...ORDERS, start: "all" }, undefined);
    await waitFor(() => store.get(EXPORT)?.revision === made);
    expect(store.desired()).toMatchObject({ revision: made });
    await other.remove(EXPORT, made);
    await waitFor(() => store.get(EXPORT) === null);
    expect(store.desired().state.tenants[0]?.exports).toEqual([]);
    expect(changes).toBeGreaterThanOrEqual(seen + 2);
  });

  test("lists by name, and of one tenant when it is asked to", async () => {
    const store = await open();
    await store.put({ type: "tenant", tenant: "abc" }, {}, null);
    await store.put(
      { type: "export", tenant: "abc", name: "x" },
      { name: "x", to: ["austin"], rules: [{ subjects: ["abc.>"] }] },
      null,
    );
    expect(store.list("tenant").map((one) => one.ref.tenant)).toEqual(["abc", "acme"]);
    expect(store.list("export").map((one) => one.ref.name)).toEqual(["x", "orders"]);
    expect(store.list("export", "acme").map((one) => one.ref.name)).toEqual(["orders"]);
  });
});

describe("a shadow", () => {
  const SHADOW = { type: "shadow", tenant: "acme", name: "orders" } as const;

  test("is kept beside its export, is no part of it, and goes with it", async () => {
    const store = await open();
    const before = JSON.stringify(store.desired().state);
    await store.put(SHADOW, { rules: [{ subjects: ["acme.new"] }] }, null);
    expect(JSON.stringify(store.desired().state)).toBe(before);
    const again = await open();
    expect(again.list("shadow", "acme").map(({ document }) => document.value)).toEqual([
      { rules: [{ subjects: ["acme.new"] }] },
    ]);
    await store.remove(EXPORT, undefined);
    expect(store.get(SHADOW)).toBeNull();
    expect(store.list("shadow")).toEqual([]);
    await waitFor(() => again.get(SHADOW) === null, { what: "the removal to be seen" });
  });

  test("is refused with what its export would be refused for, and without an export", async () => {
    const store = await open();
    const rules = [{ subjects: ["bolt.x"] }, { subjects: ["acme.y"], when: "1" }];
    const refused = {
      code: "policy_invalid",
      problems: [{ path: "rules[0].subjects[0]" }, { path: "rules[1].when" }],
    };
    await expect(store.put(SHADOW, { rules }, null)).rejects.toMatchObject(refused);
    expect(() => store.check(SHADOW, { rules })).toThrow(expect.objectContaining({ code: "policy_invalid" }));
    const other = { ...SHADOW, name: "other" };
    await expect(store.put(other, { rules }, null)).rejects.toThrow("There is no export acme/other");
    expect(store.get(SHADOW)).toBeNull();
  });
});

describe("a document that this version cannot read", () => {
  const put = async (text: string) => await (await bucket()).put("export.acme.orders", text);

  test("keeps a site from starting: its policy would be taken for removed", async () => {
    await open();
    for (const text of [JSON.stringify({ ...ORDERS, later: 1 }), "no JSON", "null"]) {
      await put(text);
      await expect(open()).rejects.toMatchObject({ code: "data_folder_unusable" });
      await expect(open()).rejects.toThrow("export acme/orders (");
    }
  });

  test("leaves a running site with the policy that it has, which can be written again", async () => {
    const store = await open();
    await put("no JSON");
    const mark = await (await bucket()).put("tenant.globex", "{}");
    await waitFor(() => store.get({ type: "tenant", tenant: "globex" })?.revision === mark);
    expect(store.get(EXPORT)?.value).toEqual(ORDERS);
    const written = await store.put(EXPORT, { ...ORDERS, start: "all" }, undefined);
    expect(store.get(EXPORT)).toMatchObject({ revision: written, value: { start: "all" } });
    expect((await open()).get(EXPORT)?.revision).toBe(written);
  });
});

describe("what another site has said", () => {
  const peer = { type: "peer", peer: "tokyo" } as const;
  const key = createSigningKey().publicKey;

  test("is refused where the next start could not read it", async () => {
    const store = await open();
    for (const more of [
      { ca: "" },
      { ca: "what is no certificate" },
      { dial: "tls://user@host:1" },
      { dial: "tls://%zz:1" },
      { dial: "tls://a?b:1" },
      { later: true },
    ]) {
      const written = store.put(peer, { name: "tokyo", key, ...more }, null);
      await expect(written).rejects.toMatchObject({ code: "config_invalid" });
    }
    expect(store.get(peer)).toBeNull();
    expect((await open()).get(peer)).toBeNull();
  });

  test("a key that was revoked comes back neither as a key nor as the next one", async () => {
    const store = await open();
    const nextKey = createSigningKey().publicKey;
    await store.put(peer, { name: "tokyo", key, nextKey }, null);
    const at = new Date().toISOString();
    await store.put({ type: "revocation", key: nextKey }, { key: nextKey, peer: "tokyo", at }, null);
    expect(store.desired().state).toMatchObject({
      peers: [{ name: "austin" }],
      revoked: [{ name: "tokyo", key: nextKey, at }],
    });
    const refused = { code: "peer_revoked", message: expect.stringContaining(nextKey) };
    await expect(store.put(peer, { name: "tokyo", key: nextKey }, undefined)).rejects.toMatchObject(refused);
    await expect(store.put(peer, { name: "tokyo", key, nextKey }, undefined)).rejects.toMatchObject(refused);
  });
});

describe("a schema that a shadow names", () => {
  test("stays, as one that a rule names", async () => {
    const store = await open();
    const schema = { type: "schema", tenant: "acme", name: "order" } as const;
    const versions = [
      { version: 1, schema: { type: "object" } },
      { version: 2, schema: { type: "object" } },
    ];
    await store.put(schema, { name: "order", versions }, null);
    const shadow = { type: "shadow", tenant: "acme", name: "orders" } as const;
    await store.put(shadow, { rules: [{ subjects: ["acme.new"], schema: "order@2" }] }, null);
    const refused = { code: "conflict", message: expect.stringContaining("(shadow of export acme/orders)") };
    await expect(store.remove(schema, undefined)).rejects.toMatchObject(refused);
    const one = { name: "order", versions: versions.slice(0, 1) };
    await expect(store.put(schema, one, undefined)).rejects.toMatchObject(refused);
    await store.put({ ...schema, name: "other" }, { name: "other", versions }, null);
    await store.remove(shadow, undefined);
    await store.remove(schema, undefined);
  });
});
