/** What is wrong is said once, clearly, with the right exit code; nothing is left behind and nothing is lost. */
import { describe, expect, test } from "bun:test";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { stringify } from "yaml";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import type { SiteFile } from "../../src/model/schema/site.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { freePorts } from "../support/free_ports.ts";
import { startMesh } from "../support/mesh.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";
import { Program, processesIn, run } from "./program.ts";

const AUSTIN = { name: "austin", key: createSigningKey().publicKey };
const ORDERS = { name: "orders", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };

/** A site file that can be started, with free ports. */
async function goodFile(): Promise<SiteFile> {
  const [listen, leaf, api] = await freePorts("127.0.0.1", 3);
  return {
    site: "berlin",
    data: "data",
    server: { listen: `127.0.0.1:${listen}`, leaf: `127.0.0.1:${leaf}` },
    api: { listen: `127.0.0.1:${api}` },
    peers: [AUSTIN],
  };
}

const inTenant = (exports: ExportPolicy[]) => ({ tenants: [{ tenant: "acme", exports }] });

interface Refusal {
  readonly code: number;
  /** Parts of the one message, in order. */
  readonly says: readonly string[];
}

/** Starts a site that must not start, and holds what it says against what it should. */
async function refused(
  cwd: string,
  file: SiteFile | string,
  { code, says }: Refusal,
  env: Record<string, string> = {},
): Promise<string> {
  await writeFile(join(cwd, "site.yaml"), typeof file === "string" ? file : stringify(file));
  const ended = await run(["up", "site.yaml"], { cwd, env });
  expect(ended).toMatchObject({ code, stdout: "" });
  // Log lines begin with their time; all else is the message.
  const message = ended.stderr
    .split("\n")
    .filter((line) => !/^\d{4}-\d\d-\d\dT/.test(line))
    .join("\n");
  expect(message.match(/^leafmesh: /gm)).toHaveLength(1);
  expect(message).not.toMatch(/\n\s+at /);
  let from = 0;
  for (const part of says) {
    expect(message.slice(from)).toContain(part);
    from = message.indexOf(part, from) + part.length;
  }
  await waitFor(async () => (await processesIn(cwd)).length === 0, { what: "all processes to be gone" });
  return message;
}

