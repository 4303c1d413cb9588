/** A view's worker as a process of its own, for tests that kill it. Usage: bun flow_worker_process.ts <server url> */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { startView } from "../../src/flow/view_worker.ts";
import { decideBySubject, POLICY, SITE, TENANT } from "./flow_support.ts";

const nc = await connect({ servers: process.argv[2] ?? "", maxReconnectAttempts: -1, reconnectTimeWait: 50 });
startView({
  nc,
  jsm: await jetstreamManager(nc),
  site: SITE,
  tenant: TENANT,
  policy: POLICY,
  decide: decideBySubject,
  version: "v1",
  log: (message) => console.error(message),
});
