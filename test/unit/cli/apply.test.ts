import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { createWorld, PUBLIC_KEY } from "./cli_support.ts";

const SITE = `site: berlin
peers:
  - { name: tokyo, key: ${PUBLIC_KEY} }
tenants:
  - tenant: acme
    log: false
    exports:
      - { name: eu, to: [tokyo], rules: [{ subjects: ["acme.orders.>"] }] }
    imports:
      - { from: tokyo, origin: austin, subjects: ["acme.>"] }
`;

describe("apply -f", () => {
  test("writes peers, tenants, imports and exports, and then nothing a second time", async () => {
    const world = createWorld();
    world.files.set("site.yaml", SITE);
    const first = await world.run("apply", "-f", "site.yaml");
    expect([first.code, first.out]).toEqual([
      0,
      "created: peer tokyo\ncreated: tenant acme\ncreated: import acme/tokyo of austin\ncreated: export acme/eu\nRevision 1 is applied.\n",
    ]);
    expect(world.api.control.calls).toEqual([
      "put peer tokyo expecting null",
      "put tenant acme expecting null",
      "put import acme/tokyo (origin austin) expecting null",
      "put export acme/eu expecting null",
      "apply",
    ]);
    const second = await world.run("apply", "-f", "site.yaml", "--json");
    expect(second.json()).toMatchObject({
      changes: [{ done: "unchanged" }, {}, {}, {}],
      kept: [],
      converged: true,
    });
  });

  test("changes what differs under the revision that it read, and names what it keeps", async () => {
    const world = createWorld();
    const { control } = world.api;
    control.seed({ type: "tenant", tenant: "acme" }, {});
    control.seed(
      { type: "export", tenant: "acme", name: "old" },
      { name: "old", to: ["b"], rules: [{ subjects: ["acme.x"] }] },
    );
    world.files.set("acme.yaml", "tenant: acme\nlog: false\n");
    const { out } = await world.run("apply", "--file", "acme.yaml");
    expect(out).toBe(
      "changed: tenant acme\nkept, not in the file: export acme/old\nRevision 1 is applied.\n",
    );
    expect(control.calls).toEqual(["put tenant acme expecting 1", "apply"]);
  });

  test("keeps the users that a file does not speak of, and replaces those of one that does", async () => {
    const world = createWorld();
    const { control } = world.api;
    const users = [{ name: "app", key: PUBLIC_KEY }];
    control.seed({ type: "tenant", tenant: "acme" }, { users });
    world.files.set("acme.yaml", "tenant: acme\nlog: false\n");
    await world.run("apply", "--file", "acme.yaml");
    expect(control.state.get({ type: "tenant", tenant: "acme" })?.value).toEqual({ users, log: false });
    world.files.set("acme.yaml", "tenant: acme\nusers: []\n");
    await world.run("apply", "--file", "acme.yaml");
    expect(control.state.get({ type: "tenant", tenant: "acme" })?.value).toEqual({ users: [] });
  });

  test("tries again what the state refuses because of another document of the file", async () => {
    const world = createWorld();
    const { control } = world.api;
    const { put } = control.state;
    let refuse = true;
    Object.assign(control.state, {
      put: async (...args: Parameters<typeof put>) => {
        if (args[0].type === "import" && refuse) {
          refuse = false;
          throw new LeafmeshError("policy_invalid", "not yet");
        }
        return await put(...args);
      },
    });
    world.files.set("site.yaml", SITE);
    const { code, out } = await world.run("apply", "-f", "site.yaml");
    expect([code, refuse]).toEqual([0, false]);
    expect(out).toContain("created: import acme/tokyo of austin\ncreated: export acme/eu\n");
  });

  test("tells what is refused for good, with what stands already", async () => {
    const world = createWorld();
    const { put } = world.api.control.state;
    const problems = [{ path: "tenants[0].exports[0].to[0]", message: "'tokyo' is no peer" }];
    Object.assign(world.api.control.state, {
      put: async (...args: Parameters<typeof put>) => {
        if (args[0].type === "export") throw new LeafmeshError("policy_invalid", "No.", { problems });
        return await put(...args);
      },
    });
    world.files.set("site.yaml", SITE);
    const { code, err } = await world.run("apply", "-f", "site.yaml");
    expect([code, err]).toEqual([
      2,
      "leafmesh: export acme/eu: No.\n  tenants[0].exports[0].to[0]: 'tokyo' is no peer\nWritten before that: created: peer tokyo, created: tenant acme, created: import acme/tokyo of austin\n",
    ]);
  });

  test("explains that somebody else was faster", async () => {
    const world = createWorld();
    const { control } = world.api;
    control.seed({ type: "tenant", tenant: "acme" }, {});
    control.beforeWrite = () => control.seed({ type: "tenant", tenant: "acme" }, { log: true });
    world.files.set("acme.yaml", "tenant: acme\nlog: false\n");
    const { code, err } = await world.run("apply", "-f", "acme.yaml");
    expect([code, err]).toEqual([5, expect.stringContaining("Somebody else changed it meanwhile")]);
  });

  test("refuses the file of another site, and a file with problems, before it writes", async () => {
    const world = createWorld();
    world.files.set("tokyo.yaml", SITE.replace("berlin", "tokyo")).set("bad.yaml", "tenant: acme\nlgo: 1\n");
    expect(await world.run("apply", "-f", "tokyo.yaml")).toMatchObject({
      code: 5,
      err: "leafmesh: tokyo.yaml is for site 'tokyo', but http://127.0.0.1:7480 is site 'berlin'\n",
    });
    expect(await world.run("apply", "-f", "bad.yaml")).toMatchObject({
      code: 2,
      err: "leafmesh: bad.yaml is not valid:\n  bad.yaml:2:1 lgo: unknown key 'lgo' (did you mean 'log'?)\n",
    });
    expect((await world.run("apply", "-f", "nix.yaml")).code).toBe(4);
    expect(world.api.control.calls).toEqual([]);
  });

  test("fails when a step fails, and does not when it waits for a peer", async () => {
    const world = createWorld();
    const step = {
      type: "x",
      target: "y",
      text: "create stream out_acme",
      error: "no space",
      waiting: false,
    };
    world.api.control.applied = { revision: 3, applied: [], failed: [step], converged: false };
    expect(await world.run("apply")).toMatchObject({
      code: 8,
      out: "failed: create stream out_acme: no space\nRevision 3 is applied but for these.\n",
    });
    world.api.control.applied = {
      revision: 3,
      applied: [],
      failed: [{ ...step, waiting: true }],
      converged: false,
    };
    expect(await world.run("apply")).toMatchObject({
      code: 0,
      out: expect.stringContaining("waits: create stream"),
    });
  });
});