describe("leafmesh up", () => {
  const cases: [string, (good: SiteFile) => SiteFile | string, Refusal][] = [
    [
      "a tenant has the name of the site",
      (good) => ({ ...good, tenants: [{ tenant: "berlin" }] }),
      {
        code: 2,
        says: [
          "site.yaml is not valid",
          "site.yaml:",
          "tenants[0].tenant: Tenant 'berlin' has the name of the site",
        ],
      },
    ],
    [
      "two exports give one peer a tenant's events",
      (good) => ({ ...good, ...inTenant([ORDERS, { ...ORDERS, name: "again" }]) }),
      {
        code: 2,
        says: [
          "exports[1].to[0]: Peer 'austin' already gets events of 'berlin' by export 'orders'",
          "one policy decides",
        ],
      },
    ],
    [
      "a route sends events back to where they come from",
      (good) => ({ ...good, ...inTenant([{ ...ORDERS, origin: "austin" }]) }),
      {
        code: 2,
        says: ["exports[0].to[0]: Export 'orders' sends events of 'austin' back to where they come from"],
      },
    ],
    [
      "a peer is not known",
      (good) => ({ ...good, ...inTenant([{ ...ORDERS, to: ["paris"] }]) }),
      { code: 2, says: ["exports[0].to[0]: 'paris' is no peer of this site (known are austin)"] },
    ],
    [
      "a subject is none",
      (good) => ({ ...good, ...inTenant([{ ...ORDERS, rules: [{ subjects: ["acme..x"] }] }]) }),
      { code: 2, says: ["rules[0].subjects[0]: 'acme..x' is no subject pattern: it has an empty token"] },
    ],
    [
      "a rule can never match",
      (good) => ({
        ...good,
        ...inTenant([{ ...ORDERS, rules: [{ subjects: ["acme.>"] }, { subjects: ["acme.x"], deny: true }] }]),
      }),
      {
        code: 2,
        says: ["rules[1]: Rule #2 ('acme.x') can never match: rule #1 ('acme.>') takes all its subjects"],
      },
    ],
    [
      "the YAML is broken",
      () => "site: berlin\npeers: [\n",
      { code: 2, says: ["site.yaml:", "this is no YAML"] },
    ],
    [
      "a key is not known",
      (good) => stringify({ ...good, tennants: [] }),
      { code: 2, says: ["tennants", "tenants"] },
    ],
  ];
  for (const [what, change, refusal] of cases) {
    test(`refuses to start when ${what}`, async () => {
      await using folder = await tempFolder();
      await refused(folder.path, change(await goodFile()), refusal);
    });
  }

  for (const [setting, name] of [
    ["server.listen", "listen"],
    ["server.leaf", "leaf"],
    ["api.listen", "api"],
  ] as const) {
    test(`names the address and the setting when that of ${setting} is in use`, async () => {
      await using folder = await tempFolder();
      const good = await goodFile();
      const address = (name === "api" ? good.api?.listen : good.server?.[name]) ?? "";
      const port = Number(address.split(":")[1]);
      const blocker = createServer();
      await new Promise<void>((resolve) => blocker.listen({ host: "127.0.0.1", port }, resolve));
      try {
        const says = [address, "is in use", `set ${setting}`];
        await refused(folder.path, good, { code: 6, says });
      } finally {
        await new Promise((resolve) => blocker.close(resolve));
      }
    });
  }

  test("names the version that it found and the one that it needs when nats-server is old", async () => {
    await using folder = await tempFolder();
    const old = join(folder.path, "old-server");
    await writeFile(old, "#!/bin/sh\necho 'nats-server: v2.10.4'\n", { mode: 0o755 });
    const says = [old, "$NATS_SERVER", "is 2.10.4, but 2.15.0 or newer is needed", "scripts/setup"];
    await refused(folder.path, await goodFile(), { code: 6, says }, { NATS_SERVER: old });
  });

  test("says what to do when nats-server is missing", async () => {
    await using folder = await tempFolder();
    const none = join(folder.path, "none");
    const says = ["No executable nats-server at", none, "$NATS_SERVER", "scripts/setup"];
    await refused(folder.path, await goodFile(), { code: 6, says }, { NATS_SERVER: none });
  });

  test("says so when the data folder is a file", async () => {
    await using folder = await tempFolder();
    await writeFile(join(folder.path, "data"), "a file");
    await refused(folder.path, await goodFile(), {
      code: 6,
      says: ["Cannot use", join(folder.path, "data")],
    });
    expect(await readFile(join(folder.path, "data"), "utf8")).toBe("a file");
  });

  test("names the key file and never its content when it is no key, or others may read it", async () => {
    for (const [content, mode, says] of [
      ["SUTHIS-IS-NO-SEED-BUT-SECRET", 0o600, "holds no seed of a user nkey"],
      [new TextDecoder().decode(createSigningKey().seed()), 0o644, "has mode 0644, so others may read it"],
    ] as const) {
      await using folder = await tempFolder();
      const keys = join(folder.path, "data", "keys");
      await mkdir(keys, { recursive: true, mode: 0o700 });
      const key = join(keys, "site.nk");
      await writeFile(key, content);
      await chmod(key, mode);
      const message = await refused(folder.path, await goodFile(), { code: 2, says: [key, says] });
      expect(message).not.toContain(content);
      expect(await readFile(key, "utf8")).toBe(content);
    }
  });

  test("keeps out of a data folder that is in use or of another site, and loses nothing of it", async () => {
    await using folder = await tempFolder();
    const good = await goodFile();
    const cwd = folder.path;
    await writeFile(join(cwd, "site.yaml"), stringify({ ...good, tenants: [{ tenant: "acme" }] }));
    await using first = new Program(["up", "site.yaml"], { cwd });
    const token = async () => (await readFile(join(cwd, "data", "keys", "api.token"), "utf8")).trim();
    const tenants = async () => {
      const response = await fetch(`http://${good.api?.listen}/v1/tenants`, {
        headers: { authorization: `Bearer ${await token()}` },
      });
      return response.ok ? await response.text() : null;
    };
    const before = await waitFor(tenants, { what: "the first sidecar" });

    const second = await run(["up", "site.yaml"], { cwd });
    expect(second).toMatchObject({ code: 6, stdout: "" });
    expect(second.stderr).toContain(
      `${join(cwd, "data")} is in use by the sidecar with process id ${first.pid}: stop it`,
    );
    expect(await tenants()).toBe(before);
    expect(await first.stop()).toBe(0);
    await waitFor(async () => (await processesIn(cwd)).length === 0);

    await refused(
      cwd,
      { ...good, site: "tokyo" },
      {
        code: 5,
        says: [join(cwd, "data"), "is the data folder of site berlin, not of tokyo"],
      },
    );
    await writeFile(join(cwd, "site.yaml"), stringify(good));
    await using again = new Program(["up", "site.yaml"], { cwd });
    expect(await waitFor(tenants, { what: "the first site again" })).toBe(before);
    expect(await again.stop()).toBe(0);
  }, 30_000);
});

