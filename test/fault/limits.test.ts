/** Limits over a real link: changed while events wait for them, kept by nats-server to a peer, and of one tenant alone. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import { faults, Load } from "../support/ledger.ts";
import { type MeshSite, startMesh, startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const IMPORTS = [{ from: "berlin", subjects: ["acme.>"] }];
const EXPORT = "/v1/tenants/acme/exports/out?wait=true";
const exported = (rest: Partial<ExportPolicy>): ExportPolicy => ({
  name: "out",
  to: ["austin"],
  rules: [{ name: "orders", subjects: ["acme.orders.>"] }],
  ...rest,
});
const routeOf = async (site: MeshSite) =>
  (await site.links()).flatMap(({ routes }) => routes).find(({ direction }) => direction === "out");

test("limits change while events wait for them: nothing is lost, repeated or out of order, also when the view goes", async () => {
  const slow = exported({ limit: { messages: "100/s" } });
  await using mesh = await startPair({ exports: [slow], imports: IMPORTS });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const load = new Load(await berlin.app("acme"), { subject: () => "acme.orders.x", batch: 10, pauseMs: 10 });
  const far = await austin.app("acme");
  const read = () => readLog(far, "acme", "berlin.acme.orders.>");
  await waitFor(async () => (await routeOf(berlin))?.why === "it waits for a limit: export out, 100/s", {
    what: "the link to say what it waits for",
  });
  await waitFor(() => load.count > 400, { what: "a load" });

  // Another limit, of a rule now, and of the export again.
  await berlin.put(
    EXPORT,
    exported({ rules: [{ name: "orders", subjects: ["acme.orders.>"], limit: { messages: "300/s" } }] }),
  );
  await waitFor(async () => (await read()).length > 300, { what: "more to cross" });
  await berlin.put(EXPORT, slow);
  const metrics = await (await berlin.api("GET", "/metrics")).text();
  const waited = /leafmesh_view_deferred_seconds\{[^}]*policy="out"\} ([0-9.]+)/.exec(metrics)?.[1];
  expect(Number(waited)).toBeGreaterThan(0.1);
  await waitFor(async () => load.count > (await read()).length + 50, { what: "events to wait again" });
  await load.stop();

  // None: nats-server alone does it from where the view was.
  await berlin.put(EXPORT, exported({}));
  const events = await waitFor(
    async () => {
      const found = await read();
      return found.length >= load.count ? found : null;
    },
    { what: `${load.count} events`, deadlineMs: 30_000 },
  );
  expect(events.length).toBe(load.count);
  expect(faults(events, load.acked)).toMatchObject({ repeated: [], reordered: 0 });
  expect((await routeOf(berlin))?.kind).toBe("native");
}, 120_000);

test("nats-server holds a native route to its bytes a second, and lets go when the limit goes", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? {
            tenant: "acme",
            limits: { maxMsgSize: "16KiB" },
            exports: [exported({ limit: { perPeer: "100KiB/s" } })],
          }
        : { tenant: "acme", imports: [...IMPORTS] },
    ],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  expect((await routeOf(berlin))?.kind).toBe("native");
  const js = jetstream(await berlin.app("acme"));
  const far = await austin.app("acme");
  const read = () => readLog(far, "acme", "berlin.acme.orders.x");
  // As large as the tenant may have it: subject and reply come on top of it, and it must not hold up what is behind it.
  await js.publish("acme.orders.large", JSON.stringify({ filler: "x".repeat(16 * 1024 - 13) }));
  await waitFor(async () => (await readLog(far, "acme", "berlin.acme.orders.large")).length === 1, {
    what: "the largest event to cross",
    deadlineMs: 30_000,
  });
  const filler = "x".repeat(1000);
  const startedAt = performance.now();
  const count = 2000;
  for (let n = 0; n < count; n += 100) {
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        js.publish("acme.orders.x", JSON.stringify({ n: n + i, filler })),
      ),
    );
  }
  const early = await waitFor(
    async () => {
      const found = await read();
      return found.length > 300 ? found.length : null;
    },
    { what: "some to cross" },
  );
  // Bytes that crossed, but for one event of the largest size, over the rate.
  const least = ((early * 1000 - 16 * 1024) / (100 * 1024)) * 1000;
  expect(performance.now() - startedAt).toBeGreaterThan(0.8 * least);
  expect(early).toBeLessThan(count);

  await berlin.put(EXPORT, exported({}));
  const freeAt = performance.now();
  const events = await waitFor(
    async () => {
      const found = await read();
      return found.length >= count ? found : null;
    },
    { what: "all to cross", deadlineMs: 30_000 },
  );
  expect(performance.now() - freeAt).toBeLessThan(((count - early) / 100) * 1000 * 0.8);
  expect(events.map(({ n }) => n)).toEqual(Array.from({ length: count }, (_, n) => n));
}, 120_000);

test("the size that events may have changes beside a rate for each peer, and none is too large to pass", async () => {
  const limits = { maxMsgSize: "16KiB" };
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", limits, exports: [exported({ limit: { perPeer: "64KiB/s" } })] }
        : { tenant: "acme", imports: [...IMPORTS] },
    ],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const far = await austin.app("acme");
  const js = jetstream(await berlin.app("acme"));
  const settings = await berlin.json<object>("/v1/tenants/acme");
  const resized = async (maxMsgSize: string) => {
    await berlin.put("/v1/tenants/acme?wait=true", { ...settings, limits: { ...limits, maxMsgSize } });
  };
  let published = 0;
  const publish = async (kib: number) => {
    const n = published++;
    await js.publish("acme.orders.x", JSON.stringify({ n, filler: "x".repeat(kib * 1024 - 30) }));
  };
  const crossed = async () =>
    await waitFor(
      async () => {
        const found = (await readLog(far, "acme", "berlin.acme.orders.>")).map(({ n }) => n);
        return found.length >= published ? found : null;
      },
      { what: `${published} events to cross`, deadlineMs: 60_000 },
    );

  await publish(16);
  await crossed();
  await resized("64KiB");
  await publish(64);
  await publish(1);
  await crossed();
  // Some wait, and the server that is started anew looks up how much passes at once.
  for (let i = 0; i < 5; i++) await publish(64);
  await resized("16KiB");
  await berlin.kill();
  await berlin.start();
  expect(await crossed()).toEqual(Array.from({ length: published }, (_, n) => n));
}, 180_000);

test("a tenant that floods, and is limited, does not slow another's route", async () => {
  const redact = [{ path: "$.email", with: "remove" as const }];
  const rulesOf = (tenant: string) => [{ name: "all", subjects: [`${tenant}.orders.>`], redact }];
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      ["acme", "globex"].map((tenant) =>
        site === "berlin"
          ? {
              tenant,
              exports: [
                {
                  name: "out",
                  to: ["austin"],
                  rules: rulesOf(tenant),
                  ...(tenant === "acme" ? { limit: { messages: "200/s" } } : {}),
                },
              ],
            }
          : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
      ),
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const app = jetstream(await berlin.app("globex"));
  const far = await austin.app("globex");
  const arrived = new Map<number, number>();
  far.subscribe("globex.orders.>", {
    callback: (_error, message) => {
      arrived.set(message.json<{ n: number }>().n, performance.now());
    },
  });
  await far.flush();
  let next = 0;
  /** Publishes events, five at a time. @returns how long the middle one took to the other site, and all a second */
  const measure = async (rounds: number) => {
    const sent = new Map<number, number>();
    const startedAt = performance.now();
    for (let round = 0; round < rounds; round++) {
      const numbers = Array.from({ length: 5 }, () => next++);
      await Promise.all(
        numbers.map((n) => {
          sent.set(n, performance.now());
          return app.publish("globex.orders.x", JSON.stringify({ n, email: "eve@example.org" }));
        }),
      );
      await waitFor(() => numbers.every((n) => arrived.has(n)), {
        what: "the events of the other tenant",
        deadlineMs: 20_000,
        pollMs: 1,
      });
    }
    const took = [...sent].map(([n, at]) => (arrived.get(n) ?? at) - at).sort((left, right) => left - right);
    const perSecond = (rounds * 5000) / (performance.now() - startedAt);
    return { medianMs: took[Math.floor(took.length / 2)] ?? 0, perSecond };
  };
  await measure(20);
  const alone = await measure(60);
  const flood = new Load(await berlin.app("acme"), {
    subject: () => "acme.orders.x",
    batch: 200,
    pauseMs: 0,
  });
  await waitFor(() => flood.count > 3000, { what: "a flood", deadlineMs: 30_000 });
  const beside = await measure(60);
  // All the while the flood waits for its limit, thousands of events long; between two that it lets out it says nothing.
  const waits = "it waits for a limit: export out, 200/s";
  const acme = await waitFor(
    async () => {
      const routes = (await berlin.links()).flatMap((link) => link.routes);
      return routes.find(({ tenant, why }) => tenant === "acme" && why === waits);
    },
    { what: "the flood to wait for its limit", deadlineMs: 20_000 },
  );
  await flood.stop();
  expect(acme.view?.waiting).toBeGreaterThan(1000);
  // The publishing of the flood shares two cores with all else here; a route that waited for it would take seconds an event.
  const told = JSON.stringify({ alone, beside });
  expect(beside.medianMs, told).toBeLessThan(Math.max(alone.medianMs, 2) * 30);
  expect(beside.perSecond, told).toBeGreaterThan(alone.perSecond / 30);
}, 120_000);
