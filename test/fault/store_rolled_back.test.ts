/** An importer whose store is an older copy: what it had acknowledged and lost with its disk is fetched again. */
import { expect, test } from "bun:test";
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { faults, Load } from "../support/ledger.ts";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { TWO_KINDS, twoKinds } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

test("an importer that is rolled back gets what it lost, of native routes and of views, in order", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: twoKinds,
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const loads = await Promise.all(
    TWO_KINDS.map(
      async (tenant) =>
        new Load(await berlin.app(tenant), { subject: (n) => `${tenant}.orders.k${n % 5}`, batch: 10 }),
    ),
  );
  const far = await Promise.all(TWO_KINDS.map((tenant) => austin.app(tenant)));
  const read = async (index: number) => {
    const [tenant, nc] = [TWO_KINDS[index], far[index]];
    if (tenant === undefined || nc === undefined) throw new Error(`no tenant ${index}`);
    return await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
  };
  const received = async (least: number) =>
    await waitFor(async () => (await read(0)).length >= least && (await read(1)).length >= least, {
      what: `${least} events of each tenant`,
      deadlineMs: 30_000,
    });

  await received(300);
  const store = join(austin.dataFolder, "store");
  const copy = join(austin.folder, "copy");
  await austin.end("SIGTERM");
  await cp(store, copy, { recursive: true });
  await austin.start();
  const before = Math.max((await read(0)).length, (await read(1)).length);
  await received(before + 500);
  await austin.end("SIGTERM");
  await rm(store, { recursive: true });
  await rename(copy, store);
  await austin.start();

  for (const load of loads) await load.stop();
  for (const [index, load] of loads.entries()) {
    const events = await waitFor(
      async () => {
        const found = await read(index);
        return found.length >= load.count
          ? found
          : Promise.reject(new Error(`${found.length} of ${load.count}`));
      },
      { what: `all events of ${TWO_KINDS[index]}`, deadlineMs: 30_000 },
    );
    expect(events.length).toBe(load.count);
    expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  }
  expect(await austin.log()).toMatch(/in_globex goes on after what is stored of each source/);
}, 180_000);
