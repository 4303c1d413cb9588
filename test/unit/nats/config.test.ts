/** The rendered configuration, held in golden files: LEAFMESH_UPDATE_GOLDEN=1 writes them anew. */
import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { describeCertificate } from "../../../src/model/certificate.ts";
import { clusteredState, type DesiredState, desiredTenant } from "../../../src/model/desired.ts";
import {
  type ConfigInput,
  maxPayloadBytes,
  renderConfig,
  renderFragment,
  renderLeafCredential,
} from "../../../src/nats/config.ts";
import { clusterPassword, renderClusterCredential } from "../../../src/nats/config_cluster.ts";
import { duplicateKeys } from "../../../src/nats/config_keys.ts";
import { trustFiles } from "../../../src/nats/config_links.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { createCa } from "../../../src/nats/pki/certificates.ts";

/** A key that is well formed and easy to tell in a golden file. */
const key = (letter: string): string => `U${letter.repeat(55)}`;

const EMPTY: DesiredState = { site: "berlin", peers: [], tenants: [] };
const FULL: DesiredState = {
  site: "berlin",
  peers: [
    { name: "tokyo", key: key("T"), dial: "nats-leaf://tokyo.example.net:7422" },
    { name: "us-1", key: key("W") },
  ],
  tenants: [
    desiredTenant({
      tenant: "acme",
      users: [
        { name: "orders", key: key("A") },
        { name: "billing", key: key("B") },
      ],
      imports: [{ from: "tokyo", subjects: ["acme.>"] }],
    }),
    desiredTenant({
      tenant: "globex",
      limits: { storage: "10MiB", maxMsgSize: "4MiB" },
      imports: [{ from: "us-1", subjects: ["globex.>"] }],
    }),
  ],
};

function input(desired: DesiredState, more: Partial<ConfigInput> = {}): ConfigInput {
  return {
    desired,
    keys: { site: key("S"), mesh: key("M"), sys: key("Y") },
    listen: "127.0.0.1:4222",
    leaf: "0.0.0.0:7422",
    sync: "always",
    paths: { store: "/data/store", log: "/data/log/nats.log", leafCredential: "keys/leaf.conf" },
    retiredTenants: [],
    compression: "s2_fast",
    ...more,
  };
}

async function expectGolden(name: string, text: string): Promise<void> {
  const file = new URL(`golden/${name}.conf`, import.meta.url);
  if (process.env.LEAFMESH_UPDATE_GOLDEN === "1") await writeFile(file, text);
  expect(text).toBe(await readFile(file, "utf8"));
}

