/** An import that turns from live to log only and back under load. */
import { expect, test } from "bun:test";
import { faults, Load } from "../support/ledger.ts";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

test("an import whose `live` changes under load loses, repeats and reorders nothing", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), { subject: () => "acme.orders.x", batch: 5 });
  const far = await austin.app("acme");
  const arrived = async () => await readLog(far, "acme", "berlin.acme.>");
  for (const live of [false, true, false]) {
    const count = (await arrived()).length + 300;
    await waitFor(async () => (await arrived()).length > count, { deadlineMs: 20_000, what: "more events" });
    await austin.put("/v1/tenants/acme/imports/berlin", { subjects: ["acme.>"], live });
  }
  const last = load.count + 300;
  await waitFor(() => load.count > last);
  await load.stop();
  await waitFor(async () => (await arrived()).length >= load.count, {
    deadlineMs: 20_000,
    what: "all events",
  });
  const events = await arrived();
  expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  expect(events.length).toBe(load.count);
}, 90_000);
