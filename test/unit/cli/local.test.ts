import { describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemEffects } from "../../../src/cli/effects.ts";
import { elapsed, printable, table } from "../../../src/cli/table.ts";
import type { UpOptions } from "../../../src/cli/up.ts";
import { parseSiteFile } from "../../../src/model/site_file.ts";
import { createWorld, PUBLIC_KEY } from "./cli_support.ts";

describe("init", () => {
  test("writes a site file that can be read, and never over another", async () => {
    const world = createWorld();
    const { code, out } = await world.run("init", "berlin", "--dir", "b");
    expect([code, out]).toEqual([0, expect.stringContaining("leafmesh up b/site.yaml")]);
    const text = world.files.get("b/site.yaml") ?? "";
    expect(parseSiteFile(text, "site.yaml")).toMatchObject({ site: "berlin", peers: [], tenants: [] });
    expect((await world.run("init", "tokyo", "--dir", "b")).code).toBe(5);
    expect(world.files.get("b/site.yaml")).toBe(text);
    expect((await world.run("init", "Berlin")).err).toContain("'Berlin' must be a lower-case letter");
  });

  test("comments out examples that are valid, too", async () => {
    const world = createWorld();
    await world.run("init", "berlin");
    const text = (world.files.get("site.yaml") ?? "")
      .replace(/^(peers|tenants): \[\]$/gm, "$1:")
      .replace(/^# (data|sync)/gm, "$1")
      .replace(/^#( {2}.*)$/gm, "$1")
      .replaceAll("U…", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4");
    expect(parseSiteFile(text, "site.yaml").tenants?.[0]?.exports?.[0]?.name).toBe("eu-orders");
  });
});

describe("up", () => {
  function world() {
    const made = createWorld();
    const started: UpOptions[] = [];
    Object.assign(made.sidecar, {
      runSidecar: async (options: UpOptions) => {
        started.push(options);
        return 6;
      },
    });
    return { ...made, started };
  }

  test("passes the site file and what stands over it, and ends as the sidecar ends", async () => {
    const { run, files, started } = world();
    files.set("site.yaml", "site: berlin\n");
    const words = ["--data", "d", "--api", ":0", "--listen", "a:1", "--leaf", "b:2", "--log", "json"];
    expect(await run("up", "other.yaml", ...words)).toMatchObject({ code: 6, out: "" });
    await run("up");
    await run("up", "--site", "tokyo");
    expect(started).toEqual([
      {
        siteFile: "other.yaml",
        overrides: { data: "d", api: ":0", listen: "a:1", leaf: "b:2" },
        log: "json",
      },
      { siteFile: "site.yaml", overrides: {}, log: "text" },
      { overrides: { site: "tokyo" }, log: "text" },
    ]);
  });

  test("starts with the defaults where there is no site file", async () => {
    const { run, started } = world();
    await run("up");
    expect(started).toEqual([{ overrides: {}, log: "text" }]);
    expect((await run("up", "--log", "xml")).err).toContain("--log is 'xml', expected text or json");
  });
});

describe("lint", () => {
  test("lists the problems of all files with their places", async () => {
    const world = createWorld();
    Object.assign(
      world.sidecar,
      await import("../../../src/cli/up.ts").then(({ loadSidecar }) => loadSidecar()),
    );
    world.files
      .set("shape.yaml", "site: berlin\ntenats: []\n")
      .set("tenant.yaml", "tenant: acme\nlgo: 1\n")
      .set("good.yaml", "site: tokyo\n")
      .set(
        "meaning.yaml",
        'site: berlin\ntenants:\n  - tenant: acme\n    exports:\n      - { name: eu, to: [tokyo], rules: [{ subjects: ["acme.>"] }] }\n',
      );
    const { code, out } = await world.run("lint", "shape.yaml", "tenant.yaml", "good.yaml", "meaning.yaml");
    expect(code).toBe(2);
    expect(out).toBe(
      "shape.yaml:2:1 error invalid: unknown key 'tenats' (did you mean 'tenants'?)\n" +
        "tenant.yaml:2:1 error invalid: unknown key 'lgo' (did you mean 'log'?)\n" +
        "meaning.yaml:5:26 error invalid: 'tokyo' is no peer of this site (this site has none)\n" +
        "4 files, 3 errors, 0 warnings\n",
    );
    expect(await world.run("lint", "good.yaml", "--json")).toMatchObject({ code: 0 });
  });

  test("warnings fail with --strict alone", async () => {
    const world = createWorld();
    Object.assign(
      world.sidecar,
      await import("../../../src/cli/up.ts").then(({ loadSidecar }) => loadSidecar()),
    );
    const rule =
      '{ subjects: ["acme.*.eu"] }, { subjects: ["acme.orders.>"], redact: [{ path: $.a, with: remove }] }';
    world.files.set(
      "berlin.yaml",
      `site: berlin\npeers: [{ name: tokyo, key: ${PUBLIC_KEY} }]\ntenants:\n  - tenant: acme\n    exports: [{ name: eu, to: [tokyo], rules: [${rule}] }]\n`,
    );
    expect(await world.run("lint", "berlin.yaml")).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^berlin\.yaml:5:\d+ warning redaction-partly-bypassed: [\s\S]*1 file, 0 errors, 1 warning\n$/,
      ),
    });
    const strict = await world.run("lint", "berlin.yaml", "--strict", "--json");
    expect([strict.code, strict.json()]).toMatchObject([2, { errors: 0, warnings: 1 }]);
  });

  test("without a file asks the API for what is in force", async () => {
    const world = createWorld();
    expect(await world.run("lint")).toMatchObject({ code: 0, out: "1 file, 0 errors, 0 warnings\n" });
    expect([world.requests, world.api.control.calls]).toEqual([["GET /v1/lint"], ["lint the state"]]);
  });
});

