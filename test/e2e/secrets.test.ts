/** No secret stands where others may read it: not in files but its own, not in answers, not in the list of processes. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { hash } from "bcryptjs";
import type { TenantUser } from "../../src/model/schema/user.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { letIn } from "../support/let_in.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

const ROOT = join(import.meta.dir, "../..");
const RING = { berlin: ["austin"], austin: ["tokyo"], tokyo: ["berlin"] };

interface Secret {
  readonly name: string;
  readonly forms: readonly string[];
}

/** What a private key is written as: the lines of its PEM, and those as one. The first says what kind of key it is. */
function linesOfKey(pem: string): string[] {
  const body = /-----BEGIN [A-Z ]*PRIVATE KEY-----([^-]+)/.exec(pem)?.[1] ?? "";
  const lines = body.trim().split(/\s+/);
  const joined = lines.join("");
  return [
    ...lines.slice(1).filter((line) => line.length > 16),
    joined.slice(40),
    joined.slice(40).replaceAll("+", "-").replaceAll("/", "_"),
  ];
}

/** Secrets that are made over the API or beside it, and handed to somebody once: they stand in no file of the site at all. */
async function secretsHandedOut(site: MeshSite): Promise<Secret[]> {
  const secret = (name: string, value: string): Secret => {
    expect(value.length).toBeGreaterThan(16);
    return { name: `${site.name}: ${name}`, forms: [value, Buffer.from(value).toString("base64")] };
  };
  const made = await site.api("POST", "/v1/tokens", { name: "watcher", role: "viewer" });
  const { token } = (await made.json()) as { token: string };
  const used = await fetch(`http://${site.file.api?.listen}/v1/whoami`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(used.status).toBe(200);
  const invited = await site.api("POST", "/v1/invitations", {
    site: "oslo",
    address: site.file.server?.leaf,
  });
  expect(invited.status).toBe(201);
  const invitation = (await invited.json()) as { token: string };
  const password = `correct horse ${randomBytes(12).toString("base64url")}`;
  const user = createSigningKey();
  const tenant = (await site.json<{ users: TenantUser[] }>("/v1/tenants/acme")) as { users: TenantUser[] };
  await site.put("/v1/tenants/acme", {
    ...tenant,
    users: [
      ...tenant.users,
      { name: "withkey", key: user.publicKey },
      { name: "simple", passwordHash: await hash(password, 4) },
    ],
  });
  const server = site.file.server?.listen ?? "";
  const login = { user: "acme.simple", pass: password };
  const nc = await letIn(
    { servers: server, ...login, reconnect: false },
    { what: "the user with a password to be let in" },
  );
  await nc.close();
  await expect(
    connect({ servers: server, ...login, pass: `${password}x`, reconnect: false }),
  ).rejects.toThrow();
  return [
    secret("token of the API", token),
    secret("token of an invitation", invitation.token),
    secret("password of a user", password),
    secret("seed of a user", new TextDecoder().decode(user.seed())),
  ];
}

/** The secrets of a site, each in the forms in which it could be written. */
async function secretsOf(site: MeshSite): Promise<Secret[]> {
  const folder = join(site.dataFolder, "keys");
  const secrets: Secret[] = [];
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name));
    const text = bytes.toString("latin1").trim();
    const seed = /SU[A-Z2-7]{56}/.exec(text)?.[0];
    if (text.includes("CERTIFICATE") && !text.includes("PRIVATE KEY")) continue;
    const forms = /^(?:pseudonym|encrypt)_/.test(name)
      ? [text, bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url")]
      : text.includes("PRIVATE KEY")
        ? linesOfKey(text)
        : [seed ?? text];
    // Long enough that nothing is found by chance.
    for (const form of forms) expect(form.length).toBeGreaterThan(16);
    secrets.push({ name: `${site.name}: ${name}`, forms });
  }
  return secrets;
}

/** What a running server has taken away since it was listed is not there to be read by anybody. */
async function unlessGone<T>(reading: Promise<T>): Promise<T | null> {
  return await reading.catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === "ENOENT") return null;
    throw thrown;
  });
}

