import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { writeDeadLetter } from "../../src/flow/dead_letter_writer.ts";
import { listDeadLetters, removeDeadLetters } from "../../src/flow/dead_letters.ts";
import { RedriveJobs, type RedriveJobsOptions } from "../../src/flow/redrive_jobs.ts";
import type { Redriven } from "../../src/flow/redrive_queue.ts";
import { LeafmeshError } from "../../src/model/errors.ts";
import { createStreams, TENANT, TestServer, until } from "./flow_support.ts";

const LETTERS = 30;
const FORWARDED: Redriven = { type: "forwarded" };
let server: TestServer;
let jsm: JetStreamManager;

beforeAll(async () => {
  server = await TestServer.start();
  const nc = await server.connect();
  jsm = await jetstreamManager(nc);
  await createStreams(jsm);
  for (let n = 1; n <= LETTERS; n++) {
    const event = {
      subject: `acme.${n % 2 === 0 ? "even" : "odd"}`,
      headers: new Uint8Array(0),
      data: new Uint8Array(n),
      origin: "tokyo",
      timeMs: n,
      sequence: n,
    };
    const rule = { policy: n <= 20 ? "eu" : "us", index: 0, name: n % 3 === 0 ? "third" : "#1" };
    const reason = n % 5 === 0 ? "header_invalid" : "payload_not_json";
    await writeDeadLetter(
      nc,
      { event, rule, reason, error: "x", version: "v1", epoch: "e" },
      { timeoutMs: 5000 },
    );
  }
});
afterAll(async () => await server[Symbol.asyncDispose]());

type Redrive = RedriveJobsOptions["redrive"];
function jobs(redrive: Redrive, more: Partial<RedriveJobsOptions> = {}) {
  return new RedriveJobs({ jsm, redrive, log: () => undefined, ...more });
}
const ALL = { filter: {}, dryRun: false, rate: 10_000 };

async function run(redrive: Redrive, request: Partial<typeof ALL> & { sequence?: number } = {}, more = {}) {
  await using made = jobs(redrive, more);
  const { id } = await made.start(TENANT, { ...ALL, ...request });
  return await made.get(TENANT, id, 20_000);
}

describe("the filter of dead letters", () => {
  const sequences = async (query: Parameters<typeof listDeadLetters>[2]) =>
    (await listDeadLetters(jsm, TENANT, query)).letters.map(({ position }) => position);

  test("selects by subject, policy, rule, reason and time, in pages", async () => {
    expect(await sequences({ policy: "us", subject: "acme.odd" })).toEqual([21, 23, 25, 27, 29]);
    expect(await sequences({ rule: "third", reason: "header_invalid" })).toEqual([15, 30]);
    expect(await sequences({ sinceMs: Date.now() + 60_000 })).toEqual([]);
    const [first] = (await listDeadLetters(jsm, TENANT, { limit: 1 })).letters;
    expect(await sequences({ sinceMs: Date.parse(first?.time ?? ""), limit: 100 })).toHaveLength(LETTERS);
    const page = await listDeadLetters(jsm, TENANT, { limit: 2, subject: "acme.even" });
    expect(page.letters.map(({ position }) => position)).toEqual([2, 4]);
    expect(await sequences({ limit: 2, subject: "acme.even", after: page.next ?? 0 })).toEqual([6, 8]);
    expect(await removeDeadLetters(jsm, TENANT, { policy: "us" }, { dryRun: true })).toBe(10);
    expect(await sequences({ limit: 100 })).toHaveLength(LETTERS);
    expect(sequences({ subject: "acme..x" })).rejects.toThrow("Subject 'acme..x' has an empty token");
  });
});

describe("RedriveJobs", () => {
  test("hand the letters of each policy to its view, oldest first, no faster than the rate", async () => {
    const asked: { policy: string; sequences: readonly number[] }[] = [];
    const startedAt = performance.now();
    const report = await run(
      async (_tenant, policy, sequences) => {
        asked.push({ policy, sequences });
        return sequences.map(() => FORWARDED);
      },
      { rate: 50 },
    );
    expect(report).toMatchObject({
      state: "done",
      done: LETTERS,
      forwarded: LETTERS,
      dropped: 0,
      kept: 0,
      error: null,
    });
    expect(asked.flatMap(({ sequences }) => sequences)).toEqual(
      Array.from({ length: LETTERS }, (_, i) => i + 1),
    );
    expect(
      asked.every(({ policy, sequences }) => sequences.every((one) => policy === (one <= 20 ? "eu" : "us"))),
    ).toBe(true);
    // The last five go when the 25 before them are due.
    expect(performance.now() - startedAt).toBeGreaterThan(490);
    expect(report.samples).toHaveLength(10);
  });

  test("ask again for what is not known, and count what is gone then as forwarded", async () => {
    let calls = 0;
    const report = await run(
      async (_tenant, _policy, sequences) => {
        calls++;
        if (calls === 1) throw new LeafmeshError("conflict", "View 'eu' is starting");
        if (calls === 2) return sequences.map((_, i) => (i % 2 === 0 ? FORWARDED : null));
        return sequences.map(() => ({ type: "gone" }) as const);
      },
      { filter: { policy: "eu" } },
    );
    expect(report).toMatchObject({ state: "done", done: 20, forwarded: 20 });
  });

  test("leave out what somebody has removed, keep what has no view", async () => {
    const report = await run(async (_tenant, policy, sequences) => {
      if (policy === "us") throw new LeafmeshError("not_found", "Export 'us' has no view");
      return sequences.map(() => ({ type: "gone" }) as const);
    });
    expect(report).toMatchObject({ state: "done", done: 10, forwarded: 0, kept: 10 });
    expect(report.samples[0]).toMatchObject({
      outcome: "keep",
      reason: "no_view",
      error: "Export 'us' has no view",
    });
  });

  test("fail when a view does not come back in time", async () => {
    const report = await run(
      async () => {
        throw new LeafmeshError("conflict", "View 'eu' is stalled: the dead-letter stream is full");
      },
      {},
      { patienceMs: 300 },
    );
    expect(report).toMatchObject({ state: "failed", done: 0 });
    expect(report.error).toBe("View 'eu' is stalled: the dead-letter stream is full");
  });

  test("run one at a time, and end when they are told to", async () => {
    await using made = jobs(async (_tenant, _policy, sequences) => sequences.map(() => FORWARDED));
    const { id } = await made.start(TENANT, { ...ALL, rate: 1 });
    await until(async () => (await made.get(TENANT, id)).done > 0, "the first is redriven");
    expect(made.start(TENANT, ALL)).rejects.toThrow(`Redrive ${id} of tenant 'acme' still runs`);
    made.cancel(TENANT, id);
    const ended = await made.get(TENANT, id, 10_000);
    expect(ended.state).toBe("canceled");
    expect(ended.done).toBeLessThan(LETTERS);
    expect(made.get(TENANT, "nope")).rejects.toThrow("Tenant 'acme' has no redrive 'nope'");
    expect(made.start(TENANT, { ...ALL, sequence: 999 })).rejects.toThrow("has no dead letter 999");
    const one = await made.start(TENANT, { ...ALL, sequence: 7 });
    expect(await made.get(TENANT, one.id, 10_000)).toMatchObject({ state: "done", forwarded: 1 });
    expect(made.list(TENANT).map((report) => report.id)).toEqual([one.id, id]);
  });
});
