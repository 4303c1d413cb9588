/** A view's worker that redrives all dead letters, eight at a time, until there are none. To be killed. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { listDeadLetters } from "../../src/flow/dead_letters.ts";
import { startView } from "../../src/flow/view_worker.ts";
import { forwardAll, POLICY, SITE, TENANT, until } from "./flow_support.ts";

const nc = await connect({ servers: process.argv[2] ?? "" });
const jsm = await jetstreamManager(nc);
const view = startView({
  nc,
  jsm,
  site: SITE,
  tenant: TENANT,
  policy: POLICY,
  decide: forwardAll,
  version: "v2",
});
await until(() => view.stats().state === "running", "the view runs");
for (;;) {
  const { letters } = await listDeadLetters(jsm, TENANT, { limit: 8 });
  if (letters.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
  else {
    const sequences = letters.map(({ sequence }) => sequence);
    await view.redrive(sequences, false).catch(() => undefined);
  }
}
