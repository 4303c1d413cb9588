/** What fills a tenant's log is taken out and put in again while events come: each is in the log once, in order. */
import { expect, test } from "bun:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { type ApplyContext, applyStep } from "../../src/control/apply.ts";
import { SourceWaits } from "../../src/control/source_waits.ts";
import { logStream, tenantApiPrefix } from "../../src/model/names.ts";
import { startPair } from "../support/mesh.ts";
import { pendingIn, readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const TIMES = 4;
const EVENTS_BETWEEN = 100;

test("a log whose sources are attached again holds every event once, in order", async () => {
  await using mesh = await startPair({ exports: [], imports: [] });
  const berlin = mesh.site("berlin");
  const { nc, jsm } = await berlin.mesh();
  const log = await jetstreamManager(nc, { apiPrefix: tenantApiPrefix("acme"), checkAPI: false });
  const app = await berlin.app("acme");
  const js = jetstream(app);
  let published = 0;
  let stopped = false;
  const publishing = (async () => {
    for (; !stopped; published++) await js.publish("acme.x", JSON.stringify({ n: published }));
  })();
  for (let i = 0; i < TIMES; i++) {
    const goal = published + EVENTS_BETWEEN;
    await waitFor(() => published >= goal, { deadlineMs: 20_000, what: "more events" });
    if (i % 2 === 0) {
      const { config } = await log.streams.info(logStream("acme"));
      await log.streams.update(logStream("acme"), { ...config, sources: [] });
      await log.streams.update(logStream("acme"), config);
    } else {
      // As is done for one that stands still.
      const waits = new SourceWaits(() => performance.now());
      const context = { site: "berlin", mesh: jsm, tenant: async () => log, log: () => {}, waits };
      await applyStep(context as unknown as ApplyContext, {
        type: "unstick-consumer",
        stream: "out_acme",
        consumer: "log_",
        by: "attach",
      });
    }
  }
  stopped = true;
  await publishing;
  await waitFor(async () => (await pendingIn(app, "acme", "berlin.acme.>")) >= published, {
    deadlineMs: 60_000,
    what: "all events in the log",
  });
  const events = await readLog(app, "acme", "berlin.acme.>");
  expect(events.map(({ n }) => n)).toEqual(Array.from({ length: published }, (_, i) => i));
}, 120_000);
