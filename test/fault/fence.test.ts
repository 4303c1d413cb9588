/**
 * A worker that stood still while another one took its view over writes nothing when it goes on. The same with a build that has no
 * fence: if that one passes, this test shows nothing.
 */
import { expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { viewStream } from "../../src/model/names.ts";
import {
  createStreams,
  POLICY,
  publishAll,
  readView,
  TENANT,
  TestServer,
  until,
} from "../integration/flow_support.ts";
import { endProcess } from "../support/end_process.ts";
import { brokenBuild } from "../support/faults/broken_build.ts";

const EVENTS = 8000;
/** Busy for so long with each event, so that a worker can be stopped in the middle. */
const DECIDE_US = "100";
const WITHIN_MS = 60_000;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));

const events = Array.from({ length: EVENTS }, (_, i) => ({ subject: `acme.o.${i % 5}`, data: `{"i":${i}}` }));

function spawnWorker(root: string, url: string): ChildProcess {
  const entry = join(root, "test/integration/flow_worker_process.ts");
  return spawn(process.execPath, [entry, url, DECIDE_US], { stdio: ["ignore", "ignore", "inherit"] });
}

const stored = async (jsm: JetStreamManager) =>
  (await jsm.streams.info(viewStream(TENANT, POLICY))).state.last_seq;

const held = async (jsm: JetStreamManager) => (await readView(jsm)).map(({ data }) => data);

/** Stops a worker in the middle, has another one go on, and lets the first one go on, too. @returns what the view then holds */
async function takeOver(root: string): Promise<readonly string[]> {
  await using server = await TestServer.start();
  const nc = await server.connect();
  const jsm = await jetstreamManager(nc);
  await createStreams(jsm);
  await publishAll(nc, events);
  const workers: ChildProcess[] = [];
  try {
    const first = spawnWorker(root, server.url);
    workers.push(first);
    await until(async () => (await stored(jsm)) > 0, "the first worker writes", WITHIN_MS);
    first.kill("SIGSTOP");
    const before = await stored(jsm);
    expect(before).toBeLessThan(EVENTS);
    workers.push(spawnWorker(root, server.url));
    await until(async () => (await stored(jsm)) > before, "the second worker writes", WITHIN_MS);
    first.kill("SIGCONT");
    await until(async () => (await stored(jsm)) >= EVENTS, "all is stored", WITHIN_MS);
    let last = 0;
    // Whoever has more to write does it now.
    await until(
      async () => {
        const now = await stored(jsm);
        const still = now === last;
        last = now;
        if (!still) return false;
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return (await stored(jsm)) === now && new Set(await held(jsm)).size === EVENTS;
      },
      "nobody writes, and all is there",
      WITHIN_MS,
    );
  } finally {
    await Promise.all(workers.map((child) => endProcess(child, "SIGKILL")));
  }
  return await held(jsm);
}

test("a worker that was stopped, and goes on beside the one that took over, writes nothing", async () => {
  expect(await takeOver(ROOT)).toEqual(events.map(({ data }) => data));
}, 240_000);

test("without the fence it would", async () => {
  await using build = await brokenBuild([
    {
      file: "src/nats/raw_frame.ts",
      from: "\\r\\nNats-Expected-Last-Sequence: ",
      to: "\\r\\nNote-Expected-Last-Sequence: ",
    },
  ]);
  const data = await takeOver(build.path);
  expect(data.length).toBeGreaterThan(EVENTS);
  expect(new Set(data).size).toBe(EVENTS);
}, 240_000);
