/** Shadows on real servers: they count what they would do, and what is sent does not change by them. */
import { expect, test } from "bun:test";
import process from "node:process";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { ShadowDocument } from "../../routes/answers.ts";
import { faults, Load } from "../support/ledger.ts";
import { startMesh, startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const VIEW = {
  name: "eu",
  to: ["austin"],
  rules: [
    { name: "orders", subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "mask" as const }] },
  ],
};
const NATIVE = { name: "all", to: ["austin"], rules: [{ subjects: ["bolt.telemetry.>"] }] };
const SHADOW = "/v1/tenants/acme/exports/eu/shadow";
const EVENTS = 4000;

async function scanners(jsm: JetStreamManager, stream: string): Promise<number> {
  let count = 0;
  for await (const one of jsm.consumers.list(stream)) if (one.name.startsWith("scan_")) count++;
  return count;
}

test("a shadow of a view and one of a native route count beside the traffic, survive a restart and end without a trace", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [
            { tenant: "acme", exports: [VIEW] },
            { tenant: "bolt", exports: [NATIVE] },
          ]
        : [
            { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
            { tenant: "bolt", imports: [{ from: "berlin", subjects: ["bolt.>"] }] },
          ],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const version = async () =>
    (await berlin.links())[0]?.routes.find((one) => one.tenant === "acme")?.view?.version;
  const shadow = (samples = false) =>
    berlin.json<ShadowDocument>(`${SHADOW}${samples ? "?samples=true" : ""}`);
  const before = await version();

  const candidate = [{ name: "eu-only", subjects: ["acme.orders.eu.>"] }];
  await berlin.put(SHADOW, { rules: candidate });
  await berlin.put("/v1/tenants/bolt/exports/all/shadow", { rules: [{ subjects: ["bolt.none"] }] });
  // A shadow counts from when it runs: what was published before is not its.
  for (const path of [SHADOW, "/v1/tenants/bolt/exports/all/shadow"]) {
    await waitFor(async () => (await berlin.json<ShadowDocument>(path)).state === "running", {
      what: `${path} to run`,
    });
  }

  const acme = new Load(await berlin.app("acme"), {
    subject: (n) => `acme.orders.${n % 2 === 0 ? "eu" : "us"}.x`,
    body: (n) => ({ email: `secret-of-${n}` }),
    batch: 100,
  });
  const bolt = new Load(await berlin.app("bolt"), { subject: () => "bolt.telemetry.x" });
  await waitFor(() => acme.count > EVENTS, { deadlineMs: 60_000, what: `${EVENTS} events` });
  await Promise.all([acme.stop(), bolt.stop()]);

  const done = await waitFor(
    async () => {
      const report = await shadow();
      return (report.compared?.comparison.events ?? 0) + report.skipped >= acme.count ? report : null;
    },
    { deadlineMs: 60_000, what: "the shadow to have looked at all" },
  );
  expect(done.skipped).toBe(0);
  const us = [...acme.acked.keys()].filter((n) => n % 2 === 1).length;
  expect(done.compared?.comparison).toMatchObject({
    events: acme.count,
    changed: acme.count,
    before: { forward: acme.count, drop: 0, quarantine: 0 },
    after: { forward: acme.count - us, drop: us, quarantine: 0 },
    verdicts: { "forward → drop": us },
    outputs: { events: acme.count - us, payload: acme.count - us },
  });
  expect(JSON.stringify(done)).not.toContain("secret-of-");
  // Only on demand: what the candidate would let out.
  expect(JSON.stringify(await shadow(true))).toContain("secret-of-");
  const native = await waitFor(
    async () => {
      const report = await berlin.json<ShadowDocument>("/v1/tenants/bolt/exports/all/shadow");
      return (report.compared?.comparison.events ?? 0) >= bolt.count ? report : null;
    },
    { deadlineMs: 30_000, what: "the shadow of the native route" },
  );
  expect(native.compared).toMatchObject({
    activeKind: "native",
    comparison: { verdicts: { "forward → drop": bolt.count } },
  });
  const metrics = await (await berlin.api("GET", "/metrics")).text();
  expect(metrics).toContain(`leafmesh_shadow_events{site="berlin",tenant="acme",policy="eu"} ${acme.count}`);
  expect(metrics).toContain(`change="forward → drop"} ${us}`);

  const there = await austin.app("acme");
  const events = await waitFor(
    async () => {
      const found = await readLog(there, "acme", "berlin.acme.>");
      return found.length >= acme.count ? found : null;
    },
    { deadlineMs: 30_000, what: "all events at austin" },
  );
  expect(events.length).toBe(acme.count);
  expect(faults(events, acme.acked)).toMatchObject({ repeated: [], reordered: 0 });
  expect(events.every((event) => event.body.email === "***")).toBe(true);
  expect(await version()).toBe(before);

  await berlin.end("SIGTERM");
  await berlin.start();
  const again = await waitFor(
    async () => {
      const report = await shadow();
      return report.state === "running" ? report : null;
    },
    { deadlineMs: 30_000, what: "the shadow after the restart" },
  );
  expect(again).toMatchObject({ rules: candidate, compared: { comparison: { events: 0 } } });

  await using own = await berlin.mesh();
  expect(await scanners(own.jsm, "out_acme")).toBe(1);
  const cleared = await berlin.api("DELETE", SHADOW, undefined, { "if-match": "*" });
  expect(cleared.status).toBe(204);
  await waitFor(async () => (await scanners(own.jsm, "out_acme")) === 0, { what: "the shadow to end" });
  expect((await berlin.api("GET", SHADOW)).status).toBe(404);
  // The shadow goes with its export.
  const gone = await berlin.api("DELETE", "/v1/tenants/bolt/exports/all", undefined, { "if-match": "*" });
  expect(gone.status).toBe(204);
  await waitFor(async () => (await scanners(own.jsm, "out_bolt")) === 0, { what: "the other shadow to end" });
  expect(await (await berlin.api("GET", "/metrics")).text()).not.toContain("leafmesh_shadow_events{");
}, 120_000);

test("a shadow goes on where it was when nats-server has died and is back", async () => {
  await using mesh = await startPair({
    exports: [VIEW],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const berlin = mesh.site("berlin");
  const shadow = () => berlin.json<ShadowDocument>(SHADOW);
  await berlin.put(SHADOW, { rules: [{ subjects: ["acme.none"] }] });
  await waitFor(async () => (await shadow()).state === "running", { what: "the shadow to run" });
  const load = new Load(await berlin.app("acme"), { subject: () => "acme.orders.x" });
  await waitFor(() => load.count > 300, { deadlineMs: 30_000, what: "300 events" });
  const { server } = await berlin.json<{ server: { pid: number } }>("/v1/site");
  process.kill(server.pid, "SIGKILL");
  const before = load.count;
  await waitFor(() => load.count > before + 500, { deadlineMs: 30_000, what: "events after the crash" });
  await load.stop();
  const done = await waitFor(
    async () => {
      const report = await shadow();
      return (report.compared?.comparison.events ?? 0) >= load.count ? report : null;
    },
    { deadlineMs: 60_000, what: "the shadow to have looked at all" },
  );
  expect(done).toMatchObject({
    state: "running",
    skipped: 0,
    compared: { comparison: { events: load.count } },
  });
}, 120_000);