describe("renderConfig()", () => {
  test("of a site without tenants and peers", async () => {
    await expectGolden("empty", renderConfig(input(EMPTY)));
  });

  test("of a site with peers, one that we dial, and tenants, one with small limits", async () => {
    await expectGolden("full", renderConfig(input(FULL)));
  });

  test("keeps the accounts of retired tenants without users and borders", async () => {
    const retiredTenants = ["old", "acme", "old"];
    await expectGolden("retired", renderConfig(input(EMPTY, { retiredTenants, sync: 250 })));
    expect(renderConfig(input(FULL, { retiredTenants: ["acme"] }))).toBe(renderConfig(input(FULL)));
  });

  test("of links with certificates: peers whose CA is not known have none", async () => {
    const { certPem: ca } = await createCa("tokyo", { now: new Date(), ttlMs: 60_000 });
    const { fingerprint } = describeCertificate(ca);
    const tls = {
      linkFile: "/data/keys/link.pem",
      linkFingerprint: "f00d",
      trustFolder: "/data/keys",
      ownCa: ca,
    };
    const known: DesiredState = {
      ...FULL,
      peers: FULL.peers.map((peer) => (peer.name === "tokyo" ? { ...peer, ca } : peer)),
    };
    await expectGolden("tls", renderConfig(input(known, { tls })).replaceAll(fingerprint, "<fingerprint>"));
    expect(renderConfig(input(known, { tls }))).not.toContain("LINK_us-1");
    expect(trustFiles(known, tls).map(({ path }) => path)).toEqual([
      "/data/keys/trusted.pem",
      "/data/keys/peer-tokyo.pem",
    ]);
    expect(renderConfig(input(known, { tls: { ...tls, linkFingerprint: "beef" } }))).not.toBe(
      renderConfig(input(known, { tls })),
    );
  });

  test("of one server of three: its peers' links count for all, and what streams take counts for each", async () => {
    const tls = { certFile: "/data/keys/link.pem", fingerprint: "f00d", caFile: "/data/keys/cluster-ca.pem" };
    const cluster = {
      name: "berlin",
      member: "a",
      listen: "0.0.0.0:6222",
      credential: "keys/cluster.conf",
      tls,
    };
    const peers = FULL.peers.map((peer) =>
      peer.name === "tokyo"
        ? { ...peer, dial: ["nats-leaf://t1:7422", "nats-leaf://t2:7422"], servers: 2 }
        : peer,
    );
    const desired = clusteredState({ ...FULL, peers }, 3);
    await expectGolden("cluster", renderConfig(input(desired, { cluster })));
  });

  test("lets no value out of its quotes", () => {
    const store = '/da"ta\\{x}\n$store';
    const text = renderConfig(input(EMPTY, { paths: { ...input(EMPTY).paths, store } }));
    expect(text).toContain('store_dir: "/da\\"ta\\\\{x}\\x0a$store"');
  });

  test("has no seed, which stands in the included file alone", () => {
    const site = createSigningKey();
    const seed = new TextDecoder().decode(site.seed());
    expect(renderConfig(input(FULL))).not.toMatch(/SU[A-Z2-7]{56}/);
    expect(renderLeafCredential(site)).toBe(`nkey: "${seed}"\n`);
  });
});

describe("renderClusterCredential()", () => {
  test("is the same for all who have the key, and shows it to nobody", () => {
    const key = createSigningKey();
    const text = renderClusterCredential(["a:6222", "b:6222"], clusterPassword(key));
    expect(text).toBe(renderClusterCredential(["a:6222", "b:6222"], clusterPassword(key)));
    expect(text).toMatch(/nats-route:\/\/member:[0-9a-f]{64}@b:6222"/);
    expect(text).not.toMatch(/SU[A-Z2-7]{56}/);
    expect(clusterPassword(createSigningKey())).not.toBe(clusterPassword(key));
  });
});

describe("renderFragment()", () => {
  test("has what must be in force and leaves the rest to the server's owner", async () => {
    await expectGolden("fragment", renderFragment(input(FULL)));
  });
});

describe("maxPayloadBytes()", () => {
  test("has room for the largest event of any tenant and for what the sidecar adds", () => {
    expect(maxPayloadBytes(EMPTY)).toBe(1024 ** 2 + 256 * 1024);
    expect(maxPayloadBytes(FULL)).toBe(4 * 1024 ** 2 + 256 * 1024);
  });
});

describe("duplicateKeys()", () => {
  test("is empty when every user has a key of its own", () => {
    expect(duplicateKeys(FULL, input(FULL).keys)).toEqual([]);
  });

  test("names every place of a key that nats-server would find twice", () => {
    const desired: DesiredState = {
      ...FULL,
      peers: [
        { name: "tokyo", key: key("A") },
        { name: "austin", key: key("M") },
        { name: "osaka", key: key("S") },
      ],
    };
    expect(duplicateKeys(desired, input(desired).keys)).toEqual([
      { path: "peers[1].key", message: `${key("M")} is already the key of this sidecar in MESH` },
      { path: "peers[2].key", message: `${key("S")} is already the key of this site` },
      { path: "tenants[0].users[0].key", message: `${key("A")} is already the key of peers[0]` },
    ]);
  });
});
