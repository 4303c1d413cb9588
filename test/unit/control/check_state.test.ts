import { describe, expect, test } from "bun:test";
import { checkState } from "../../../src/control/check_state.ts";
import type { TenantDocument } from "../../../src/model/schema/tenant.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";

const key = () => createSigningKey().publicKey;
const AUSTIN = { name: "austin", key: key() };
const EXPORT = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };

function problems(
  tenants: readonly TenantDocument[],
  peers = [AUSTIN],
  own?: Parameters<typeof checkState>[3],
) {
  return checkState("berlin", tenants, peers, own).map(({ path, message }) => `${path}: ${message}`);
}

describe("checkState()", () => {
  test("has nothing against a state that makes sense", () => {
    const imports = [{ from: "austin", subjects: ["acme.>"] }];
    expect(problems([{ tenant: "acme", exports: [EXPORT], imports }, { tenant: "globex" }])).toEqual([]);
  });

  test("reports a peer that is this site, and one that is there twice", () => {
    const peers = [AUSTIN, { name: "berlin", key: key() }, { name: "austin", key: key() }];
    expect(problems([], peers)).toEqual([
      "peers[1].name: Peer 'berlin' is this site itself",
      "peers[2].name: Peer 'austin' is there already, as peers[0]",
    ]);
  });

  test("reports a tenant that is there twice or has the name of a site", () => {
    expect(
      problems([{ tenant: "acme" }, { tenant: "acme" }, { tenant: "berlin" }, { tenant: "austin" }]),
    ).toEqual([
      "tenants[1].tenant: Tenant 'acme' is there already, as tenants[0]",
      "tenants[2].tenant: Tenant 'berlin' has the name of the site: both are first tokens of subjects",
      "tenants[3].tenant: Tenant 'austin' has the name of a peer: both are first tokens of subjects",
    ]);
  });

  test("reports all problems at once, each at its place in the site file", () => {
    const found = problems([
      { tenant: "globex" },
      {
        tenant: "acme",
        exports: [EXPORT, { ...EXPORT, name: "again" }, { ...EXPORT, name: "nowhere", to: ["paris"] }],
        imports: [{ from: "berlin", subjects: ["globex.>"] }],
      },
    ]);
    expect(found).toEqual([
      "tenants[1].exports[1].to[0]: Peer 'austin' already gets events of 'berlin' by export 'orders': one policy decides for a peer",
      "tenants[1].exports[2].to[0]: 'paris' is no peer of this site (known are austin)",
      "tenants[1].imports[0].from: 'berlin' is this site: there is nothing to import from itself",
      "tenants[1].imports[0].subjects[0]: 'globex.>' is outside the tenant's subjects ('acme.>')",
    ]);
  });

  test("reports a key that stands for two users, and one of our own", () => {
    const own = { site: key(), mesh: key(), sys: key() };
    const user = { name: "app", key: key() };
    const found = problems(
      [
        { tenant: "acme", users: [user, { name: "mesh", key: own.mesh }] },
        { tenant: "globex", users: [user, { name: "austin", key: AUSTIN.key }] },
      ],
      [AUSTIN, { name: "tokyo", key: own.site }],
      own,
    );
    expect(found).toEqual([
      `peers[1].key: ${own.site} is already the key of this site`,
      `tenants[0].users[1].key: ${own.mesh} is already the key of this sidecar in MESH`,
      `tenants[1].users[0].key: ${user.key} is already the key of tenants[0].users[0]`,
      `tenants[1].users[1].key: ${AUSTIN.key} is already the key of peers[0]`,
    ]);
  });
});
