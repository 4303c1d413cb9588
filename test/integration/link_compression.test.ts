/** How hard links are compressed: what the site file says, whoever dials, and never what nats-server makes of a busy link. */
import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { ServerSettings } from "../../src/model/schema/site.ts";
import { type Mesh, type MeshSite, startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

type Compression = ServerSettings["compression"];

async function linked(compressions: Readonly<Record<string, Compression>>): Promise<Mesh> {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: () => [],
    edit: (file) => {
      const compression = compressions[file.site];
      return compression === undefined ? file : { ...file, server: { ...file.server, compression } };
    },
  });
}

/** What a site says of its one link, once it stands. */
async function said(site: MeshSite): Promise<string | null> {
  return await waitFor(async () => (await site.links()).find(({ connected }) => connected)?.compression, {
    what: `the link of ${site.name}`,
    deadlineMs: 30_000,
  });
}

async function both(mesh: Mesh): Promise<Record<string, string | null>> {
  return { berlin: await said(mesh.site("berlin")), austin: await said(mesh.site("austin")) };
}

test("is fast at both ends unless told", async () => {
  await using mesh = await linked({});
  expect(await both(mesh)).toEqual({ berlin: "s2_fast", austin: "s2_fast" });
}, 90_000);

test("is each end's own choice, and off where one of them does not want it", async () => {
  {
    await using mesh = await linked({ berlin: "s2_best", austin: "s2_better" });
    expect(await both(mesh)).toEqual({ berlin: "s2_best", austin: "s2_better" });
  }
  await using mesh = await linked({ austin: "off" });
  expect(await both(mesh)).toEqual({ berlin: "off", austin: "off" });
}, 120_000);

test("is another one after the next start, in a server that goes on, whose link stays", async () => {
  await using mesh = await linked({ austin: "s2_auto" });
  const austin = mesh.site("austin");
  await said(austin);
  const ends = async () => await readFile(join(austin.dataFolder, "log", "nats.log"), "utf8");
  const closed = (await ends()).split("Leafnode connection closed").length;
  // Killed, so that the server goes on without it.
  await austin.end("SIGKILL");
  const { compression: _, ...server } = austin.file.server ?? {};
  await writeFile(austin.siteFile, stringify({ ...austin.file, server }));
  await austin.start();
  await waitFor(async () => (await said(austin)) === "s2_fast", {
    what: "the other compression",
    deadlineMs: 30_000,
  });
  expect(await austin.log()).toContain("adopted nats-server");
  expect((await ends()).split("Leafnode connection closed").length).toBe(closed);
}, 90_000);