test("a running mesh refuses what is wrong, says so to whom it concerns, and loses nothing", async () => {
  const redacted = {
    name: "out",
    to: ["austin"],
    rules: [
      { subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" as const }] },
      { subjects: ["acme.plain.>"] },
    ],
  };
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [
            { tenant: "acme", limits: { maxMsgSize: "4KiB" }, exports: [redacted] },
            {
              tenant: "small",
              limits: { storage: "16KiB", whenFull: "refuse" },
              exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["small.>"] }] }],
            },
          ]
        : ["acme", "small"].map((tenant) => ({
            tenant,
            imports: [{ from: "berlin", subjects: [`${tenant}.>`] }],
          })),
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const far = await austin.app("acme");
  const heard: string[] = [];
  far.subscribe("acme.>", {
    callback: (_error, message) => void heard.push(`${message.subject} ${message.string()}`),
  });
  await far.flush();

  // A policy with several faults: all are named, and the one in force stays.
  const path = "/v1/tenants/acme/exports/out";
  const before = await berlin.api("GET", path);
  const etag = before.headers.get("etag") ?? "";
  const wrong = {
    to: ["austin", "paris"],
    rules: [
      { subjects: ["globex.>"] },
      { subjects: ["acme.orders.>"], when: "data.total >" },
      { subjects: ["acme.x"], redact: [{ path: "$[", with: "remove" }] },
    ],
  };
  const refusal = await berlin.api("PUT", path, wrong, { "if-match": etag });
  expect(refusal.status).toBe(422);
  const problem = (await refusal.json()) as { code: string; problems: { path: string }[] };
  expect(problem.code).toBe("policy_invalid");
  const paths = problem.problems.map((one) => one.path);
  for (const at of ["to[1]", "rules[0].subjects[0]", "rules[1].when"]) expect(paths).toContain(at);
  expect(paths.some((at) => at.startsWith("rules[2].redact[0]"))).toBe(true);
  const after = await berlin.api("GET", path);
  expect([after.headers.get("etag"), await after.text()]).toEqual([etag, await before.text()]);

  // What is no JSON cannot be redacted: it stays, with all that is needed to understand why.
  const header = headers();
  header.set("X-Shop", "7");
  header.set("Content-Type", "application/json");
  await js.publish("acme.orders.broken", "email=a@example.org", { headers: header });
  await js.publish("acme.orders.fine", '{"email":"a@example.org","n":1}');
  await waitFor(() => heard.length > 0, { what: "the event behind the broken one" });
  expect(heard).toEqual(['acme.orders.fine {"n":1}']);
  const dlq = await berlin.json<{ items: unknown[] }>("/v1/tenants/acme/dlq");
  expect(dlq.items).toHaveLength(1);
  expect(dlq.items[0]).toMatchObject({
    reason: "payload_not_json",
    policy: "out",
    rule: "#1",
    subject: "acme.orders.broken",
    origin: "berlin",
    position: 1,
    headers: { "X-Shop": ["7"], "Content-Type": ["application/json"] },
  });

  // Larger than the tenant's limit: the publisher is told, the next event goes on.
  await expect(js.publish("acme.plain.large", "x".repeat(8000))).rejects.toThrow(
    /message size exceeds maximum/,
  );
  await js.publish("acme.plain.next", "small");
  await waitFor(() => heard.includes("acme.plain.next small"), { what: "the event behind the large one" });

  // Full: every publisher is told, and what was acknowledged is there.
  const small = jetstream(await berlin.app("small"));
  let acked = 0;
  let error: unknown = null;
  while (error === null && acked < 100) {
    try {
      await small.publish("small.x", "x".repeat(1000));
      acked++;
    } catch (thrown) {
      error = thrown;
    }
  }
  expect(String(error)).toMatch(/maximum bytes exceeded/);
  expect(acked).toBeGreaterThan(5);
  await expect(small.publish("small.x", "x".repeat(1000))).rejects.toThrow(/maximum bytes exceeded/);
  const there = await jetstreamManager(await austin.app("small"));
  await waitFor(async () => (await there.streams.info("small")).state.messages === acked, {
    what: `${acked} events at the far site`,
  });
}, 60_000);