describe("plan", () => {
  test("shows steps, notes and how exports run", async () => {
    const { out } = await createWorld().run("plan");
    expect(out).toBe(
      "1 step to revision 0:\n  create stream out_acme for tenant acme\n\nEXPORT          RUNS AS  WHY\nacme/eu-orders  view     rule #1 redacts\n",
    );
  });
});

describe("explain", () => {
  test("sends headers and bytes as they are given", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    world.files.set("event.json", '{"n":1.0}');
    const { code } = await world.run(
      "explain",
      "acme.x",
      "--header",
      "a=b=c",
      "--header",
      "a=d",
      "--data",
      "@event.json",
    );
    expect(code).toBe(0);
    const { explained } = world.api.control;
    expect(explained?.headers).toEqual({ a: ["b=c", "d"] });
    expect(new TextDecoder().decode(explained?.data)).toBe('{"n":1.0}');
    await world.run("explain", "acme.x", "--data", '{"n":2.0}', "--origin", "tokyo");
    expect([
      new TextDecoder().decode(world.api.control.explained?.data),
      world.api.control.explained?.origin,
    ]).toEqual(['{"n":2.0}', "tokyo"]);
    expect((await world.run("explain", "acme.x", "--header", "=x")).err).toContain(
      "--header '=x' is no NAME=VALUE",
    );
  });

  test("shows what each peer would get", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    const data = new TextEncoder().encode('{"email":"***@b.c"}');
    world.api.control.peers = [
      {
        peer: "tokyo",
        policy: "eu",
        kind: "view",
        outcome: "forward",
        rule: "#1",
        reason: "it matches",
        steps: [{ rule: "#1", outcome: "matches" }],
        accepted: "unknown",
        result: { subject: "acme.x", headers: { region: ["EU"] }, data, redactions: 1 },
      },
    ];
    expect((await world.run("explain", "acme.x")).out).toBe(`acme.x, tenant acme

tokyo: forward by rule #1: it matches
  export eu (view)
  tokyo has not said yet what it accepts
  rule #1: matches
  gets acme.x, 1 value redacted
    region: EU
    {"email":"***@b.c"}
`);
  });
});

