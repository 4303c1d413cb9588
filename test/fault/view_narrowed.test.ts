/** Rules that become narrower while a view holds events that only the wider ones allowed: those do not cross any more. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const EXPORT = "/v1/tenants/acme/exports/out";
const rulesOf = (...subjects: string[]) => ({
  to: ["austin"],
  rules: subjects.map((subject) => ({ subjects: [subject], when: "data.n >= 0" })),
});
const WIDE = rulesOf("acme.orders.>", "acme.extra.>");
const NARROW = rulesOf("acme.orders.>");

test("what a view holds of a subject that its policy no longer names stays, and does not come when it is named again", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", ...WIDE }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const publish = (n: number, kind: string) => js.publish(`acme.${kind}.x`, JSON.stringify({ n }));
  const view = async () =>
    (await berlin.links()).flatMap(({ routes }) => routes).find(({ direction }) => direction === "out")?.view;
  await publish(0, "extra");
  const there = await austin.app("acme");
  const far = async () => (await readLog(there, "acme", "berlin.acme.>")).map(({ n }) => n);
  await waitFor(async () => (await far()).length === 1, { deadlineMs: 30_000, what: "the wide policy" });

  await austin.end("SIGTERM");
  await publish(1, "extra");
  await publish(2, "orders");
  await waitFor(async () => (await view())?.forwarded === 3, { what: "the view", deadlineMs: 30_000 });
  await berlin.put(`${EXPORT}?wait=true`, NARROW);
  await publish(3, "extra");
  await publish(4, "orders");
  await austin.start();
  await waitFor(async () => (await far()).includes(4), { deadlineMs: 30_000, what: "the narrow policy" });
  await berlin.put(`${EXPORT}?wait=true`, WIDE);
  await publish(5, "extra");
  await waitFor(async () => (await far()).includes(5), { deadlineMs: 30_000, what: "the wide policy again" });
  expect(await far()).toEqual([0, 2, 4, 5]);
}, 120_000);
