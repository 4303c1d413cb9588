/**
 * What reading a view's source costs the server, by the filters of the reader and how many different subjects there are. The
 * reader is the one of a view's session; nothing is decided. CPU times of the server are taken from the kernel, so that other
 * work on the machine matters little; cases take turns.
 *
 *   bun scripts/bench/reader.ts [--json] [--events 60000] [--runs 3]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { jetstreamManager } from "@nats-io/jetstream";
import { PullReader } from "../../src/flow/pull_reader.ts";
import { createReader } from "../../src/flow/source_reader.ts";
import { FencedWriter } from "../../src/nats/fenced_writer.ts";
import { payload } from "./events.ts";
import { benchFolder, freePort, median, startServer } from "./server.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    events: { type: "string", default: "60000" },
    runs: { type: "string", default: "3" },
  },
});
const events = Number(values.events);
const runs = Number(values.runs);
const SUBJECTS = [10, 1_700];
/** Subjects are `berlin.acme.a.<n>` and `.b.<n>`, half each, and one in ten `.c.<n>`. */
const FILTERS: Readonly<Record<string, readonly string[]>> = {
  none: [],
  "one, of half": ["berlin.acme.a.>"],
  "two, of nearly all": ["berlin.acme.a.>", "berlin.acme.b.>"],
  "two, of a half and a tenth": ["berlin.acme.a.>", "berlin.acme.c.>"],
  "two, of a twentieth and a tenth": ["berlin.acme.a.1.>", "berlin.acme.c.>"],
};

using folder = benchFolder();
const port = await freePort();
await using server = await startServer(
  folder.path,
  "site",
  port,
  `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder.path}/js" }\n`,
);
const nc = await server.connect();
const jsm = await jetstreamManager(nc);

async function fillStream(name: string, subjects: number): Promise<void> {
  await jsm.streams.add({ name, subjects: [`${name}.acme.>`] });
  const encoder = new TextEncoder();
  await new Promise<void>((resolve, reject) => {
    let next = 0;
    const pump = () => {
      while (writer.ready && next < events) {
        const n = Math.floor(next / 20) % Math.ceil(subjects / 20);
        const kind = next % 10 === 9 ? "c" : next % 2 === 0 ? "a" : "b";
        const head = encoder.encode("\r\n");
        writer.append({
          subject: encoder.encode(`${name}.acme.${kind}.${next % 20}.${n}`),
          head,
          headTo: 0,
          tail: head,
          tailFrom: 0,
          data: encoder.encode(payload(next)),
        });
        next++;
      }
    };
    const writer = new FencedWriter({
      nc,
      lastSequence: 0,
      onReady: pump,
      onStored: (stored) => {
        if (stored < events) return;
        writer.close();
        resolve();
      },
      onFailed: (failure) => reject(new Error(`${failure.type}: ${failure.message}`)),
    });
    pump();
  });
}

/** Seconds of processor time that the server has had. */
function cpuSeconds(): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function readAll(
  stream: string,
  filters: readonly string[],
): Promise<{ us: number; rate: number; read: number }> {
  const streams = { sourceStream: stream, viewStream: "", consumer: "view_bench" };
  const consumer = await createReader(jsm, streams, { after: 0, filters });
  const { num_pending } = await jsm.consumers.info(stream, consumer);
  const [cpu, start] = [cpuSeconds(), performance.now()];
  let read = 0;
  await new Promise<void>((resolve, reject) => {
    const reader = new PullReader({
      nc,
      stream,
      consumer,
      batch: () => 2_000,
      maxBytes: () => 4 * 1024 * 1024,
      buffered: () => 0,
      onMessage: () => {
        if (++read >= num_pending) {
          reader.stop();
          resolve();
        } else reader.refill();
      },
      onEnd: (reason) => reject(new Error(reason)),
    });
  });
  const seconds = (performance.now() - start) / 1_000;
  const us = ((cpuSeconds() - cpu) * 1e6) / read;
  await jsm.consumers.delete(stream, consumer);
  return { us, rate: read / seconds, read };
}

const rows: object[] = [];
for (const subjects of SUBJECTS) {
  const stream = `s${subjects}`;
  await fillStream(stream, subjects);
  const found = new Map<string, { us: number; rate: number; read: number }[]>();
  for (let run = 0; run < runs; run++) {
    for (const [name, filters] of Object.entries(FILTERS)) {
      const own = filters.map((filter) => filter.replace("berlin", stream));
      found.set(name, [...(found.get(name) ?? []), await readAll(stream, own)]);
    }
  }
  const { state } = await jsm.streams.info(stream, { subjects_filter: ">" });
  for (const [name, results] of found) {
    const us = median(results.map((one) => one.us));
    const rate = median(results.map((one) => one.rate));
    rows.push({ subjects: state.num_subjects, filters: name, read: results[0]?.read, us, rate });
    if (!values.json) {
      console.log(
        `${state.num_subjects} subjects, filters: ${name}: ${us.toFixed(1)} us of the server for each of ${results[0]?.read} events, ${Math.round(rate)}/s`,
      );
    }
  }
}
if (values.json) console.log(JSON.stringify({ events, runs, rows }));
