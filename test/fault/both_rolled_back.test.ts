/** Stores of both sites that are older copies, one after the other: the importer's is of before the exporter's was found. */
import { expect, test } from "bun:test";
import type { MeshSite } from "../support/mesh.ts";
import { logHas, numbers, OlderCopy } from "../support/older_copy.ts";
import { readLog } from "../support/read_log.ts";
import { publishBoth, startTwoKinds, TWO_KINDS } from "../support/two_kinds.ts";

const PART = 300;
const TIMEOUT_MS = 240_000;

async function allArrived(site: MeshSite, last: number): Promise<void> {
  for (const tenant of TWO_KINDS) {
    const nc = await site.app(tenant);
    await logHas(nc, tenant, last);
    const events = await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
    expect(events.map(({ n }) => n)).toEqual(numbers(1, last));
  }
}

test(
  "an importer that is an older copy than what it was told of its exporter's older copy misses nothing; one of before all gets all",
  async () => {
    const { mesh, berlin, austin } = await startTwoKinds();
    await using _ = mesh;
    const [ofNothing, told, exporter] = [new OlderCopy(austin), new OlderCopy(austin), new OlderCopy(berlin)];
    await ofNothing.take();
    await publishBoth(berlin, 1, PART);
    await allArrived(austin, PART);

    // The importer has nothing of what it has acknowledged, and is started twice before its exporter comes back.
    for (const tenant of TWO_KINDS) await austin.noted(`in_${tenant}`, PART);
    await berlin.end("SIGTERM");
    await ofNothing.putBack();
    await austin.start();
    await austin.end("SIGTERM");
    await austin.start();
    await berlin.start();
    await allArrived(austin, PART);

    await exporter.take();
    await publishBoth(berlin, PART + 1, 2 * PART);
    await allArrived(austin, 2 * PART);
    await berlin.noted("out_globex", 2 * PART);
    await told.take();
    // The exporter loses a part that the importer has, and uses its sequences again.
    await exporter.putBack();
    await berlin.start();
    await mesh.flowing();
    await publishBoth(berlin, 2 * PART + 1, 5 * PART);
    await allArrived(austin, 5 * PART);
    // The importer forgets that it was told.
    for (const tenant of TWO_KINDS) await austin.noted(`in_${tenant}`, 5 * PART);
    await told.putBack();
    await austin.start();
    await publishBoth(berlin, 5 * PART + 1, 5 * PART + 10);
    await allArrived(austin, 5 * PART + 10);
    expect(await austin.log()).toContain("2 sources go back again: the copy is of before they were told");

    // It knows it from now on.
    await austin.end("SIGTERM");
    await austin.start();
    await publishBoth(berlin, 5 * PART + 11, 5 * PART + 20);
    await allArrived(austin, 5 * PART + 20);
  },
  TIMEOUT_MS,
);
