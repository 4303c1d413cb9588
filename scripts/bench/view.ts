/**
 * How fast a view is filled, beside the server's own local copy of the same events.
 *
 * Ours: the worker and the policy engine as the sidecar runs them, two redactions a event. Local copy: a stream that
 * sources the same stored events on the same server with the same settings. Rates are taken from the servers' own
 * timestamps of the first and the last stored event; runs alternate; the ratio is the median over the pairs of runs.
 *
 * Stores lie in the temporary folder. By default they are flushed as nats-server does by itself (every two minutes), on all
 * sides alike: the software is measured, not the disk. `--sync always` flushes at every event, as a site does by default;
 * then the disk bounds all sides.
 *
 *   bun scripts/bench/view.ts [--json] [--events 200000] [--runs 5] [--sync always]
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type ConsumerConfig, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { viewConsumerSpec, viewSpec } from "../../src/control/assets.ts";
import { type ExportPlan, planExports } from "../../src/control/routes.ts";
import { startView } from "../../src/flow/view_worker.ts";
import { desiredTenant } from "../../src/model/desired.ts";
import { outStream, storedSubject, tenantSubjects, viewConsumer, viewStream } from "../../src/model/names.ts";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import { nanos } from "../../src/model/units.ts";
import { compilePolicy } from "../../src/policy/compile.ts";
import { decide } from "../../src/policy/decide.ts";
import { fill, storedRate } from "./events.ts";
import { benchFolder, freePort, median, pairedRatio, startServer } from "./server.ts";

const SITE = "tokyo";
const TENANT = "acme";
const POLICY = "eu-orders";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    events: { type: "string", default: "200000" },
    runs: { type: "string", default: "5" },
    sync: { type: "string", default: "2m" },
  },
});
const events = Number(values.events);
const runs = Number(values.runs);
const say = (text: string) => {
  if (!values.json) console.log(text);
};

using folder = benchFolder();
const port = await freePort();
await using server = await startServer(
  folder.path,
  "site",
  port,
  `server_name: ${SITE}\nlisten: "127.0.0.1:${port}"\nfeature_flags { js_ack_fc_v2: true }\n` +
    `jetstream { store_dir: "${folder.path}/js", domain: ${SITE}, sync_interval: "${values.sync}" }\n`,
);
const nc = await server.connect();
const jsm = await jetstreamManager(nc);
await jsm.streams.add({
  name: outStream(TENANT),
  subjects: [storedSubject(SITE, tenantSubjects(TENANT))],
  duplicate_window: nanos(120_000),
  allow_batched: true,
} as StreamConfig & { name: string });
await fill(nc, jsm, outStream(TENANT), `${SITE}.${TENANT}.`, events);

const exported: ExportPolicy = {
  name: POLICY,
  to: ["austin"],
  rules: [
    {
      subjects: [`${TENANT}.orders.*.v1`],
      redact: [
        { path: "$.customer.email", with: "mask", keep: "domain" },
        { path: "$..phone", with: "remove" },
      ],
    },
  ],
};
const compiled = compilePolicy({ tenant: TENANT, policy: exported });
const tenant = desiredTenant({ tenant: TENANT, exports: [exported] });
const [plan] = planExports({ site: SITE, peers: [], tenants: [tenant] }) as [ExportPlan];

/** CPU milliseconds that this process and the server have used. */
function cpuMs(): { readonly worker: number; readonly server: number } {
  const { user, system } = process.cpuUsage();
  const fields = readFileSync(`/proc/${server.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return { worker: (user + system) / 1000, server: (Number(fields[11]) + Number(fields[12])) * 10 };
}

async function measured(name: string, run: () => Promise<number>): Promise<number> {
  const before = cpuMs();
  const rate = await run();
  const after = cpuMs();
  const used = (key: "worker" | "server") => Math.round(after[key] - before[key]);
  say(`  ${name}: ${Math.round(rate)}/s, CPU worker ${used("worker")} ms, server ${used("server")} ms`);
  return rate;
}

async function ours(): Promise<number> {
  await jsm.streams.add(viewSpec(SITE, plan) as StreamConfig);
  await jsm.consumers.add(outStream(TENANT), viewConsumerSpec(plan) as ConsumerConfig);
  const view = startView({
    nc,
    jsm,
    site: SITE,
    tenant: TENANT,
    policy: POLICY,
    decide: (event) => decide(compiled, event),
    version: compiled.version,
    log: say,
  });
  const rate = await storedRate(jsm, viewStream(TENANT, POLICY), events);
  await view.stop();
  const { redactedValues } = view.stats();
  if (redactedValues !== 2 * events)
    throw new Error(`${redactedValues} values were redacted of ${2 * events}`);
  await jsm.consumers.delete(outStream(TENANT), viewConsumer(POLICY));
  await jsm.streams.delete(viewStream(TENANT, POLICY));
  return rate;
}

async function localCopy(): Promise<number> {
  await jsm.streams.add({ name: "copy", sources: [{ name: outStream(TENANT) }] } as StreamConfig & {
    name: string;
  });
  const rate = await storedRate(jsm, "copy", events);
  await jsm.streams.delete("copy");
  return rate;
}

const oursRates: number[] = [];
const copyRates: number[] = [];
for (let run = 0; run < runs; run++) {
  const pair = [
    async () => oursRates.push(await measured("view", ours)),
    async () => copyRates.push(await measured("local copy", localCopy)),
  ];
  // Each goes first as often as the other.
  for (const one of run % 2 === 0 ? pair : pair.reverse()) await one();
}
console.log(
  JSON.stringify({
    ratio: pairedRatio(oursRates, copyRates),
    ours: Math.round(median(oursRates)),
    localCopy: Math.round(median(copyRates)),
  }),
);