describe("export, import and dlq", () => {
  test("put takes a file, list and show what stands, remove ends it", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    world.files.set("eu.yaml", 'to: [tokyo]\nrules: [{ subjects: ["acme.orders.>"] }]\n');
    expect((await world.run("export", "put", "acme", "-f", "eu.yaml")).err).toContain(
      "eu.yaml has no 'name'",
    );
    expect((await world.run("export", "put", "acme", "eu")).err).toContain("--file PATH is missing");
    expect((await world.run("export", "put", "acme", "eu", "-f", "eu.yaml")).out).toStartWith(
      "Export acme/eu is created",
    );
    expect((await world.run("export", "put", "acme", "eu", "-f", "eu.yaml")).out).toStartWith(
      "Export acme/eu is unchanged",
    );
    world.files.set("shown.yaml", (await world.run("export", "show", "acme", "eu")).out);
    expect((await world.run("export", "put", "acme", "-f", "shown.yaml")).out).toStartWith(
      "Export acme/eu is unchanged",
    );
    expect((await world.run("export", "list", "acme")).out).toMatch(
      /^eu +tokyo +- +1 rule +acme\.orders\.>$/m,
    );
    expect((await world.run("export", "remove", "acme", "eu")).code).toBe(0);
    expect((await world.run("export", "list", "acme")).out).toBe("No exports.\n");
  });

  test("imports are put by flags or from a file", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    const put = await world.run(
      "import",
      "put",
      "acme",
      "tokyo",
      "--subject",
      "acme.a",
      "--subject",
      "acme.b",
      "--log-only",
    );
    expect([put.code, put.out]).toEqual([
      0,
      "Import acme/tokyo is created; the sidecar applies it within seconds.\n",
    ]);
    world.files.set("i.yaml", "subjects: [acme.c]\n").set("other.yaml", "from: b\nsubjects: [acme.c]\n");
    await world.run("import", "put", "acme", "tokyo", "--origin", "austin", "-f", "i.yaml");
    expect((await world.run("import", "put", "acme", "tokyo", "-f", "other.yaml")).err).toContain(
      "is from 'b'",
    );
    expect((await world.run("import", "put", "acme", "tokyo")).err).toContain("subjects: is empty");
    expect((await world.run("import", "list", "acme")).out).toBe(
      "FROM   ORIGIN  HOW       SUBJECTS\ntokyo  austin  live      acme.c\ntokyo  tokyo   log only  acme.a acme.b\n",
    );
    expect((await world.run("import", "remove", "acme", "tokyo", "--origin", "austin")).code).toBe(0);
    expect((await world.run("import", "remove", "acme", "tokyo", "--origin", "austin")).code).toBe(4);
  });

  test("dead letters come in pages", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    const { out } = await world.run("dlq", "list", "acme", "--after", "7", "--limit", "1");
    expect(out).toMatch(/^8 +2026-01-02T03:04:05 +acme\.orders\.created +eu-orders\/#1 +payload_not_json/m);
    expect(world.api.control.calls).toEqual(["dlq after 7 limit 1"]);
  });
});