/** Every file below a folder, while others write and remove some. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = (await unlessGone(readdir(folder, { withFileTypes: true }))) ?? [];
  const found = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? await filesBelow(path) : entry.isFile() ? [path] : [];
  });
  return (await Promise.all(found)).flat();
}

/** Answers of every GET route that /openapi.json names, with parameters that exist at the site. */
async function answersOf(
  site: MeshSite,
  values: Readonly<Record<string, string>>,
): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  const ask = async (path: string) => {
    const response = await site.api("GET", path);
    const headers = JSON.stringify([...response.headers]);
    answers.set(path, `${response.status} ${headers} ${await response.text()}`);
    return response.ok;
  };
  expect(await ask("/openapi.json")).toBe(true);
  const { paths } = await site.json<{ paths: Record<string, object> }>("/openapi.json");
  for (const [path, item] of Object.entries(paths)) {
    if (!("get" in item)) continue;
    const filled = path.replaceAll(
      /\{(\w+)\}/g,
      (_all, name: string) => values[name] ?? `no-value-for-${name}`,
    );
    expect([filled, filled.includes("no-value-for")]).toEqual([filled, false]);
    // Each one comes to answer well; what it says before is an answer too, and the last is looked at.
    await waitFor(() => ask(filled), { what: `${site.name} ${filled}` }).catch((thrown: Error) => {
      throw new Error(`${thrown.message}: ${answers.get(filled)}`);
    });
  }
  for (const path of ["/", "/metrics", "/v1/no-such-thing"]) await ask(path);
  return answers;
}

/** Makes one of all that the API can show of tenant acme; returns the values by which its paths name them. */
async function useAll(site: MeshSite): Promise<Record<string, string>> {
  const acme = "/v1/tenants/acme";
  await site.put(`${acme}/schemas/out/versions/1`, { schema: { type: "object" } });
  await site.put(`${acme}/exports/out/shadow`, { rules: [{ subjects: ["acme.none"] }] });
  await jetstream(await site.app("acme")).publish("acme.x", "no json");
  const letters = async () => (await site.json<{ items: { sequence: number }[] }>(`${acme}/dlq`)).items;
  const [letter] = await waitFor(async () => ((await letters()).length === 1 ? await letters() : null), {
    what: `a dead letter at ${site.name}`,
  });
  const redrive = await site.api("POST", `${acme}/dlq/redrives`, { all: true, dryRun: true });
  expect(redrive.status).toBe(202);
  const { id } = (await redrive.json()) as { id: string };
  await jetstream(await site.app("acme")).publish("acme.gone", "gone");
  const gone = await site.api("POST", `${acme}/erasures`, { subject: "acme.gone", all: true });
  expect(gone.status).toBe(202);
  const { id: erasure } = (await gone.json()) as { id: string };
  const begun = await site.api("POST", `${acme}/replays`, { to: { local: null }, dryRun: true });
  expect(begun.status).toBe(202);
  const { id: replay } = (await begun.json()) as { id: string };
  const rotation = await site.api("POST", "/v1/rotations", { what: "certificate" });
  expect(rotation.status).toBe(202);
  const rotated = async () =>
    (await site.json<{ phase: string }>("/v1/rotations/certificate")).phase === "done";
  await waitFor(rotated, { what: `a new certificate at ${site.name}`, deadlineMs: 30_000, pollMs: 100 });
  const peer = Object.keys(RING).find((name) => name !== site.name) ?? "";
  return {
    tenant: "acme",
    name: "out",
    peer,
    from: peer,
    kind: "pseudonym",
    what: "certificate",
    version: "1",
    sequence: String(letter?.sequence),
    id,
    erasure,
    replay,
  };
}

