import { describe, expect, test } from "bun:test";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { SITE_KEY } from "../routes/fake_control.ts";
import { createWorld, PUBLIC_KEY, SEED } from "./cli_support.ts";

const RULES = [{ subjects: ["acme.orders.>"] }];

describe("a command line", () => {
  test.each([
    ["statsu", "Unknown command 'statsu': did you mean 'leafmesh status'?"],
    ["tenat list", "Unknown command 'tenat list': did you mean 'leafmesh tenant list'?"],
    ["tenant ad acme", "Unknown command 'tenant ad': did you mean 'leafmesh tenant add'?"],
    ["tenant usr add acme x", "Unknown command 'tenant usr add': did you mean 'leafmesh tenant user add'?"],
    ["dlq wipe", "Unknown command 'dlq wipe': one of: 'dlq list', 'dlq show', 'dlq drop', 'dlq redrive'"],
    ["frobnicate", "Unknown command 'frobnicate': see 'leafmesh help'"],
    ["import", "'leafmesh import' wants one more word: 'import list', 'import put', 'import remove'"],
    ["status --jsn", "Unknown flag --jsn: did you mean --json?"],
    ["status -x", "Unknown flag -x: see 'leafmesh status --help'"],
    ["status --json=yes", "--json takes no value"],
    ["status --api", "--api needs a value: --api URL"],
    ["status --api --json", "--api needs a value: --api URL"],
    ["status --api a --api b", "--api is given twice"],
    ["status now", "'now' is too much: leafmesh status"],
    ["tenant add", "<tenant> is missing: leafmesh tenant add <tenant> [flags]"],
    [
      "status --token abc",
      "A token is no argument, others could read it: use --token-file, LEAFMESH_TOKEN or --data",
    ],
  ])("'%s' is refused with what was meant", async (words, told) => {
    const world = createWorld();
    const { code, out, err } = await world.run(...words.split(" "));
    expect([code, err, world.requests]).toEqual([2, `leafmesh: ${told}\n`, []]);
    if (!words.includes("--json")) expect(out).toBe("");
  });

  test("takes flags anywhere", async () => {
    const { code, json } = await createWorld().run("--api", "http://127.0.0.1:1", "--json", "tenant", "list");
    expect([code, json()]).toEqual([0, []]);
  });

  test("without a command, or with help, shows all or one of them", async () => {
    const world = createWorld();
    const all = await world.run();
    expect([all.code, (await world.run("help")).out, (await world.run("--help")).out]).toEqual([
      0,
      all.out,
      all.out,
    ]);
    expect(all.out).toContain("tenant user add <tenant> <user>");
    for (const line of all.out.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
    const one = await world.run("help", "tenant", "add");
    expect(one.out).toBe((await world.run("tenant", "add", "-h")).out);
    expect(one.out).toStartWith("leafmesh tenant add <tenant> [flags]\n");
  });

  test("asks for the version", async () => {
    const world = createWorld();
    expect((await world.run("--version")).out).toBe("leafmesh 9.8.7\n");
    expect((await world.run("version", "--json")).json()).toEqual({ version: "9.8.7" });
  });
});

describe("the API and its token", () => {
  test("are found in --api and --data, the environment, or the only data folder", async () => {
    const world = createWorld();
    const seen: string[] = [];
    const { fetch } = world;
    world.fetch = (url, init) => {
      seen.push(`${new URL(url).origin} ${new Headers(init.headers).get("authorization")}`);
      return fetch(url, init);
    };
    await world.run("plan");
    await world.run("plan", "--api", "localhost:99/");
    world.files.set("other/keys/api.token", "of-data");
    world.files.set("t", "of-file\n");
    await world.run("plan", "--data", "other");
    world.env.set("LEAFMESH_TOKEN", "of-env").set("LEAFMESH_API", "https://x.example");
    await world.run("plan");
    await world.run("plan", "--token-file", "t");
    expect(seen).toEqual([
      "http://127.0.0.1:7480 Bearer the-token",
      "http://localhost:99 Bearer the-token",
      "http://127.0.0.1:7480 Bearer of-data",
      "https://x.example Bearer of-env",
      "https://x.example Bearer of-file",
    ]);
  });

  test.each<[string, (world: ReturnType<typeof createWorld>) => void, string]>([
    ["no token", ({ files }) => files.clear(), "No token is found"],
    [
      "two data folders",
      ({ files }) => files.set("leafmesh-data/tokyo/keys/api.token", "x"),
      "choose with --data leafmesh-data/berlin or --data leafmesh-data/tokyo",
    ],
    ["a token of two words", ({ env }) => env.set("LEAFMESH_TOKEN", "a b"), "LEAFMESH_TOKEN holds no token"],
    [
      "a token of another site",
      ({ env }) => env.set("LEAFMESH_TOKEN", "wrong"),
      "The API refuses the token of LEAFMESH_TOKEN",
    ],
  ])("are refused: %s", async (_, prepare, told) => {
    const world = createWorld();
    prepare(world);
    const { code, err } = await world.run("status");
    expect([code, err]).toEqual([3, expect.stringContaining(told)]);
  });

  test.each(["http://me:pw@host", "ftp://host", "http://"])("do not take %s for a URL", async (url) => {
    const { code, err } = await createWorld().run("status", "--api", url);
    expect(code).toBe(2);
    expect(err).not.toContain("pw");
  });

  test("that cross a network in clear text are warned of", async () => {
    const world = createWorld();
    expect((await world.run("plan", "--api", "http://10.0.0.1:7480")).err).toContain(
      "in clear text to http://10.0.0.1:7480",
    );
    expect((await world.run("plan", "--api", "https://10.0.0.1:7480")).err).toBe("");
  });

  test("that do not answer are named, with how to start", async () => {
    const world = createWorld();
    world.fetch = () => Promise.reject(new TypeError("connection refused"));
    const { code, err } = await world.run("status");
    expect([code, err]).toEqual([
      9,
      "leafmesh: http://127.0.0.1:7480 does not answer (connection refused). Start the sidecar with 'leafmesh up', or name its API with --api or LEAFMESH_API\n",
    ]);
    world.fetch = () => Promise.reject(new DOMException("late", "TimeoutError"));
    expect((await world.run("status")).err).toContain("did not answer in time");
    world.fetch = async () => Response.json({ hello: 1 });
    expect((await world.run("status")).err).toContain("answers, but is no API of Leafmesh");
  });
});

describe("an error", () => {
  test("is one JSON value on stdout with --json, and a message on stderr", async () => {
    const { code, err, json } = await createWorld().run("tenant", "show", "nix", "--json");
    expect([code, err]).toEqual([4, "leafmesh: There is no tenant 'nix'\n"]);
    expect(json()).toEqual({ error: { code: "not_found", detail: "There is no tenant 'nix'" } });
  });

  test("of a newer sidecar that we do not know is told, too", async () => {
    const world = createWorld();
    world.fetch = async () =>
      Response.json(
        { code: "constructor", detail: "x" },
        { status: 418, headers: { "leafmesh-version": "9" } },
      );
    const { code, err } = await world.run("status");
    expect([code, err]).toEqual([1, expect.stringContaining("answered 418")]);
  });

  test("and its text cannot steer the terminal", async () => {
    const world = createWorld();
    Object.assign(world.api.control, {
      plan: () => Promise.reject(new LeafmeshError("conflict", "\u001b[2Jgone \u202e \u009b")),
    });
    expect((await world.run("plan")).err).toBe("leafmesh: \\x1b[2Jgone \\u202e \\x9b\n");
  });
});

describe("status and links", () => {
  const route = {
    direction: "out",
    tenant: "acme",
    origin: "berlin",
    policy: "eu-orders",
    kind: "view",
    stream: "view_acme_eu-orders",
    subjects: ["acme.orders.>"],
    active: false,
    lag: 12,
    position: 1234,
    lastEvent: null,
    lost: 1,
    why: "the peer has not accepted acme.orders.> yet",
    view: {
      member: "a",
      state: "running",
      version: "v1",
      position: 1234,
      forwarded: 1,
      redacted: 2,
      denied: 3,
      quarantined: 4,
      reasons: {},
      redriven: 0,
      limited: 0,
      deferredMs: 0,
      deferral: null,
      waiting: 0,
      missed: 0,
      lastError: "no JSON\u001b[2J",
    },
  } as const;
  const link = {
    peer: "tokyo",
    direction: "dial",
    address: "nats-leaf://tokyo.example.net:7422",
    connected: true,
    verified: "yes",
    rttMs: 1.234,
    compression: "s2_fast",
    revoked: null,
    why: null,
    routes: [route, { ...route, direction: "in", active: true, why: null, view: null, policy: null }],
  } as const;

  test("fit in 100 columns and say why nothing flows", async () => {
    const world = createWorld();
    world.api.control.linked = [link];
    const { out } = await world.run("status");
    expect(out).toContain("site     berlin, revision 0, applied");
    expect(out).toContain("up 3h 12m");
    expect(out).toMatch(/^tokyo +up +dial +yes +1\.2ms +1\/2 +24 +2$/m);
    expect(out).toContain("tokyo: the peer has not accepted acme.orders.> yet");
    const links = (await world.run("links")).out;
    expect(links).toContain("tokyo: up, dial nats-leaf://tokyo.example.net:7422, verified, rtt 1.2ms");
    expect(links).toContain("view running, 1 event forwarded, 2 redacted, 3 denied, 4 quarantined");
    expect(links).toContain("last error: no JSON\\x1b[2J");
    for (const line of `${out}${links}`.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("print what the API says with --json", async () => {
    const world = createWorld();
    world.api.control.linked = [link];
    expect((await world.run("links", "--json")).json()).toEqual([link]);
    expect((await world.run("status", "--json")).json()).toEqual({
      site: await world.api.control.site(),
      links: [link],
      members: world.api.control.members(),
    });
  });

  test("say which sidecar runs which tenants' views, where there are several", async () => {
    const world = createWorld();
    expect((await world.run("status")).out).not.toContain("member ");
    const member = { version: "0.1.0", api: "http://127.0.0.1:7480" };
    Object.assign(world.api.control, {
      members: () => [
        { ...member, name: "a", leads: true, alive: true, views: ["shop/eu"] },
        { ...member, name: "b", leads: false, alive: true, views: ["acme/eu", "acme/us", "acme/asia"] },
        { ...member, name: "c", leads: false, alive: true, views: [] },
        { ...member, name: "d", leads: false, alive: false, views: ["acme/eu"] },
      ],
    });
    const { out } = await world.run("status");
    expect(out).toMatch(/^member +a: leads, 1 view of shop$/m);
    expect(out).toMatch(/^member +b: 3 views of acme$/m);
    expect(out).toMatch(/^member +c: 0 views$/m);
    expect(out).toMatch(/^member +d: down$/m);
  });
});

describe("tenant", () => {
  test("add makes the key here and sends its public half alone", async () => {
    const world = createWorld();
    const { code, out } = await world.run("tenant", "add", "acme");
    expect(code).toBe(0);
    expect([world.files.get("acme-app.nk"), world.modes.get("acme-app.nk")]).toEqual([`${SEED}\n`, 0o600]);
    expect(world.requests).toContain(
      `PUT /v1/tenants/acme?wait=true {"users":[{"name":"app","key":"${PUBLIC_KEY}"}]}`,
    );
    expect(`${world.requests.join()}${out}`).not.toContain(SEED);
    expect(out).toContain("nats --server nats://127.0.0.1:4222 --nkey ./acme-app.nk pub acme.hello hello");
  });

  test("add overwrites neither a key nor a tenant", async () => {
    const world = createWorld();
    world.files.set("acme-app.nk", "mine");
    expect((await world.run("tenant", "add", "acme")).err).toContain(
      "./acme-app.nk is there already: nothing was overwritten",
    );
    expect(world.requests).toEqual([]);
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    const { code, err } = await world.run("tenant", "add", "acme", "--user", "web", "--key-file", "k/web.nk");
    expect([code, err]).toEqual([5, expect.stringContaining("leafmesh tenant user add acme web")]);
    expect([...world.files.keys()]).not.toContain("k/web.nk");
  });

  test("add takes a public key that is there, and never a seed", async () => {
    const world = createWorld();
    const refused = await world.run("tenant", "add", "acme", "--key", SEED);
    expect([refused.code, world.requests]).toEqual([2, []]);
    expect(refused.err).toContain("this is a seed");
    expect(refused.err).not.toContain(SEED);
    const { code, json } = await world.run("tenant", "add", "acme", "--key", PUBLIC_KEY, "--json");
    expect([code, json()]).toEqual([
      0,
      { tenant: "acme", user: "app", publicKey: PUBLIC_KEY, file: null, applied: true },
    ]);
    expect([...world.files.keys()]).toEqual(["leafmesh-data/berlin/keys/api.token"]);
  });

  test("user add and remove change the users alone", async () => {
    const world = createWorld();
    world.api.control.seed(
      { type: "tenant", tenant: "acme" },
      { log: false, users: [{ name: "app", key: SITE_KEY }] },
    );
    expect((await world.run("tenant", "user", "add", "acme", "web")).code).toBe(0);
    expect(world.api.control.state.get({ type: "tenant", tenant: "acme" })?.value).toEqual({
      log: false,
      users: [
        { name: "app", key: SITE_KEY },
        { name: "web", key: PUBLIC_KEY },
      ],
    });
    expect((await world.run("tenant", "user", "add", "acme", "web")).code).toBe(5);
    expect((await world.run("tenant", "user", "remove", "acme", "nix")).err).toContain("(users: app, web)");
    expect((await world.run("tenant", "user", "remove", "acme", "app")).code).toBe(0);
    expect(world.api.control.calls.filter((call) => call.startsWith("put"))).toEqual([
      "put tenant acme expecting 1",
      "put tenant acme expecting 2",
    ]);
  });

  test("show prints what apply -f takes", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, { log: false });
    world.api.control.seed(
      { type: "export", tenant: "acme", name: "eu" },
      { name: "eu", to: ["tokyo"], rules: RULES },
    );
    world.files.set("acme.yaml", (await world.run("tenant", "show", "acme")).out);
    const { code, out } = await world.run("apply", "-f", "acme.yaml");
    expect([code, out]).toEqual([0, "2 documents unchanged\nRevision 1 is applied.\n"]);
  });

  test("remove says when not all is applied yet", async () => {
    const world = createWorld();
    world.api.control.seed({ type: "tenant", tenant: "acme" }, {});
    world.api.control.applied = { revision: 2, applied: [], failed: [], converged: false };
    expect((await world.run("tenant", "remove", "acme")).out).toContain("not all is applied yet");
    expect((await world.run("tenant", "list")).out).toStartWith("No tenants yet");
  });
});

describe("peer", () => {
  test("add prints what the other side has to run", async () => {
    const world = createWorld();
    const { out } = await world.run(
      "peer",
      "add",
      "tokyo",
      "--key",
      PUBLIC_KEY,
      "--dial",
      "nats-leaf://t:7422",
    );
    expect(out).toContain(`At tokyo run:\n  leafmesh peer add berlin --key ${SITE_KEY}\n`);
    const accepting = await world.run("peer", "add", "austin", "--key", PUBLIC_KEY);
    expect(accepting.out).toContain(" --dial nats-leaf://<this host>:7422\n");
    expect((await world.run("peer", "list")).out).toMatch(/^austin +\(dials us\) +UDXU/m);
    const again = await world.run("peer", "add", "tokyo", "--key", PUBLIC_KEY);
    expect([again.code, again.err]).toEqual([5, expect.stringContaining("There is peer 'tokyo' already")]);
    expect((await world.run("peer", "remove", "tokyo")).code).toBe(0);
  });
});
