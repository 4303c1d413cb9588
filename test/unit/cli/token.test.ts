import { describe, expect, test } from "bun:test";
import { ROLE_TOKENS } from "../routes/fake_tokens.ts";
import { createWorld } from "./cli_support.ts";

describe("token", () => {
  test("add shows the token once, list and revoke go by its name", async () => {
    const world = createWorld();
    const added = await world.run("token", "add", "ci", "--role", "viewer", "--expires", "30d");
    expect([added.code, added.err]).toEqual([0, ""]);
    expect(added.out).toContain("lmt_000000000000_made");
    const list = await world.run("token", "list");
    expect(list.out).toContain("viewer");
    expect(list.out).not.toContain("lmt_");
    expect((await world.run("token", "revoke", "ci")).out).toContain("Token ci is revoked.");
    expect((await world.run("token", "list")).out).toContain("No tokens but the bootstrap token.");
    expect((await world.run("token", "revoke", "ci")).code).toBe(4);
  });

  test("add --out writes a file for its owner alone, and shows no token", async () => {
    const world = createWorld();
    const added = await world.run("token", "add", "ci", "--role", "auditor", "--out", "ci.token");
    expect(added.out).not.toContain("lmt_");
    expect([world.files.get("ci.token"), world.modes.get("ci.token")]).toEqual([
      "lmt_000000000000_made\n",
      0o600,
    ]);
  });

  test("add says what is wrong", async () => {
    const world = createWorld();
    const cases: [string[], string][] = [
      [[], "--role is missing"],
      [["--role", "root"], "role"],
      [["--role", "tenant-admin"], "a tenant-admin needs its tenant"],
      [["--role", "viewer", "--tenant", "acme"], "a token of role viewer has no tenant"],
      [["--role", "viewer", "--expires", "400d"], "longer than"],
      [["--role", "tenant-admin", "--tenant", "nobody"], "There is no tenant 'nobody'"],
    ];
    for (const [flags, message] of cases) {
      const { code, err } = await world.run("token", "add", "ci", ...flags);
      expect([flags, code === 0]).toEqual([flags, false]);
      expect(err).toContain(message);
    }
  });

  test("rotate-bootstrap shows the new one; whoami says who asks", async () => {
    const world = createWorld();
    expect((await world.run("token", "rotate-bootstrap")).out).toContain("lm_another");
    expect((await world.run("whoami")).out).toContain("bootstrap");
    world.files.set("acme.token", ROLE_TOKENS.acme);
    const { out } = await world.run("whoami", "--token-file", "acme.token");
    expect(out).toContain("tenant-admin");
    const refused = await world.run("peer", "list", "--token-file", "acme.token");
    expect([refused.code, refused.err]).toEqual([
      3,
      "leafmesh: The role tenant-admin of 'acme-admin' may not call listPeers\n",
    ]);
  });
});

describe("--ca", () => {
  test("takes a certificate in PEM", async () => {
    const world = createWorld();
    world.files.set("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    expect((await world.run("whoami", "--ca", "ca.pem")).code).toBe(0);
    world.env.set("LEAFMESH_CA", "none.pem");
    expect((await world.run("whoami")).err).toContain("There is no file none.pem");
    world.files.set("none.pem", "x");
    expect((await world.run("whoami")).err).toContain("holds no certificate");
  });
});
