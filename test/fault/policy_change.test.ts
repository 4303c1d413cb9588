/** A policy that changes under load: from its position on, and only from there, the peer sees the change. */
import { expect, test } from "bun:test";
import { faults, Load } from "../support/ledger.ts";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const PLAIN = { name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const WIDER = { ...PLAIN, rules: [{ subjects: ["acme.orders.>"] }, { subjects: ["acme.extra.>"] }] };
const REDACTED = {
  ...PLAIN,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};

async function pair() {
  return await startPair({
    exports: [structuredClone(PLAIN)],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
}

test("a native route that widens and narrows under load loses and repeats nothing", async () => {
  await using mesh = await pair();
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const [here, there] = [await berlin.app("acme"), await austin.app("acme")];
  const load = new Load(here, { subject: (n) => (n % 2 === 0 ? "acme.orders.x" : "acme.extra.x") });
  const enough = (count: number) =>
    waitFor(() => load.count > count, { what: `${count} events`, deadlineMs: 30_000 });
  await enough(500);
  await berlin.put("/v1/tenants/acme/exports/out", WIDER);
  await waitFor(async () => (await readLog(there, "acme", "berlin.acme.extra.>")).length > 100, {
    deadlineMs: 15_000,
    what: "the wider policy at the far site",
  });
  await berlin.put("/v1/tenants/acme/exports/out", PLAIN);
  await enough(load.count + 1500);
  await load.stop();
  const expected = [...load.acked.keys()].filter((n) => n % 2 === 0).length;
  const orders = await waitFor(
    async () => {
      const events = await readLog(there, "acme", "berlin.acme.orders.>");
      return events.length >= expected ? events : null;
    },
    { deadlineMs: 15_000, what: `${expected} orders` },
  );
  expect(faults(orders, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  expect(orders.length).toBe(expected);
  const extra = await readLog(there, "acme", "berlin.acme.extra.>");
  expect(faults(extra, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  // One stretch without a hole: what was allowed while it was allowed, nothing before or after.
  const numbers = extra.map((event) => event.n).sort((left, right) => left - right);
  expect(numbers.length).toBeGreaterThan(0);
  expect(numbers.length).toBeLessThan(load.count / 2);
}, 60_000);

test("a route that turns into a view and back under load loses, repeats and reorders nothing", async () => {
  await using mesh = await pair();
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const [here, there] = [await berlin.app("acme"), await austin.app("acme")];
  const load = new Load(here, { subject: () => "acme.orders.x", body: () => ({ email: "a@example.org" }) });
  const seenSince = async (from: number, redacted: boolean) =>
    (await readLog(there, "acme", "berlin.acme.orders.>"))
      .slice(from)
      .some((event) => !("email" in event.body) === redacted);
  for (const policy of [REDACTED, PLAIN, REDACTED]) {
    await waitFor(() => load.count > 500, { what: "500 events", deadlineMs: 30_000 });
    const from = (await readLog(there, "acme", "berlin.acme.orders.>")).length;
    await berlin.put("/v1/tenants/acme/exports/out", policy);
    await waitFor(() => seenSince(from, policy === REDACTED), {
      // About one second on a quiet machine.
      deadlineMs: 15_000,
      pollMs: 50,
      what: "the change at the far site",
    });
  }
  await load.stop();
  const events = await waitFor(
    async () => {
      const found = await readLog(there, "acme", "berlin.acme.orders.>");
      return found.length >= load.count ? found : null;
    },
    { deadlineMs: 20_000, what: `${load.count} events` },
  );
  expect(events.length).toBe(load.count);
  expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  // Four stretches: plain, redacted, plain, redacted.
  const changes = events.filter(
    (event, i) => i > 0 && "email" in event.body !== "email" in (events[i - 1]?.body ?? {}),
  );
  expect(changes.length).toBe(3);
}, 90_000);
