/** What is to be done before anything may flow fails: then nothing flows, and the next sidecar does it, whoever started the server. */
import { afterAll, expect, test } from "bun:test";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { jetstream } from "@nats-io/jetstream";
import { stringify } from "yaml";
import { isClosedConfig } from "../../src/nats/config.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { brokenBuild } from "../support/faults/broken_build.ts";
import { startMesh } from "../support/mesh.ts";
import { logHas, OlderCopy, publishNumbers } from "../support/older_copy.ts";
import { readLog } from "../support/read_log.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { TWO_KINDS, twoKinds } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

const REPAIR = "src/control/source_repair.ts";
const FAILS = "LEAFMESH_TEST_FAILS";
const IMPORT = `import type { DesiredState, DesiredTenant } from "../model/desired.ts";`;
const BEGIN = "  for (const tenant of state.tenants) {\n    for (const stream of remoteStreams";
const LATE = "const late = tries >= LEAST_TRIES && performance.now() > end;";
/** No source can be taken out while there is a file, and it is given up when there is another. */
const breaks = [
  { file: REPAIR, from: IMPORT, to: `import { existsSync } from "node:fs";\n${IMPORT}` },
  {
    file: REPAIR,
    from: BEGIN,
    to: `  if (existsSync(process.env.${FAILS} ?? "")) throw new Error("made to fail");\n${BEGIN}`,
  },
  { file: REPAIR, from: LATE, to: `const late = existsSync(\`\${process.env.${FAILS}}.late\`);` },
];

afterAll(() => {
  delete process.env[FAILS];
});

test("an importer whose sources cannot be taken out after a rollback takes nothing until they are, by whoever does it then", async () => {
  await using build = await brokenBuild(breaks);
  await using folder = await tempFolder();
  const fails = join(folder.path, "fails");
  process.env[FAILS] = fails;
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: twoKinds,
    entry: { path: "test/support/sidecar_process.ts", root: build.path },
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const near = await Promise.all(TWO_KINDS.map((tenant) => berlin.app(tenant)));
  const far = await Promise.all(TWO_KINDS.map((tenant) => austin.app(tenant)));
  const config = async () => await readFile(join(austin.dataFolder, "nats.conf"), "utf8");
  const server = async () => (await readRunningProcess(join(austin.dataFolder, "nats.pid")))?.pid;
  const says = async (what: string) =>
    await waitFor(async () => (await austin.log()).includes(what), { what, deadlineMs: 60_000 });
  const publish = async (from: number, to: number) => {
    for (const [index, nc] of near.entries())
      await publishNumbers(jetstream(nc), TWO_KINDS[index] ?? "", from, to);
  };
  const received = async (count: number) => {
    for (const [index, nc] of far.entries()) await logHas(nc, TWO_KINDS[index] ?? "", count);
  };
  await publish(1, 100);
  await received(100);
  const copy = new OlderCopy(austin);
  await copy.take();
  await publish(101, 200);
  await received(200);
  await copy.putBack();

  await writeFile(fails, "");
  await writeFile(`${fails}.late`, "");
  await austin.launch();
  await says("takes nothing from apps until its store was looked at, which failed: made to fail");
  await waitFor(() => !austin.running, { what: "the start to end", deadlineMs: 60_000 });
  expect([isClosedConfig(await config()), await server()]).toEqual([true, undefined]);

  await rm(`${fails}.late`);
  await austin.launch();
  await says("the server is not there yet: made to fail");
  await publish(201, 250);
  const quiet = await config();
  expect([isClosedConfig(quiet), austin.running]).toEqual([true, true]);
  const first = await server();
  await austin.end("SIGKILL");
  expect([typeof first, await server()]).toEqual(["number", first]);

  // Another one finds it quiet, also one that would have it quiet in other words.
  const { server: settings } = austin.file;
  await writeFile(austin.siteFile, stringify({ ...austin.file, server: { ...settings, sync: "1s" } }));
  await rm(fails);
  await austin.start();
  expect(isClosedConfig(await config())).toBe(false);
  await received(250);

  // It is told that it is quiet, and is not: that was to be done by one that was killed before it restarted it.
  const second = await server();
  await austin.end("SIGKILL");
  await writeFile(join(austin.dataFolder, "nats.conf"), quiet);
  await austin.start();
  expect(await server()).not.toBe(second);
  await publish(251, 300);
  await received(300);

  for (const [index, tenant] of TWO_KINDS.entries()) {
    const nc = far[index];
    if (nc === undefined) throw new Error(`no tenant ${tenant}`);
    const events = await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
    expect(events.map(({ n }) => n)).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  }
}, 240_000);
