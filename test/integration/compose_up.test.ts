/** examples/compose/up against sidecars that run here: a `docker` of the test's own leads to them. */
import { expect, test } from "bun:test";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { headers, nkeyAuthenticator } from "@nats-io/transport-node";
import { parseSiteFile } from "../../src/model/site_file.ts";
import { type Sidecar, startSidecar } from "../../src/sidecar.ts";
import { letIn } from "../support/let_in.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

const ROOT = join(import.meta.dir, "../..");

/** `docker compose exec -T SITE leafmesh …` runs the CLI in the site's folder; leaf addresses become real ones. */
const DOCKER = `#!/bin/sh
[ "$1" = compose ] || exit 64
[ "$2" = up ] && exit 0
[ "$2 $3 $5" = "exec -T leafmesh" ] || exit 64
cd "$SITES/$4" && shift 5
for word do
  shift
  case $word in tls://*:7422)
    peer=\${word#tls://}
    word=tls://$(cat "$SITES/\${peer%:7422}/leaf")
  esac
  set -- "$@" "$word"
done
LEAFMESH_API=$(cat api) exec bun "$ROOT/src/cli/main.ts" "$@"
`;

async function startComposeSite(name: string, root: string): Promise<Sidecar> {
  const path = `examples/compose/${name}.yaml`;
  const file = parseSiteFile(await readFile(join(ROOT, path), "utf8"), path);
  const listen = "127.0.0.1:0";
  const base = join(root, name);
  const sidecar = await startSidecar({
    file: { ...file, server: { ...file.server, listen, leaf: listen }, api: { listen } },
    base,
    log: () => {},
    env: process.env,
  });
  await writeFile(join(base, "leaf"), sidecar.leaf);
  await writeFile(join(base, "api"), sidecar.apiUrl);
  return sidecar;
}

async function runUp(root: string): Promise<{ code: number; output: string }> {
  const child = Bun.spawn([join(ROOT, "examples/compose/up")], {
    env: { ...process.env, PATH: `${join(root, "bin")}${delimiter}${process.env.PATH}`, SITES: root, ROOT },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { code: await child.exited, output: stdout + stderr };
}

test("examples/compose/up links the three sites and shares a tenant, and changes nothing the second time", async () => {
  await using folder = await tempFolder();
  const docker = join(folder.path, "bin", "docker");
  await Bun.write(docker, DOCKER);
  await chmod(docker, 0o755);
  await using stack = new AsyncDisposableStack();
  const sites = new Map<string, Sidecar>();
  for (const name of ["berlin", "austin", "tokyo"]) {
    sites.set(name, stack.use(await startComposeSite(name, folder.path)));
  }

  const first = await runUp(folder.path);
  expect(first).toMatchObject({ code: 0 });
  for (const [name, site] of sites) {
    const flowing = async () => {
      const links = await site.control.links();
      return links.length === 2 && links.every(({ routes }) => routes.every(({ active }) => active));
    };
    await waitFor(flowing, { what: `all routes of ${name}`, deadlineMs: 20_000 });
  }

  const seed = new TextEncoder().encode(
    (await readFile(join(folder.path, "berlin/leafmesh-data/acme-app.nk"), "utf8")).trim(),
  );
  const app = async (name: string) => {
    const connection = await letIn({
      servers: sites.get(name)?.listen ?? "",
      authenticator: nkeyAuthenticator(seed),
    });
    stack.defer(() => connection.close());
    return connection;
  };
  const tokyo = await app("tokyo");
  const received = tokyo.subscribe("acme.orders.>", { max: 1 });
  await tokyo.flush();
  const region = headers();
  region.set("region", "EU");
  const order = { customer: { email: "ada@example.net", phone: "+49 30 1234" }, total: 12.5 };
  (await app("berlin")).publish("acme.orders.new", JSON.stringify(order), { headers: region });
  for await (const message of received) {
    expect(message.json<unknown>()).toEqual({ customer: { email: "***@example.net" }, total: 12.5 });
  }

  const second = await runUp(folder.path);
  expect(second).toMatchObject({ code: 0 });
  expect(second.output.match(/^(created|changed|done): .*/gm)).toBeNull();
}, 120_000);
