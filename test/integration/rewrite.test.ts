/** Subjects that a policy rewrites: what peers, their logs, filters and dead letters say of them. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { Rule } from "../../src/model/schema/policy.ts";
import { Load } from "../support/ledger.ts";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const RULE: Rule = {
  subjects: ["acme.orders.*.v1"],
  redact: [{ path: "$.card", with: "remove" }],
  rewrite: "acme.shared.orders.*",
};

test("a rewritten event arrives, is logged, filtered and reported under its new subject", async () => {
  await using mesh = await startPair({
    exports: [{ name: "orders", to: ["austin"], rules: [RULE, { subjects: ["acme.other.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.shared.orders.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const [here, there] = [await berlin.app("acme"), await austin.app("acme")];
  const heard: string[] = [];
  there.subscribe("acme.>", {
    callback: (_error, message) => void heard.push(`${message.subject} ${message.string()}`),
  });
  await there.flush();
  const js = jetstream(here);
  await js.publish("acme.orders.bad.v1", "no json");
  await js.publish("acme.other.x", "{}");
  await js.publish("acme.orders.new.v1", '{"n":1,"card":"4111"}', { msgID: "a" });
  await waitFor(() => heard.length > 0, { what: "the event at the far site" });
  expect(heard).toEqual(['acme.shared.orders.new {"n":1}']);
  const log = await waitFor(
    async () => {
      const events = await readLog(there, "acme", "berlin.acme.>");
      return events.length > 0 ? events : null;
    },
    { what: "the event in the far log" },
  );
  expect(log.map((event) => event.subject)).toEqual(["berlin.acme.shared.orders.new"]);

  await using mine = await berlin.mesh();
  const { config } = await mine.jsm.consumers.info("view_acme_orders", "austin");
  expect(config.filter_subject ?? config.filter_subjects?.[0]).toBe("berlin~orders.acme.shared.orders.*");
  const route = (await berlin.links())[0]?.routes.find((one) => one.direction === "out");
  expect(route?.subjects).toEqual(["acme.shared.orders.*"]);
  const letters = await berlin.json<{ items: { subject: string }[] }>("/v1/tenants/acme/dlq");
  expect(letters.items.map((one) => one.subject)).toEqual(["acme.orders.bad.v1"]);
  const explained = await berlin.api("POST", "/v1/explain", {
    subject: "acme.orders.new.v1",
    dataText: "{}",
  });
  expect(await explained.json()).toMatchObject({
    peers: [{ outcome: "forward", accepted: "yes", result: { subject: "acme.shared.orders.new" } }],
  });
}, 60_000);

test("a rewrite that changes on a live view loses and repeats nothing", async () => {
  await using mesh = await startPair({
    exports: [{ name: "orders", to: ["austin"], rules: [RULE] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const far = await austin.app("acme");
  const load = new Load(await berlin.app("acme"), { subject: () => "acme.orders.new.v1" });
  const arrived = () => readLog(far, "acme", "berlin.acme.>");
  await waitFor(async () => (await arrived()).length > 100);
  // Some wait in the view when it changes.
  await austin.end("SIGKILL");
  await using mine = await berlin.mesh();
  const subjects = ["acme.open.orders.*", "acme.last.*", undefined];
  for (const rewrite of subjects) {
    const stored = (await mine.jsm.streams.info("view_acme_orders")).state.messages;
    await waitFor(
      async () => (await mine.jsm.streams.info("view_acme_orders")).state.messages > stored + 100,
      {
        what: "more events in the view",
      },
    );
    const { rewrite: _, ...plain } = RULE;
    await berlin.put("/v1/tenants/acme/exports/orders", {
      to: ["austin"],
      rules: [rewrite === undefined ? plain : { ...plain, rewrite }],
    });
  }
  const count = load.count;
  await waitFor(() => load.count > count + 200, { what: "more events", deadlineMs: 30_000 });
  await austin.start();
  await load.stop();
  const events = await waitFor(
    async () => {
      const found = await arrived();
      return found.length >= load.count ? found : null;
    },
    { deadlineMs: 30_000, what: `${load.count} events` },
  );
  expect(events.length).toBe(load.count);
  expect(new Set(events.map((event) => event.n)).size).toBe(load.count);
  // One name after the other: where a new policy begins, the one before is over.
  const names = events.map((event) => event.subject).filter((name, i, all) => name !== all[i - 1]);
  expect(names).toEqual([
    "berlin.acme.shared.orders.new",
    "berlin.acme.open.orders.new",
    "berlin.acme.last.new",
    "berlin.acme.orders.new.v1",
  ]);
}, 90_000);
