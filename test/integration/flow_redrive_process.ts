/** A view's worker that redrives all dead letters, eight at a time, until there are none. To be killed. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { listDeadLetters } from "../../src/flow/dead_letters.ts";
import { forwardAll, startTestView, TENANT, until } from "./flow_support.ts";

const nc = await connect({ servers: process.argv[2] ?? "" });
const jsm = await jetstreamManager(nc);
const view = startTestView(nc, jsm, { decide: forwardAll, version: "v2" });
await until(() => view.stats().state === "running", "the view runs");
for (;;) {
  const { letters } = await listDeadLetters(jsm, TENANT, { limit: 8 });
  if (letters.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  else {
    const sequences = letters.map(({ sequence }) => sequence);
    await view.redrive(sequences, false).catch(() => undefined);
  }
}
