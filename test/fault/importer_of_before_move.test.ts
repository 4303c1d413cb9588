/** An importer whose store is an older copy than the stream that it takes events from: it gets what that has, and names what it has not. */
import { expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MeshSite } from "../support/mesh.ts";
import { alarmsOf, logHas, numbers, OlderCopy } from "../support/older_copy.ts";
import { readLog } from "../support/read_log.ts";
import { changeKinds, publishBoth, startTwoKinds, TWO_KINDS, wantKinds } from "../support/two_kinds.ts";

const PART = 300;

/** Waits for as many events in a tenant's log, which must be these, in this order. */
async function hasAll(site: MeshSite, tenant: string, expected: readonly number[]): Promise<void> {
  const nc = await site.app(tenant);
  await logHas(nc, tenant, expected.length);
  const events = await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
  expect(events.map(({ n }) => n)).toEqual([...expected]);
}

/** As where a site died before it noted that its streams had more. */
async function setNoted(site: MeshSite, streams: Readonly<Record<string, number>>): Promise<void> {
  const path = join(site.dataFolder, "positions.json");
  const noted = JSON.parse(await readFile(path, "utf8")) as { streams: Record<string, { last: number }> };
  for (const [stream, last] of Object.entries(streams)) noted.streams[stream]!.last = last;
  await writeFile(path, JSON.stringify(noted));
}

test("an importer that is rolled back to before its routes moved gets again what they have, and names what they have not", async () => {
  const { mesh, berlin, austin } = await startTwoKinds();
  await using _ = mesh;
  const publish = (from: number, to: number) => publishBoth(berlin, from, to);
  const has = (tenant: string, expected: readonly number[]) => hasAll(austin, tenant, expected);
  const allArrived = async (last: number) => {
    for (const tenant of TWO_KINDS) await has(tenant, numbers(1, last));
  };
  await publish(1, PART);
  await allArrived(PART);
  const copy = new OlderCopy(austin);
  await copy.take();
  await changeKinds(mesh, { acme: "native", globex: "view" });
  await publish(PART + 1, 2 * PART);
  await allArrived(2 * PART);
  await changeKinds(mesh, { acme: "view" });
  await publish(2 * PART + 1, 3 * PART);
  await allArrived(3 * PART);
  for (const tenant of TWO_KINDS) await austin.noted(`in_${tenant}`, 3 * PART);
  await copy.putBack();
  await austin.start();
  await publish(3 * PART + 1, 3 * PART + 10);
  // One stream has all that came since; the other was made anew, and what the one in between has is not for this policy to give.
  await has("globex", numbers(1, 3 * PART + 10));
  await has("acme", [...numbers(1, PART), ...numbers(2 * PART + 1, 3 * PART + 10)]);
  const alarms = await alarmsOf(austin, "importer-rolled-back");
  const range = `events ${PART + 1} to ${2 * PART} of acme at berlin is not fetched again`;
  expect(alarms["view_acme_out of berlin"]).toContain(range);
  expect(Object.keys(alarms).toSorted()).toEqual(["in_acme", "in_globex", "view_acme_out of berlin"]);
}, 120_000);

test("an importer that died before it noted what a stream got since its route moved gets that again, where another stream shows the older copy", async () => {
  const { mesh, berlin, austin } = await startTwoKinds();
  await using _ = mesh;
  const has = (tenant: string, expected: readonly number[]) => hasAll(austin, tenant, expected);
  await changeKinds(mesh, { acme: "native" });
  await publishBoth(berlin, 1, PART);
  for (const tenant of TWO_KINDS) await has(tenant, numbers(1, PART));
  const copy = new OlderCopy(austin);
  await copy.take();
  await changeKinds(mesh, { acme: "view" });
  await publishBoth(berlin, PART + 1, 2 * PART);
  for (const tenant of TWO_KINDS) {
    await has(tenant, numbers(1, 2 * PART));
    await austin.noted(`in_${tenant}`, 2 * PART);
  }
  await copy.putBack();
  await setNoted(austin, { in_acme: PART });
  await austin.start();
  await publishBoth(berlin, 2 * PART + 1, 2 * PART + 10);
  for (const tenant of TWO_KINDS) await has(tenant, numbers(1, 2 * PART + 10));
  const alarms = await alarmsOf(austin, "importer-rolled-back");
  expect(Object.keys(alarms)).toEqual(["in_globex"]);
}, 120_000);

test("an importer whose older copy nobody has noticed gets what it lacks from a native route that its route moves to, and its exporter names what a view does not have", async () => {
  const { mesh, berlin, austin } = await startTwoKinds();
  await using _ = mesh;
  const has = (tenant: string, expected: readonly number[]) => hasAll(austin, tenant, expected);
  await publishBoth(berlin, 1, PART);
  for (const tenant of TWO_KINDS) await has(tenant, numbers(1, PART));
  const copy = new OlderCopy(austin);
  await copy.take();
  await publishBoth(berlin, PART + 1, 2 * PART);
  for (const tenant of TWO_KINDS) await has(tenant, numbers(1, 2 * PART));
  await copy.putBack();
  await setNoted(austin, { in_acme: PART, in_globex: PART });
  await wantKinds(mesh, { acme: "native", globex: "view" });
  await austin.start();
  await mesh.flowing();
  await publishBoth(berlin, 2 * PART + 1, 2 * PART + 10);
  await has("acme", numbers(1, 2 * PART + 10));
  await has("globex", [...numbers(1, PART), ...numbers(2 * PART + 1, 2 * PART + 10)]);
  const alarms = await alarmsOf(berlin, "importer-rolled-back");
  expect(Object.keys(alarms)).toEqual(["view_globex_out to austin"]);
  expect(alarms["view_globex_out to austin"]).toContain(`events ${PART + 1} to ${2 * PART} of globex`);
}, 120_000);
