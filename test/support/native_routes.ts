/** The streams and consumers of native routes, made by hand: what the sidecars' plan makes, for tests below it. */
import { jetstreamManager } from "@nats-io/jetstream";
import { importSource } from "../../src/control/assets.ts";
import { desiredTenant } from "../../src/model/desired.ts";
import {
  deliverSubject,
  inStream,
  LOG_API_PREFIX,
  LOG_CONSUMER,
  logDeliverSubject,
  logStream,
  outStream,
  peerConsumer,
  storedSubject,
  tenantApiPrefix,
  tenantSubjects,
} from "../../src/model/names.ts";
import type { TestSite } from "./sites.ts";

/** The out, in and log streams of a tenant at one site. */
export async function makeTenantStreams(site: TestSite, tenant: string): Promise<void> {
  const mesh = await jetstreamManager(site.mesh);
  const halves = [outStream(tenant), inStream(tenant, true)];
  const num_replicas = site.desired.replicas ?? 1;
  await mesh.streams.add({
    name: outStream(tenant),
    subjects: [storedSubject(site.name, tenantSubjects(tenant))],
    duplicate_window: 120e9,
    allow_batched: true,
    num_replicas,
  });
  await mesh.streams.add({
    name: inStream(tenant, true),
    sources: [],
    num_replicas,
    republish: { src: `*.${tenantSubjects(tenant)}`, dest: tenantSubjects(tenant) },
  });
  for (const half of halves) {
    await mesh.consumers.add(half, sourced(LOG_CONSUMER, logDeliverSubject(tenant, half)));
  }
  const log = await jetstreamManager(site.mesh, { apiPrefix: tenantApiPrefix(tenant), checkAPI: false });
  await log.streams.add({
    name: logStream(tenant),
    num_replicas,
    sources: halves.map((name) => ({
      name,
      external: { api: LOG_API_PREFIX, deliver: "" },
      consumer: { name: LOG_CONSUMER, deliver_subject: logDeliverSubject(tenant, name) },
    })),
  });
}

/** Lets `to` have the subjects of `tenant` that `filters` names (tenant subjects). */
export async function makeExport(
  from: TestSite,
  to: string,
  tenant: string,
  filters: readonly string[],
): Promise<void> {
  const mesh = await jetstreamManager(from.mesh);
  const deliver = deliverSubject(from.name, to, outStream(tenant));
  await mesh.consumers.add(outStream(tenant), {
    ...sourced(peerConsumer(to), deliver),
    filter_subjects: filters.map((filter) => storedSubject(from.name, filter)),
  });
}

/** Has `at` source the tenant's events from each of `peers`, under their own origin whatever they send. */
export async function makeImport(at: TestSite, peers: readonly string[], tenant: string): Promise<void> {
  const mesh = await jetstreamManager(at.mesh);
  const { config } = await mesh.streams.info(inStream(tenant, true));
  config.sources = peers.map((peer) => {
    const policy = { from: peer, subjects: [tenantSubjects(tenant)] };
    const route = { tenant: desiredTenant({ tenant }), policy, peer, origin: peer, offer: null, why: null };
    return importSource(at.name, route, outStream(tenant));
  });
  await mesh.streams.update(inStream(tenant, true), config);
}

/** A durable push consumer that another stream sources from (ADR-60). */
function sourced(name: string, deliver: string) {
  return {
    durable_name: name,
    deliver_subject: deliver,
    // The client's types do not know this policy yet.
    ack_policy: "flow_control" as "explicit",
    flow_control: true,
    idle_heartbeat: 1e9,
    max_ack_pending: 65_536,
    max_deliver: -1,
  };
}
