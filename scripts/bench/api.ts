/**
 * How fast the API answers while a view moves events as fast as it can: a real sidecar as a process of its own, with its
 * embedded nats-server, a tenant with a backlog and a policy with two redactions. `/healthz` is asked by four clients
 * from when the backlog is there until the view has worked it off.
 *
 *   bun scripts/bench/api.ts [--json] [--events 200000] [--sync always]
 */
import { parseArgs } from "node:util";
import { outStream, viewStream } from "../../src/model/names.ts";
import { startMesh } from "../../test/support/mesh.ts";
import { waitFor } from "../../test/support/wait_for.ts";
import { fill } from "./events.ts";

const SITE = "berlin";
const TENANT = "acme";
const POLICY = "orders";
const CLIENTS = 4;

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    events: { type: "string", default: "200000" },
    sync: { type: "string", default: "2m" },
  },
});
const events = Number(values.events);
const rules = [
  {
    subjects: [`${TENANT}.orders.*.v1`],
    redact: [
      { path: "$.customer.email", with: "mask" as const, keep: "domain" as const },
      { path: "$..phone", with: "remove" as const },
    ],
  },
];

await using mesh = await startMesh({
  sites: { [SITE]: ["austin"], austin: [] },
  tenants: () => [{ tenant: TENANT }],
  edit: (file) => ({ ...file, server: { ...file.server, sync: values.sync } }),
});
const site = mesh.site(SITE);
await using inside = await site.mesh();
/** Milliseconds that each answer took. */
const times: number[] = [];
const url = `http://${site.file.api?.listen}/healthz`;
const stored = async () => {
  const info = await inside.jsm.streams.info(viewStream(TENANT, POLICY)).catch(() => null);
  return info?.state.messages ?? 0;
};

await site.put(`/v1/tenants/${TENANT}/exports/${POLICY}`, { name: POLICY, to: ["austin"], rules });
// Filled faster than the view can follow: from then on it works off a backlog.
await fill(inside.nc, inside.jsm, outStream(TENANT), `${SITE}.${TENANT}.`, events);
await waitFor(async () => (await stored()) > 0, { what: "the first event in the view", pollMs: 5 });
const from = await stored();
const startedAt = performance.now();
const deadline = startedAt + 120_000;
let done = false;
const ask = async () => {
  while (!done) {
    const sentAt = performance.now();
    const answer = await fetch(url);
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`/healthz answered ${answer.status}`);
    times.push(performance.now() - sentAt);
    // About 250 questions a second in all: to measure the API, not to load it.
    await Bun.sleep(4 * CLIENTS);
  }
};
const watch = async () => {
  while ((await stored()) < events && performance.now() < deadline) await Bun.sleep(100);
  done = true;
};
await Promise.all([watch(), ...Array.from({ length: CLIENTS }, ask)]);
const moved = (await stored()) - from;
if (moved + from < events) throw new Error(`The view holds ${moved + from} of ${events}`);

times.sort((left, right) => left - right);
const quantile = (q: number) => Number((times[Math.floor((times.length - 1) * q)] ?? Number.NaN).toFixed(2));
console.log(
  JSON.stringify({
    p50: quantile(0.5),
    p99: quantile(0.99),
    max: quantile(1),
    requests: times.length,
    eventsPerSecond: Math.round((moved * 1000) / (performance.now() - startedAt)),
  }),
);