test("a running mesh shows none of its seeds, tokens and pseudonym keys", async () => {
  await using mesh = await startMesh({
    sites: RING,
    tenants: (site) => {
      const others = Object.keys(RING).filter((other) => other !== site);
      const imports = (tenant: string) => others.map((from) => ({ from, subjects: [`${tenant}.>`] }));
      return [
        {
          tenant: "acme",
          exports: [
            {
              name: "out",
              to: others,
              rules: [{ subjects: ["acme.>"], redact: [{ path: "$.id", with: "pseudonym" }] }],
            },
          ],
          imports: imports("acme"),
        },
        {
          tenant: "globex",
          exports: [{ name: "out", to: others, rules: [{ subjects: ["globex.>"] }] }],
          imports: imports("globex"),
        },
      ];
    },
  });
  await mesh.flowing();
  const berlin = mesh.site("berlin");
  // Everything has been used once: the pseudonym key, the dead letters, both kinds of routes.
  const app = jetstream(await berlin.app("acme"));
  const far = await mesh.site("tokyo").app("acme");
  const heard: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void heard.push(message.string()) });
  await far.flush();
  await app.publish("acme.x", '{"id":"someone"}');
  await jetstream(await berlin.app("globex")).publish("globex.x", "x");
  await waitFor(() => heard.length > 0, { what: "the pseudonym at the far site" });
  expect(heard[0]).toContain("psn_");
  const values = new Map<string, Record<string, string>>();
  for (const site of mesh.sites) values.set(site.name, await useAll(site));

  const secrets = [
    ...(await Promise.all(mesh.sites.map(secretsOf))).flat(),
    ...(await secretsHandedOut(berlin)),
  ];
  const names = secrets.map((secret) => secret.name);
  for (const name of [
    "site.nk",
    "mesh.nk",
    "sys.nk",
    "leaf.conf",
    "api.token",
    "ca.key",
    "link.pem",
    "token of an invitation",
    "password of a user",
    "pseudonym_acme.key",
    "encrypt_acme.key",
  ]) {
    expect(names).toContain(`berlin: ${name}`);
  }
  let looked = 0;
  const look = (where: string, text: string) => {
    looked++;
    const found = secrets.filter((secret) => secret.forms.some((form) => text.includes(form)));
    expect([where, found.map((secret) => secret.name)]).toEqual([where, []]);
    // Nor a seed that no file names, such as one made on the way.
    expect([where, /(?<![A-Z0-9])S[UACNO][A-Z2-7]{56}(?![A-Z2-7])/.test(text)]).toEqual([where, false]);
  };

  for (const site of mesh.sites) {
    const keys = join(site.dataFolder, "keys");
    expect((await stat(keys)).mode & 0o777).toBe(0o700);
    for (const file of await filesBelow(site.folder)) {
      if (file.startsWith(`${keys}/`)) {
        expect([file, (await stat(file)).mode & 0o777]).toEqual([file, 0o600]);
        continue;
      }
      const text = await unlessGone(readFile(file, "latin1"));
      if (text !== null) look(file, text);
    }
    for (const file of ["nats.conf", "desired.json", "log/nats.log"]) {
      expect((await stat(join(site.dataFolder, file))).size).toBeGreaterThan(0);
    }
    expect((await site.log()).length).toBeGreaterThan(0);

    const answers = await answersOf(site, values.get(site.name) ?? {});
    for (const [path, answer] of answers) look(`${site.name} ${path}`, answer);

    const pids = [site.pid];
    for (const name of ["keeper.pid", "nats.pid"]) {
      pids.push((await readRunningProcess(join(site.dataFolder, name)))?.pid ?? 0);
    }
    for (const pid of pids) {
      for (const what of ["cmdline", "environ"]) {
        const text = await readFile(`/proc/${pid}/${what}`, "latin1");
        expect([pid, what, text.length > 0]).toEqual([pid, what, true]);
        look(`/proc/${pid}/${what}`, text);
      }
    }
  }
  expect(looked).toBeGreaterThan(100);
}, 120_000);

/** Seeds that tests are told by: no site has them. */
const KNOWN = new Set([
  "SUADM7XV4PWOY7FMUKKPGGT3QQMFCLOBJQR5OGBHHPYFYA2NBWWNQUHDWU",
  "SAAHPGPSCCIGRZTCVWMRHQIT7BPRPBBYA3GFKKHQBVVDNBQSRG2MG3DJIQ",
]);

test("the tree holds no seed, private key or token but those that tests are told by", async () => {
  const git = spawnSync("git", ["ls-files", "-z"], { cwd: ROOT, encoding: "utf8" });
  expect(git.status).toBe(0);
  const files = git.stdout.split("\0").filter((file) => file !== "");
  expect(files.length).toBeGreaterThan(300);
  for (const file of files) {
    const text = await unlessGone(readFile(join(ROOT, file), "latin1"));
    if (text === null) continue;
    const seeds = [...text.matchAll(/(?<![A-Z0-9])S[UACNO][A-Z2-7]{56}(?![A-Z2-7])/g)].map(([seed]) => seed);
    expect([file, seeds.filter((seed) => !KNOWN.has(seed))]).toEqual([file, []]);
    const keys = [...text.matchAll(/-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{48,}/g)];
    expect([file, keys.length]).toEqual([file, 0]);
  }
});
