/** Views in threads of their own: policies change, threads fail, and nothing is lost, repeated or forgotten. */
import { describe, expect, test } from "bun:test";
import type { ThreadReport, ViewTarget } from "../../src/flow/thread/messages.ts";
import type { Thread } from "../../src/flow/thread/supervisor.ts";
import { ViewWorkers } from "../../src/flow/view_runner.ts";
import { outStream, viewStream } from "../../src/model/names.ts";
import type { Redaction } from "../../src/model/schema/policy.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { policyVersion } from "../../src/policy/compile.ts";
import { POLICY, publishAll, readView, SITE, startFlowSite, TENANT, until } from "./flow_support.ts";

const KEY = `${TENANT}/${POLICY}`;
const target: ViewTarget = {
  key: KEY,
  tenant: TENANT,
  policy: POLICY,
  sourceStream: outStream(TENANT),
  viewStream: viewStream(TENANT, POLICY),
};

function policyOf(redact: Redaction[]) {
  const policy = { name: POLICY, to: ["austin"], rules: [{ subjects: [`${TENANT}.>`], redact }] };
  return { compile: { tenant: TENANT, policy }, version: policyVersion(policy) };
}
const SECRET_GONE = policyOf([{ path: "$.secret", with: "remove" }]);
const BOTH_GONE = policyOf([
  { path: "$.secret", with: "remove" },
  { path: "$.more", with: "remove" },
]);

/** A real worker of which the test can make fail what runs in it. */
function crashing(): {
  readonly spawn: () => Thread;
  readonly crash: () => void;
  readonly hang: () => void;
  readonly started: () => number;
} {
  const workers: Worker[] = [];
  const spawn = (): Thread => {
    const worker = new Worker(new URL("flow_crashing_thread.ts", import.meta.url).href, { type: "module" });
    workers.push(worker);
    return {
      postMessage: (request) => worker.postMessage(request),
      terminate: () => worker.terminate(),
      onReport: (report) =>
        worker.addEventListener("message", (event: MessageEvent<ThreadReport>) => report(event.data)),
      onFailure: (failed) =>
        worker.addEventListener("error", (event: ErrorEvent) => {
          event.preventDefault();
          failed(event.message);
        }),
    };
  };
  return {
    spawn,
    crash: () => workers.at(-1)?.postMessage({ type: "crash" }),
    hang: () => workers.at(-1)?.postMessage({ type: "hang" }),
    started: () => workers.length,
  };
}

function events(from: number, to: number) {
  return Array.from({ length: to - from }, (_, i) => ({
    subject: `${TENANT}.orders.${(from + i) % 7}`,
    data: JSON.stringify({ n: from + i, secret: "s", more: "m" }),
    id: `id-${from + i}`,
  }));
}

describe("views in threads", () => {
  test("a policy change says the last position of the policy before it", async () => {
    await using flow = await startFlowSite();
    const { server, nc, jsm } = flow;
    const connection = { site: SITE, server: server.url, seed: createSigningKey().seed() };
    await using workers = new ViewWorkers({ connection, log: () => {} });
    await workers.set(target, SECRET_GONE);
    await publishAll(nc, events(0, 300));
    await until(() => workers.stats().get(KEY)?.forwarded === 300, "the view holds the first events");
    const position = await workers.set(target, BOTH_GONE);
    expect(position).toBe(300);
    expect(workers.running().get(KEY)).toBe(BOTH_GONE.version);
    await publishAll(nc, events(300, 600));
    await until(() => workers.stats().get(KEY)?.forwarded === 600, "the view holds the later events");
    const stored = await readView(jsm);
    const expected = events(0, 600).map((_, n) => (n < 300 ? { n, more: "m" } : { n }));
    expect(stored.map((event) => JSON.parse(event.data))).toEqual(expected);
    expect(stored.map((event) => event.headers["Leafmesh-Policy"])).toEqual(
      expected.map((_, n) => (n < 300 ? SECRET_GONE : BOTH_GONE).version),
    );
    await workers.stop(KEY);
    expect(workers.stats().size).toBe(0);
  }, 30_000);

  test("a thread that fails is started again with the newest policy, and its view goes on where it is", async () => {
    await using flow = await startFlowSite();
    const { server, nc, jsm } = flow;
    const lines: string[] = [];
    const faulty = crashing();
    const connection = { site: SITE, server: server.url, seed: createSigningKey().seed() };
    await using workers = new ViewWorkers({
      connection,
      spawn: faulty.spawn,
      log: (line) => lines.push(line),
    });
    await workers.set(target, SECRET_GONE);
    let published = 0;
    for (let round = 1; round <= 3; round++) {
      await publishAll(nc, events(published, published + 500));
      published += 500;
      await until(() => (workers.stats().get(KEY)?.forwarded ?? 0) > published - 400, "events move");
      faulty.crash();
      await until(() => faulty.started() > round, "another thread is started");
    }
    await workers.set(target, BOTH_GONE);
    await publishAll(nc, events(published, published + 100));
    published += 100;
    await until(async () => (await readView(jsm)).length >= published, "the view holds all");
    const stored = await readView(jsm);
    expect(stored.map((event) => JSON.parse(event.data).n)).toEqual(events(0, published).map((_, n) => n));
    expect(stored.some((event) => event.data.includes("secret"))).toBe(false);
    expect(stored.at(-1)?.headers["Leafmesh-Policy"]).toBe(BOTH_GONE.version);
    expect(lines.filter((line) => line.includes("told to fail")).length).toBe(3);
    // Counts never go back, whatever became of the threads; what the last moment of one counted may be missing.
    const stats = workers.stats().get(KEY);
    expect(stats?.restarts).toBeGreaterThanOrEqual(3);
    await until(() => workers.stats().get(KEY)?.position === published, "the position is told");
  }, 60_000);

  test("a thread that answers no more is ended and started again, and says so", async () => {
    await using flow = await startFlowSite();
    const { server, nc, jsm } = flow;
    const lines: string[] = [];
    const faulty = crashing();
    const connection = { site: SITE, server: server.url, seed: createSigningKey().seed() };
    await using workers = new ViewWorkers({
      connection,
      spawn: faulty.spawn,
      log: (line) => lines.push(line),
      hangMs: 4_000,
    });
    await workers.set(target, SECRET_GONE);
    await publishAll(nc, events(0, 500));
    await until(() => (workers.stats().get(KEY)?.forwarded ?? 0) > 100, "events move");
    faulty.hang();
    await publishAll(nc, events(500, 1_000));
    await until(() => workers.stats().get(KEY)?.position === 1_000, "another thread goes on");
    expect(faulty.started()).toBeGreaterThanOrEqual(2);
    expect(lines.some((line) => line.includes("it answers no more"))).toBe(true);
    expect((await readView(jsm)).map((event) => JSON.parse(event.data).n)).toEqual(
      events(0, 1_000).map((_, n) => n),
    );
  }, 60_000);
});
