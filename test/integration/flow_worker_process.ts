/**
 * A view's worker as a process of its own, for tests that kill or stop it.
 * Usage: bun flow_worker_process.ts <server url> [<microseconds to be busy with each event>]
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { Decision, MeshEvent } from "../../src/model/event.ts";
import { decideBySubject, startTestView } from "./flow_support.ts";

const busyMs = Number(process.argv[3] ?? 0) / 1000;

function decide(event: MeshEvent): Decision {
  const end = performance.now() + busyMs;
  while (performance.now() < end);
  return decideBySubject(event);
}

const nc = await connect({ servers: process.argv[2] ?? "", maxReconnectAttempts: -1, reconnectTimeWait: 50 });
startTestView(nc, await jetstreamManager(nc), { decide, log: (message) => console.error(message) });