describe("systemEffects()", () => {
  test("creates files under a mode, never over others, and makes keys", async () => {
    const folder = await mkdtemp(join(tmpdir(), "leafmesh-cli-"));
    const effects = systemEffects();
    try {
      const file = join(folder, "deep", "app.nk");
      await effects.createFile(file, "seed\n", 0o600);
      expect([(await stat(file)).mode & 0o777, await readFile(file, "utf8")]).toEqual([0o600, "seed\n"]);
      const refused = (work: Promise<unknown>) =>
        work.then(String, (thrown: { code: string }) => thrown.code);
      expect(await refused(effects.createFile(file, "x", 0o600))).toBe("conflict");
      expect(await refused(effects.readFile(join(folder, "nix")))).toBe("not_found");
      expect(await refused(effects.readFile(folder))).toBe("request_invalid");
      expect(await effects.listFolder(folder)).toEqual(["deep"]);
      expect(await effects.listFolder(join(folder, "nix"))).toEqual([]);
      await effects.removeFile(file);
      const { publicKey, seed } = effects.createUserKey();
      expect([publicKey[0], publicKey.length, seed.slice(0, 2), seed.length]).toEqual(["U", 56, "SU", 58]);
      expect(await effects.version()).toMatch(/^\d+\.\d+\.\d+/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("table(), elapsed() and printable()", () => {
  test("the widest column gives way", () => {
    const text = table(["A", "LONG"], [["x", "y".repeat(200)]], 40);
    expect(text.split("\n")[1]).toBe(`x  ${"y".repeat(36)}…`);
    expect(table(["A", "B"], [["ä", "b"]])).toBe("A  B\nä  b");
  });

  test.each([
    [0, "0s"],
    [59, "59s"],
    [3600, "1h"],
    [3661, "1h 1m"],
    [90_061, "1d 1h"],
    [-5, "0s"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(elapsed(new Date(0), new Date(seconds * 1000))).toBe(text);
  });

  test("control characters become visible, text stays", () => {
    expect(printable("a\tb\nü\u0000\u0085")).toBe("a\tb\nü\\x00\\x85");
  });
});

describe("policy test", () => {
  const files = (world: ReturnType<typeof createWorld>, second: string) => {
    world.files.set("p.yaml", "name: p\nto: [tokyo]\nrules:\n  - { subjects: [acme.a.>] }\n");
    world.files.set(
      "p.test.yaml",
      `tests:\n  - { name: one, subject: acme.a.x, expect: forward }\n${second}`,
    );
  };
  async function worldWithSidecar() {
    const world = createWorld();
    Object.assign(world.sidecar, await (await import("../../../src/cli/up.ts")).loadSidecar());
    return world;
  }

  test("runs the test file beside a policy and says how many cases passed", async () => {
    const world = await worldWithSidecar();
    files(world, "");
    expect(await world.run("policy", "test", "p.yaml")).toMatchObject({
      code: 0,
      out: "p.test.yaml: 1 of 1 case passed\n1 passed, 0 failed\n",
    });
    expect((await world.run("policy", "test", "p.test.yaml", "--json")).json()).toMatchObject({
      ok: true,
      passed: 1,
      files: [{ policyFile: "p.yaml", tests: [{ name: "one", outcome: "forward", problems: [] }] }],
    });
    expect(world.requests).toEqual([]);
  });

  test("fails with every failure and its place, also when rules without a case are not allowed", async () => {
    const world = await worldWithSidecar();
    files(world, "  - { name: two, subject: acme.b.x, expect: forward }\n");
    const { code, out } = await world.run("policy", "test", "p.yaml");
    expect(code).toBe(2);
    expect(out).toContain("failed: p.test.yaml:3:5 two");
    expect(out).toContain("p.test.yaml:3:45 tests[1].expect: expected forward, got drop: no_rule");
    expect(out).toEndWith("1 passed, 1 failed\n");
    world.files.set("p.test.yaml", "tests:\n  - { name: two, subject: acme.b.x, expect: drop }\n");
    expect((await world.run("policy", "test", "p.yaml")).code).toBe(0);
    const strict = await world.run("policy", "test", "p.yaml", "--all-rules");
    expect([strict.code, strict.out]).toEqual([
      2,
      expect.stringContaining("no case is decided by acme/p #1"),
    ]);
  });

  test("says which file is not there or not valid", async () => {
    const world = await worldWithSidecar();
    expect(await world.run("policy", "test", "p.yaml")).toMatchObject({
      code: 4,
      err: expect.stringContaining("There is no file p.test.yaml"),
    });
    files(world, "tset: 1\n");
    expect(await world.run("policy", "test", "p.yaml")).toMatchObject({
      code: 2,
      out: expect.stringContaining("p.test.yaml:3:1 tset: unknown key 'tset'"),
    });
  });
});
