/**
 * A view's worker as a process of its own, for tests that kill or stop it.
 * Usage: bun flow_worker_process.ts <server url> [<microseconds to be busy with each event>]
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startView } from "../../src/flow/view_worker.ts";
import type { Decision, MeshEvent } from "../../src/model/event.ts";
import { decideBySubject, POLICY, SITE, TENANT } from "./flow_support.ts";

const busyMs = Number(process.argv[3] ?? 0) / 1000;

function decide(event: MeshEvent): Decision {
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  return decideBySubject(event);
}

const nc = await connect({ servers: process.argv[2] ?? "", maxReconnectAttempts: -1, reconnectTimeWait: 50 });
startView({
  nc,
  jsm: await jetstreamManager(nc),
  site: SITE,
  tenant: TENANT,
  policy: POLICY,
  decide,
  version: "v1",
  log: (message) => console.error(message),
});
