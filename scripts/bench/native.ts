/**
 * How fast a native route catches up over a leaf link, beside a bare stream source over the same kind of link.
 *
 * Ours: the configuration, streams, consumer and source that a site really has (LINK accounts, durable flow-control
 * consumer, three transforms, republish). Republished: a plain external source with the same republish, one account, one
 * leaf link. Bare: the same without republish. Rates are taken from the servers' own timestamps of the first and the
 * last stored event; runs alternate; the ratio is the median over the pairs of runs.
 *
 * Stores lie in the temporary folder. By default they are flushed as nats-server does by itself (every two minutes), on all
 * sides alike: the software is measured, not the disk. `--sync always` flushes at every event, as a site does by default;
 * then the disk bounds all sides.
 *
 *   bun scripts/bench/native.ts [--json] [--events 300000] [--runs 5] [--sync always]
 */
import { parseArgs } from "node:util";
import {
  type ConsumerConfig,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
} from "@nats-io/jetstream";
import { importSource, inSpec, outSpec, peerConsumerSpec } from "../../src/control/assets.ts";
import { planExports, planOutRoutes } from "../../src/control/routes.ts";
import { outStream } from "../../src/model/names.ts";
import { parseDurationMs } from "../../src/model/units.ts";
import { startSites } from "../../test/support/sites.ts";
import { nearSource, startBarePair } from "./bare_pair.ts";
import { fill, storedRate } from "./events.ts";
import { median, pairedRatio } from "./server.ts";

const TENANT = "acme";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    events: { type: "string", default: "300000" },
    runs: { type: "string", default: "5" },
    sync: { type: "string", default: "2m" },
    links: { type: "string", default: "plain" },
  },
});
const events = Number(values.events);
const runs = Number(values.runs);
const sync = values.sync === "always" ? "always" : parseDurationMs(values.sync);
if (sync === null) throw new Error(`--sync ${values.sync}: expected always, or a duration such as 2m`);
const say = (text: string) => {
  if (!values.json) console.log(text);
};

const exports = [{ name: "orders", to: ["austin"], rules: [{ subjects: [`${TENANT}.orders.>`] }] }];
const imports = [{ from: "tokyo", subjects: [`${TENANT}.orders.>`] }];
await using sites = await startSites({
  sites: {
    tokyo: { tenants: [{ tenant: TENANT, exports }] },
    austin: { tenants: [{ tenant: TENANT, imports }] },
  },
  links: [["austin", "tokyo"]],
  // The bare link that it is compared with is plain; --links tls says what TLS costs.
  mode: values.links === "tls" ? "tls" : "plain",
  sync,
});
const tokyo = sites.site("tokyo");
const austin = sites.site("austin");
const tokyoJsm = await jetstreamManager(tokyo.mesh);
const austinJsm = await jetstreamManager(austin.mesh);
const source = outStream(TENANT);

const [fromTenant] = tokyo.desired.tenants;
const [toTenant] = austin.desired.tenants;
const [outRoute] = planOutRoutes(tokyo.desired, planExports(tokyo.desired), new Map());
const policy = toTenant?.imports[0];
if (fromTenant === undefined || toTenant === undefined || outRoute === undefined || policy === undefined) {
  throw new Error("The sites have no route");
}
const inRoute = { tenant: toTenant, policy, peer: "tokyo", origin: "tokyo", offer: null, why: null };
const inbound = inSpec(toTenant, true, [importSource("austin", inRoute, source)]);
await tokyoJsm.streams.add(outSpec("tokyo", fromTenant) as StreamConfig);
await fill(tokyo.mesh, tokyoJsm, source, `tokyo.${TENANT}.`, events);

await using pair = await startBarePair({
  sync: values.sync,
  links: values.links === "tls" ? "tls" : "plain",
});
const { near, far } = pair;
const nearConnection = await near.connect();
const nearJsm = await jetstreamManager(nearConnection);
const farJsm = await jetstreamManager(await far.connect());
await nearJsm.streams.add(outSpec("tokyo", fromTenant) as StreamConfig);
await fill(nearConnection, nearJsm, source, `tokyo.${TENANT}.`, events);

async function sourced(
  jsm: JetStreamManager,
  spec: Partial<StreamConfig> & { name: string },
): Promise<number> {
  await jsm.streams.add(spec as StreamConfig);
  const rate = await storedRate(jsm, spec.name, events);
  await jsm.streams.delete(spec.name);
  return rate;
}

async function ours(): Promise<number> {
  await tokyoJsm.consumers.add(
    source,
    peerConsumerSpec("tokyo", outRoute as NonNullable<typeof outRoute>) as ConsumerConfig,
  );
  const rate = await sourced(austinJsm, inbound);
  await tokyoJsm.consumers.delete(source, "austin");
  return rate;
}

const { republish, sources: _sources, ...kept } = inbound;
const bareSpec = { ...kept, sources: [nearSource(source)] } as unknown as Partial<StreamConfig> & {
  name: string;
};

const republishedSpec = { ...bareSpec, republish } as Partial<StreamConfig> & { name: string };
// A first run of each fills caches and is not counted.
await ours();
await sourced(farJsm, republishedSpec);
const rates: Record<"ours" | "republished" | "bare", number[]> = { ours: [], republished: [], bare: [] };
for (let run = 0; run < runs; run++) {
  const both = [
    async () => rates.ours.push(await ours()),
    async () => rates.republished.push(await sourced(farJsm, republishedSpec)),
  ];
  // Each goes first as often as the other.
  for (const one of run % 2 === 0 ? both : both.reverse()) await one();
  rates.bare.push(await sourced(farJsm, bareSpec));
  const last = (name: keyof typeof rates) => Math.round(rates[name][run] ?? 0);
  say(`run ${run + 1}: ours ${last("ours")}/s, republished ${last("republished")}/s, bare ${last("bare")}/s`);
}
console.log(
  JSON.stringify({
    ratio: pairedRatio(rates.ours, rates.republished),
    ours: Math.round(median(rates.ours)),
    republished: Math.round(median(rates.republished)),
    bare: Math.round(median(rates.bare)),
  }),
);
