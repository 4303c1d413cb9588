/** An exporter whose store is an older copy: what peers have of the lost events is named, and no new event is passed over. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { alarmsOf, logHas, numbers, OlderCopy, publishNumbers } from "../support/older_copy.ts";
import { type ReadEvent, readLog } from "../support/read_log.ts";
import { changeKinds, startTwoKinds, TWO_KINDS } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

const KEPT = 200;
/** By how many the exporter is rolled back, its peer up and down. */
const LOST = { up: 10_000, down: 2_000 } as const;

/** Publishes a number as soon as the server takes it, with no regard to what else it does. @returns its sequence */
async function publishAtOnce(nc: NatsConnection, tenant: string, n: number): Promise<number> {
  const js = jetstream(nc);
  return await waitFor(
    async () =>
      (
        await js.publish(`${tenant}.orders.k${n % 5}`, JSON.stringify({ n }), {
          msgID: `new-${n}`,
          timeout: 2000,
        })
      ).seq,
    { what: `event ${n} to be stored`, deadlineMs: 60_000, pollMs: 10 },
  );
}

async function arrived(nc: NatsConnection, tenant: string, least: number): Promise<ReadEvent[]> {
  await logHas(nc, tenant, least);
  return await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
}

for (const peer of ["up", "down"] as const) {
  const lost = LOST[peer];
  test(`an exporter that is rolled back by ${lost} events, its peer ${peer}: all that is new arrives once and in order`, async () => {
    const { mesh, berlin, austin } = await startTwoKinds();
    await using _ = mesh;
    const apps = await Promise.all(
      TWO_KINDS.map(async (tenant) => ({ tenant, nc: await berlin.app(tenant) })),
    );
    for (const { tenant, nc } of apps) await publishNumbers(jetstream(nc), tenant, 1, KEPT);
    const copy = new OlderCopy(berlin);
    await copy.take();
    for (const { tenant, nc } of apps) await publishNumbers(jetstream(nc), tenant, KEPT + 1, KEPT + lost);
    for (const { tenant } of apps) await logHas(await austin.app(tenant), tenant, KEPT + lost);
    if (peer === "down") await austin.end("SIGTERM");
    await berlin.noted("out_globex", KEPT + lost);
    await copy.putBack();

    // More than were lost: sequences alone do not say any more that something is wrong.
    const more = lost + 1000;
    const [first, last] = [KEPT + lost + 1, KEPT + lost + more];
    let isUp = false;
    const publishing = apps.map(async ({ tenant, nc }) => {
      // One by one while the site starts: a server that reads its configuration anew is deaf for a moment.
      let next = first;
      while (!isUp && next < last) await publishAtOnce(nc, tenant, next++);
      return await publishNumbers(jetstream(nc), tenant, next, last);
    });
    await berlin.start();
    isUp = true;
    for (const seq of await Promise.all(publishing)) expect(seq).toBe(KEPT + more);
    if (peer === "down") await austin.start();
    for (const { tenant } of apps) await logHas(await austin.app(tenant), tenant, last);
    await mesh.flowing();
    const range = `${KEPT + 1} to ${KEPT + lost}`;
    const [here, there] = [
      await alarmsOf(berlin, "exporter-rolled-back"),
      await alarmsOf(austin, "exporter-rolled-back"),
    ];
    expect(here.out_globex).toContain(`out_globex lacks events ${range},`);
    for (const stream of ["out_globex", "view_acme_out"]) {
      expect(here[`${stream} austin`]).toContain(`austin has stored events ${range} of ${stream}`);
      expect(there[`${stream} of berlin`]).toContain(`berlin has lost events ${range} of ${stream}`);
    }
    // An ordinary start says nothing, and takes nothing back: all is read once, in the end.
    await austin.end("SIGTERM");
    await austin.start();
    for (const { tenant, nc } of apps) {
      await publishNumbers(jetstream(nc), tenant, last + 1, last + 10);
      const events = await arrived(await austin.app(tenant), tenant, last + 10);
      expect(events.map(({ n }) => n)).toEqual(numbers(1, last + 10));
    }
  }, 240_000);
}

test("an exporter that is rolled back to before its peer moved to another stream makes the move again, and no new event is passed over", async () => {
  const { mesh, berlin, austin } = await startTwoKinds();
  await using _ = mesh;
  const apps = await Promise.all(TWO_KINDS.map(async (tenant) => ({ tenant, nc: await berlin.app(tenant) })));
  const publish = async (from: number, to: number) => {
    for (const { tenant, nc } of apps) await publishNumbers(jetstream(nc), tenant, from, to);
  };
  const has = async (last: number) => {
    for (const { tenant } of apps) {
      const events = await arrived(await austin.app(tenant), tenant, last);
      expect(events.map(({ n }) => n)).toEqual(numbers(1, last));
    }
  };
  await publish(1, KEPT);
  await has(KEPT);
  const copy = new OlderCopy(berlin);
  await copy.take();
  await changeKinds(mesh, { acme: "native", globex: "view" });
  const last = KEPT + 1000;
  await publish(KEPT + 1, last);
  await has(last);
  for (const { tenant } of apps) await berlin.noted(`out_${tenant}`, last);
  await copy.putBack();
  await berlin.start();
  // As many as were lost, and more.
  await publish(last + 1, last + 1500);
  await has(last + 1500);
  await mesh.flowing();
  const alarms = await alarmsOf(berlin, "exporter-rolled-back");
  for (const stream of ["out_acme", "view_globex_out"]) {
    expect(alarms[`${stream} austin`]).toContain(
      `austin has stored events ${KEPT + 1} to ${last} of ${stream}`,
    );
  }
}, 120_000);
