/** A candidate is held against stored events on real servers, while events flow: nothing of the flow changes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DiffDocument } from "../../routes/answers.ts";
import { faults, Load } from "../support/ledger.ts";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const ORDERS = {
  name: "orders",
  subjects: ["acme.orders.>"],
  redact: [{ path: "$.email", with: "mask" as const }],
};
const VIEW = { name: "eu", to: ["austin"], rules: [ORDERS] };
const NATIVE = {
  name: "all",
  to: ["austin"],
  rules: [{ name: "telemetry", subjects: ["bolt.telemetry.>"] }],
};
const DIFF = "/v1/tenants/acme/exports/eu/diff";
/** What no report may hold unless it is asked to show what a candidate would let out. */
const SECRET = "secret-of-";

let mesh: Mesh;
beforeAll(async () => {
  mesh = await startMesh({
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
}, 60_000);
afterAll(async () => await mesh[Symbol.asyncDispose]());

const region = (n: number) => ["eu", "us", "debug"][n % 3] ?? "";
const subjectOf = (n: number) => (n % 3 === 2 ? "acme.debug.x" : `acme.orders.${region(n)}.${n}`);
const bodyOf = (n: number) => ({ email: `${SECRET}${n}@example.org`, phone: n });

async function load(tenant: "acme" | "bolt", subject: (n: number) => string): Promise<Load> {
  const nc = await mesh.site("berlin").app(tenant);
  return new Load(nc, { subject, body: bodyOf, batch: 100 });
}

async function diff(body: object, path = DIFF): Promise<{ report: DiffDocument; text: string }> {
  const response = await mesh.site("berlin").api("POST", path, body);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return { report: JSON.parse(text) as DiffDocument, text };
}

async function scanners(jsm: JetStreamManager, stream: string): Promise<string[]> {
  const names: string[] = [];
  for await (const one of jsm.consumers.list(stream)) if (one.name.startsWith("scan_")) names.push(one.name);
  return names;
}

test("a diff over thousands of events says what would change, and the traffic beside it is undisturbed", async () => {
  const berlin = mesh.site("berlin");
  const running = await load("acme", subjectOf);
  await waitFor(() => running.count > 3000, { deadlineMs: 30_000, what: "3000 events" });
  const rules = [
    { name: "eu-only", subjects: ["acme.orders.eu.>"], redact: [{ path: "$.phone", with: "remove" }] },
  ];
  const before = running.count;
  const { report, text } = await diff({ rules, last: 3000 });
  await waitFor(() => running.count > before + 500, { what: "events after the diff" });
  await running.stop();

  const { comparison, first, last } = report;
  expect(report).toMatchObject({ complete: true, notes: [], activeKind: "view", candidateKind: "view" });
  expect((last?.sequence ?? 0) - (first?.sequence ?? 0)).toBe(2999);
  // By the sequences of the ledger, not by the engine.
  const looked = [...running.acked].filter(
    ([, at]) => at >= (first?.sequence ?? 0) && at <= (last?.sequence ?? 0),
  );
  const sum = (which: string) => looked.filter(([n]) => region(n) === which).length;
  expect(comparison.before).toEqual({ forward: sum("eu") + sum("us"), drop: sum("debug"), quarantine: 0 });
  expect(comparison.after).toEqual({ forward: sum("eu"), drop: sum("us") + sum("debug"), quarantine: 0 });
  expect(comparison.verdicts).toEqual({ "forward → drop": sum("us") });
  expect(comparison.outputs).toEqual({ events: sum("eu"), subject: 0, headers: 0, payload: sum("eu") });
  expect(comparison.subjects.map(({ pattern }) => pattern).sort()).toEqual([
    "acme.orders.eu.*",
    "acme.orders.us.*",
  ]);
  expect(comparison.subjects.reduce((total, one) => total + one.total, 0)).toBe(sum("eu") + sum("us"));
  expect(text).not.toContain(SECRET);

  const there = await mesh.site("austin").app("acme");
  const expected = [...running.acked.keys()].filter((n) => region(n) !== "debug").length;
  const events = await waitFor(
    async () => {
      const found = await readLog(there, "acme", "berlin.acme.>");
      return found.length >= expected ? found : null;
    },
    { deadlineMs: 30_000, what: `${expected} events at austin` },
  );
  expect(events.length).toBe(expected);
  expect(faults(events, running.acked)).toMatchObject({ repeated: [], reordered: 0 });
  expect(events.every((event) => event.body.email === "***")).toBe(true);
  await using own = await berlin.mesh();
  expect(await scanners(own.jsm, "out_acme")).toEqual([]);
}, 90_000);

test("samples show what leaves by each policy when they are asked for, and never the event", async () => {
  const stricter = [
    {
      ...ORDERS,
      redact: [
        { path: "$.email", with: "remove" },
        { path: "$.phone", with: "remove" },
      ],
    },
  ];
  const asked = await diff({ rules: stricter, last: 300, samples: true });
  expect(asked.text).not.toContain(SECRET);
  const sample = asked.report.comparison.rules.find((one) => one.changed > 0)?.samples[0];
  expect(JSON.parse(sample?.active?.dataText ?? "")).toEqual({
    n: expect.any(Number),
    email: "***",
    phone: expect.any(Number),
  });
  expect(JSON.parse(sample?.candidate?.dataText ?? "")).toEqual({ n: expect.any(Number) });

  // This one would let the address out: a report says so without it, and shows it only on demand.
  const wider = [{ subjects: ["acme.>"] }];
  const quiet = await diff({ rules: wider, last: 300 });
  expect(quiet.text).not.toContain(SECRET);
  expect(quiet.report.comparison).toMatchObject({
    events: 300,
    changed: 300,
    verdicts: { "drop → forward": 100 },
  });
  const loud = await diff({ rules: wider, last: 300, samples: true });
  for (const rule of loud.report.comparison.rules) {
    for (const { active, candidate } of rule.samples) {
      expect(active?.dataText ?? "").not.toContain(SECRET);
      expect(candidate?.dataText).toContain(SECRET);
    }
  }
}, 60_000);

test("a native export is compared too, by subject, and the range says what is gone", async () => {
  const running = await load("bolt", (n) => (n % 2 === 0 ? "bolt.telemetry.a" : "bolt.telemetry.b"));
  await waitFor(() => running.count > 2000, { deadlineMs: 30_000, what: "2000 events" });
  await running.stop();
  const path = "/v1/tenants/bolt/exports/all/diff";
  const body = { rules: [{ subjects: ["bolt.telemetry.a"] }], since: "1h" };
  const { report } = await diff(body, path);
  const odd = [...running.acked.keys()].filter((n) => n % 2 === 1).length;
  expect(report).toMatchObject({ activeKind: "native", candidateKind: "native", complete: true, notes: [] });
  expect(report.comparison).toMatchObject({
    events: running.count,
    verdicts: { "forward → drop": odd },
    subjects: [{ pattern: "bolt.telemetry.b", total: odd }],
  });

  // Rules that need a view: what they would change is seen before the route is moved.
  const rewritten = [{ subjects: ["bolt.telemetry.*"], rewrite: "bolt.shared.*" }];
  expect((await diff({ ...body, rules: rewritten }, path)).report).toMatchObject({
    candidateKind: "view",
    comparison: { outputs: { events: running.count, subject: running.count, headers: 0, payload: 0 } },
  });

  await using own = await mesh.site("berlin").mesh();
  await own.jsm.streams.purge("out_bolt", { seq: 1001 });
  const later = await diff({ ...body, since: undefined, last: running.count }, path);
  expect(later.report).toMatchObject({ first: { sequence: 1001 }, complete: true });
  expect(later.report.notes).toEqual([
    expect.stringMatching(/^the stream begins at 1001 \(.*\): 1000 of the events before it are gone$/),
  ]);
  const since = await diff(body, path);
  expect(since.report.notes).toEqual([expect.stringContaining("what was before it is gone")]);
  await own.jsm.streams.purge("out_bolt");
  expect((await diff(body, path)).report).toMatchObject({
    first: null,
    comparison: { events: 0 },
    notes: ["the stream holds no events"],
  });
}, 60_000);

test("a diff ends at its deadline with what it has, leaves nothing behind, and one runs at a time", async () => {
  const berlin = mesh.site("berlin");
  const body = { rules: [{ subjects: ["acme.none"] }], last: 100_000, deadline: "100ms" };
  const [one, other] = await Promise.all([
    berlin.api("POST", DIFF, body),
    berlin.api("POST", "/v1/tenants/bolt/exports/all/diff", { rules: [{ subjects: ["bolt.none"] }] }),
  ]);
  expect([one.status, other.status].sort()).toEqual([200, 409]);
  const cut = (await (one.status === 200 ? one : other).json()) as DiffDocument;
  if (one.status === 200) {
    expect(cut.complete).toBe(false);
    expect(cut.notes.at(-1)).toMatch(
      /^the deadline of 100ms came after \d+ events: later ones were not looked at$/,
    );
  }
  // Who goes away ends it, too.
  const gone = new AbortController();
  const url = `http://${berlin.file.api?.listen}${DIFF}`;
  const request = fetch(url, {
    method: "POST",
    signal: gone.signal,
    headers: { authorization: `Bearer ${berlin.token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...body, deadline: "60s" }),
  });
  await using own = await berlin.mesh();
  await waitFor(async () => (await scanners(own.jsm, "out_acme")).length === 1, { what: "the diff to run" });
  gone.abort();
  await expect(request).rejects.toThrow();
  await waitFor(async () => (await scanners(own.jsm, "out_acme")).length === 0, { what: "the diff to end" });
  const again = await diff({ rules: [{ subjects: ["acme.none"] }], last: 1 });
  expect(again.report.comparison.events).toBe(1);
}, 60_000);

test("rules that are not valid are refused with all problems, as the export itself would be", async () => {
  const rules = [
    { subjects: ["bolt.x"], when: "data." },
    { subjects: ["acme.a"], redact: [{ path: "email", with: "mask" }] },
  ];
  for (const [method, path] of [
    ["POST", DIFF],
    ["PUT", "/v1/tenants/acme/exports/eu/shadow"],
  ] as const) {
    const response = await mesh.site("berlin").api(method, path, { rules });
    const problem = (await response.json()) as { code: string; problems: { path: string }[] };
    expect([path, response.status, problem.code]).toEqual([path, 422, "policy_invalid"]);
    expect(problem.problems.map((one) => one.path).sort()).toEqual([
      "rules[0].subjects[0]",
      "rules[0].when",
      "rules[1].redact[0].path",
    ]);
  }
}, 60_000);

test("a diff and an explanation make no keys, and say where they show values of keys that are not there yet", async () => {
  const berlin = mesh.site("berlin");
  const keys = async () =>
    (await readdir(join(berlin.dataFolder, "keys"))).filter((name) => name.includes("_bolt."));
  const before = await keys();
  const rules = [{ subjects: ["bolt.telemetry.>"], redact: [{ path: "$.email", with: "pseudonym" }] }];
  const { report } = await diff({ rules, last: 10 }, "/v1/tenants/bolt/exports/all/diff");
  expect(report.notes.join()).toContain("bolt has no pseudonym key yet");
  const explained = await berlin.api("POST", "/v1/explain", { subject: "bolt.telemetry.x", data: {} });
  expect(await explained.json()).toMatchObject({ notes: [], peers: [{ outcome: "forward" }] });
  expect(before).toEqual([]);
  expect(await keys()).toEqual([]);
}, 60_000);
