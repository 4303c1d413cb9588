/** What an older version of Leafmesh has left is migrated, what a newer one has left is refused. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { LAYOUT, LAYOUT_METADATA } from "../../src/control/layout.ts";
import { STATE_STREAM } from "../../src/model/names.ts";
import { readRunningProcess } from "../../src/nats/processes.ts";
import { type Mesh, type MeshSite, startMesh } from "../support/mesh.ts";

let mesh: Mesh;
let berlin: MeshSite;

beforeAll(async () => {
  mesh = await startMesh({ sites: { berlin: [] }, tenants: () => [{ tenant: "acme" }], mode: "plain" });
  berlin = mesh.site("berlin");
}, 90_000);
afterAll(async () => {
  await mesh[Symbol.asyncDispose]();
}, 60_000);

const STREAMS = [STATE_STREAM, "out_acme", "in_acme"];

async function layouts(): Promise<readonly (string | undefined)[]> {
  await using server = await berlin.mesh();
  const infos = await Promise.all(STREAMS.map((name) => server.jsm.streams.info(name)));
  return infos.map(({ config }) => config.metadata?.[LAYOUT_METADATA]);
}

async function setLayout(streams: readonly string[], layout: string | null): Promise<void> {
  await using server = await berlin.mesh();
  for (const name of streams) {
    const { config } = await server.jsm.streams.info(name);
    const { [LAYOUT_METADATA]: _, ...others } = config.metadata ?? {};
    const metadata = layout === null ? others : { ...others, [LAYOUT_METADATA]: layout };
    await server.jsm.streams.update(name, { ...config, metadata });
  }
}

async function setRemembered(layout: number | undefined): Promise<void> {
  const path = join(berlin.dataFolder, "desired.json");
  const { layout: _, ...remembered } = JSON.parse(await readFile(path, "utf8")) as { layout?: number };
  await writeFile(path, JSON.stringify(layout === undefined ? remembered : { ...remembered, layout }));
}

const serverRuns = async () => (await readRunningProcess(join(berlin.dataFolder, "nats.pid"))) !== null;

test("a new site has the layout of its version", async () => {
  expect(await layouts()).toEqual(STREAMS.map(() => String(LAYOUT)));
});

test("a site without a layout, as all were before there was one, is migrated and goes on", async () => {
  const app = await berlin.app("acme");
  await jetstream(app).publish("acme.before", "1", { msgID: "before" });
  await setLayout(STREAMS, null);
  expect(await layouts()).toEqual(STREAMS.map(() => undefined));
  await berlin.end("SIGTERM");
  await setRemembered(undefined);
  await berlin.start();
  expect(await layouts()).toEqual(STREAMS.map(() => String(LAYOUT)));
  expect(await berlin.log()).toContain("layout 0 becomes 1: streams say by which layout they are kept");
  const again = await jetstream(await berlin.app("acme")).publish("acme.before", "1", { msgID: "before" });
  expect(again).toMatchObject({ stream: "out_acme", duplicate: true, seq: 1 });
}, 150_000);

test("what a newer version has remembered is refused before the server runs", async () => {
  await berlin.end("SIGTERM");
  await setRemembered(LAYOUT + 1);
  await expect(berlin.start()).rejects.toThrow("was written by a newer version of Leafmesh");
  expect(berlin.exitCode).toBe(6);
  expect(await serverRuns()).toBe(false);
  await setRemembered(LAYOUT);
  await berlin.start();
}, 150_000);

test("a stream of a newer version is refused, and the server does not stay", async () => {
  await setLayout(["out_acme"], "99");
  await berlin.end("SIGTERM");
  await expect(berlin.start()).rejects.toThrow(
    /The stream out_acme was written by a newer version of Leafmesh: its layout is 99, this version knows up to/,
  );
  expect(berlin.exitCode).toBe(6);
  expect(await serverRuns()).toBe(false);
}, 150_000);
