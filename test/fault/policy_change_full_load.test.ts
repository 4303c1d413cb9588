/**
 * Policies that change while a view runs at full load: nothing is lost or repeated, and from one position in the view on each
 * event is what the new policy makes of it and carries its version. A native route under the same load changes its subjects. Publishers
 * are processes of their own. `LEAFMESH_LOAD_SECONDS=60` runs it longer than 4 seconds, `LEAFMESH_LOAD_RATE=20000` harder than
 * 3,000 events a second; either says what it came to.
 */
import { expect, test } from "bun:test";
import process from "node:process";
import { POLICY_HEADER, POSITION_HEADER, viewStream } from "../../src/model/names.ts";
import type { ExportPolicy, Redaction } from "../../src/model/schema/policy.ts";
import { faults } from "../support/ledger.ts";
import { LoadProcesses } from "../support/load_processes.ts";
import { type Mesh, type MeshSite, startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const SECONDS = Number(process.env.LEAFMESH_LOAD_SECONDS ?? "4");
const RATE = Number(process.env.LEAFMESH_LOAD_RATE ?? "3000");
const CHANGE_EVERY_MS = 800;

/** Two sites that do nothing with the events beside what this is about. */
async function pair(policy: ExportPolicy): Promise<Mesh> {
  return await startPair(
    {
      exports: [structuredClone(policy)],
      imports: [{ from: "berlin", subjects: ["acme.>"], live: false }],
    },
    (file) => ({
      ...file,
      server: { ...file.server, sync: "2m" },
      tenants: file.tenants?.map((tenant) => ({ ...tenant, log: file.site === "austin" })) ?? [],
    }),
  );
}

/** Starts the load at a site. */
function startLoad(site: MeshSite, subjects: readonly string[]): LoadProcesses {
  return new LoadProcesses(site, "acme", {
    publishers: 2,
    rate: RATE,
    subjects,
    body: '"email":"a@example.org","customer":{"id":7,"phone":"+49 30 1234567"}',
  });
}

function say(what: string, load: LoadProcesses, changes: number): void {
  if (process.env.LEAFMESH_LOAD_SECONDS === undefined && process.env.LEAFMESH_LOAD_RATE === undefined) return;
  console.log(`${what}: ${load.count} events, ${Math.round(load.rate)}/s acknowledged, ${changes} changes`);
}

const without = (...paths: string[]) => ({
  name: "out",
  to: ["austin"],
  rules: [
    { subjects: ["acme.orders.>"], redact: paths.map((path): Redaction => ({ path, with: "remove" })) },
  ],
});
const NO_EMAIL = without("$.email");
const NO_PHONE = without("$.email", "$..phone");

type Inside = Awaited<ReturnType<MeshSite["mesh"]>>;

interface Stored {
  readonly n: number;
  readonly position: number;
  readonly version: string;
  readonly phone: boolean;
  readonly email: boolean;
}

/** All events of the view, in its order. */
async function readView(mesh: Inside): Promise<Stored[]> {
  const consumer = await mesh.js.consumers.get(viewStream("acme", "out"));
  let left = (await consumer.info()).num_pending;
  const events: Stored[] = [];
  while (left > 0) {
    for await (const message of await consumer.fetch({
      max_messages: Math.min(left, 5_000),
      expires: 5_000,
    })) {
      const body = message.json<{ n: number; email?: string; customer: { phone?: string } }>();
      events.push({
        n: body.n,
        position: Number(message.headers?.get(POSITION_HEADER)),
        version: message.headers?.get(POLICY_HEADER) ?? "",
        phone: body.customer.phone !== undefined,
        email: body.email !== undefined,
      });
      left--;
    }
  }
  return events;
}

/** Version of the policy that decided the view's last event; `null` while it holds none. */
async function lastVersion(mesh: Inside): Promise<string | null> {
  const last = await mesh.jsm.streams.getMessage(viewStream("acme", "out"), { last_by_subj: ">" });
  return last?.header.get(POLICY_HEADER) ?? null;
}

test(
  "policies that change under full load lose and repeat nothing; each is in force from one position on",
  async () => {
    await using mesh = await pair(NO_EMAIL);
    await mesh.flowing();
    const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
    await using inside = await berlin.mesh();
    await using load = startLoad(
      berlin,
      Array.from({ length: 16 }, (_, i) => `acme.orders.${i}`),
    );
    await waitFor(() => load.count > 2_000, { what: "the load", deadlineMs: 60_000 });
    let changes = 0;
    let version = await waitFor(() => lastVersion(inside), { what: "the first event in the view" });
    const started = performance.now();
    while (changes < 2 || performance.now() - started < SECONDS * 1_000) {
      const next = performance.now() + CHANGE_EVERY_MS;
      await berlin.put("/v1/tenants/acme/exports/out", changes % 2 === 0 ? NO_PHONE : NO_EMAIL);
      changes++;
      // Each policy decides some events before the next one comes.
      const before = version;
      version = await waitFor(
        async () => {
          const now = await lastVersion(inside);
          return now !== before && performance.now() >= next ? now : null;
        },
        { what: "events under the new policy", deadlineMs: 60_000, pollMs: 100 },
      );
    }
    const acked = await load.stop();
    say("view", load, changes);

    const events = await waitFor(
      async () => {
        const { state } = await inside.jsm.streams.info(viewStream("acme", "out"));
        return state.messages >= load.count ? await readView(inside) : null;
      },
      { deadlineMs: 300_000, pollMs: 250, what: `${load.count} events in the view` },
    );
    // Every event that was acknowledged is there once, in the order of the stream that took it.
    expect(events.length).toBe(load.count);
    expect(new Set(events.map(({ n }) => n)).size).toBe(load.count);
    expect(events.filter(({ n, position }) => acked.get(n) !== position)).toEqual([]);
    expect(events.filter(({ position }, i) => i > 0 && position <= (events[i - 1]?.position ?? 0))).toEqual(
      [],
    );
    // One stretch for each policy, and in each stretch every event is what that policy makes of it.
    const starts = events.filter(({ version }, i) => version !== events[i - 1]?.version);
    expect(starts.length).toBe(changes + 1);
    expect(new Set(starts.map(({ version }) => version)).size).toBe(2);
    const first = events[0]?.version;
    expect(events.filter(({ version, phone, email }) => email || phone !== (version === first))).toEqual([]);

    const there = await austin.app("acme");
    const crossed = await waitFor(
      async () => {
        const found = await readLog(there, "acme", "berlin.acme.orders.>");
        return found.length >= load.count ? found : null;
      },
      { deadlineMs: 300_000, pollMs: 500, what: `${load.count} events at the far site` },
    );
    expect(crossed.length).toBe(load.count);
    expect(faults(crossed, acked)).toMatchObject({ repeated: [], reordered: 0 });
  },
  (SECONDS * 10 + 240) * 1_000,
);

/** A native route that widens and narrows. */
const ORDERS = { name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const WITH_EXTRA = { ...ORDERS, rules: [{ subjects: ["acme.orders.>"] }, { subjects: ["acme.extra.>"] }] };

test(
  "a native route that widens and narrows under full load loses and repeats nothing",
  async () => {
    await using mesh = await pair(ORDERS);
    await mesh.flowing();
    const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
    const there = await austin.app("acme");
    const crossedExtra = () => readLog(there, "acme", "berlin.acme.extra.>");
    await using load = startLoad(berlin, ["acme.orders.a", "acme.orders.b", "acme.orders.c", "acme.extra.x"]);
    await waitFor(() => load.count > 2_000, { what: "the load", deadlineMs: 60_000 });
    const started = performance.now();
    let changes = 0;
    while (changes < 2 || performance.now() - started < SECONDS * 1_000) {
      const enough = load.count + RATE / 4;
      const before = (await crossedExtra()).length;
      const widened = changes % 2 === 0;
      await berlin.put("/v1/tenants/acme/exports/out?wait=true", widened ? WITH_EXTRA : ORDERS);
      changes++;
      const next = performance.now() + CHANGE_EVERY_MS;
      await waitFor(
        async () => {
          if (load.count <= enough || performance.now() < next) return false;
          // A peer that is behind has not come to what it is allowed now.
          return !widened || (await crossedExtra()).length > before;
        },
        { what: "events under the new policy", deadlineMs: 60_000, pollMs: 100 },
      );
    }
    const acked = await load.stop();
    say("native", load, changes);
    const orders = [...acked.keys()].filter((n) => n % 4 !== 3).length;
    const crossed = await waitFor(
      async () => {
        const found = await readLog(there, "acme", "berlin.acme.orders.>");
        return found.length >= orders ? found : null;
      },
      { deadlineMs: 300_000, pollMs: 500, what: `${orders} orders at the far site` },
    );
    expect(crossed.length).toBe(orders);
    expect(faults(crossed, acked)).toMatchObject({ repeated: [], reordered: 0 });
    const extra = await crossedExtra();
    expect(faults(extra, acked)).toMatchObject({ repeated: [], reordered: 0 });
    // As many stretches without a hole as it was allowed for: what was published meanwhile, nothing else.
    const numbers = [...acked].filter(([n]) => n % 4 === 3).sort(([, left], [, right]) => left - right);
    const place = new Map(numbers.map(([n], i) => [n, i]));
    const places = extra.map(({ n }) => place.get(n) ?? -1);
    const stretches = places.filter((at, i) => at !== (places[i - 1] ?? -2) + 1).length;
    expect(stretches).toBe(Math.ceil(changes / 2));
    expect(extra.length).toBeLessThan(numbers.length);
  },
  (SECONDS * 10 + 240) * 1_000,
);
