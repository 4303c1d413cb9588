/**
 * A consumer that counts its deliveries anew while somebody is attached: nothing may be passed over. Events come one by one, with
 * no second without one: nobody is told by a heartbeat that the count is another one.
 */
import { expect, test } from "bun:test";
import { type JetStreamClient, type JetStreamManager, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { type ApplyContext, applyStep } from "../../src/control/apply.ts";
import { Attachments } from "../../src/control/attachments.ts";
import { type LetGoOptions, letGo } from "../../src/control/let_go.ts";
import { sleep } from "../../src/nats/wait.ts";
import { type MeshSite, startPair } from "../support/mesh.ts";
import { pendingIn, readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

/** So many are acknowledged before: as many would be passed over. */
const BEFORE = 40;
const AFTER = 160;
const PAUSE_MS = 15;
const SOON = { deadlineMs: 40_000, pollMs: 50 };

/** Publishes one by one; `meanwhile` is done after the first of them. */
class Trickle {
  count = 0;
  readonly #app: NatsConnection;

  constructor(app: NatsConnection) {
    this.#app = app;
  }

  async publish(events: number, pauseMs: number): Promise<void> {
    const js = jetstream(this.#app);
    for (let i = 0; i < events; i++) {
      await this.#stored(js, JSON.stringify({ n: this.count }));
      this.count++;
      if (pauseMs > 0) await sleep(pauseMs);
    }
  }

  /** While the stream is made anew, nobody takes anything. */
  async #stored(js: JetStreamClient, body: string): Promise<void> {
    const msgID = body;
    const isStored = async () =>
      await js.publish("acme.x", body, { msgID, retries: 0, timeout: 1000 }).then(
        () => true,
        () => false,
      );
    await waitFor(isStored, { ...SOON, pollMs: 10, what: `${body} to be stored` });
  }

  async expectIn(app: NatsConnection): Promise<void> {
    const there = async () => (await pendingIn(app, "acme", "berlin.acme.>")) >= this.count;
    await waitFor(there, { ...SOON, what: "all events in the log" });
    const events = await readLog(app, "acme", "berlin.acme.>");
    expect(events.map(({ n }) => n)).toEqual(Array.from({ length: this.count }, (_, i) => i));
  }
}

test("a log whose consumer is set going again while events come holds every event once, in order", async () => {
  await using mesh = await startPair({ exports: [], imports: [] });
  const berlin = mesh.site("berlin");
  await using mine = await berlin.mesh();
  const app = await berlin.app("acme");
  const trickle = new Trickle(app);
  await trickle.publish(BEFORE, 0);
  await acknowledged(mine.jsm, "log_");
  const context = contextOf(mine) as unknown as ApplyContext;
  const stuck = { type: "unstick-consumer", stream: "out_acme", consumer: "log_", by: "reset" } as const;
  await Promise.all([
    trickle.publish(AFTER, PAUSE_MS),
    sleep(PAUSE_MS).then(() => applyStep(context, stuck)),
  ]);
  await trickle.expectIn(app);
}, 120_000);

test("a stream that is made anew under its peer and its log while events come: both hold every event of it", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  await using mine = await berlin.mesh();
  const trickle = new Trickle(await berlin.app("acme"));
  await trickle.publish(BEFORE, 0);
  for (const consumer of ["log_", "austin"]) await acknowledged(mine.jsm, consumer);
  await mine.jsm.streams.delete("out_acme");
  await trickle.publish(AFTER, PAUSE_MS);
  for (const site of [berlin, austin]) await trickle.expectIn(await site.app("acme"));
}, 120_000);

async function acknowledged(jsm: JetStreamManager, consumer: string): Promise<void> {
  const all = async () => (await jsm.consumers.info("out_acme", consumer)).ack_floor.consumer_seq >= BEFORE;
  await waitFor(all, { ...SOON, what: "what is before" });
}

function contextOf({ nc, jsm }: Awaited<ReturnType<MeshSite["mesh"]>>) {
  const target = { nc, mesh: jsm };
  return {
    mesh: jsm,
    log: () => {},
    letGo: (stream: string, consumer: string, how?: LetGoOptions) =>
      letGo({ ...target, attachments: new Attachments(), linked: async () => true }, stream, consumer, how),
  };
}
