/** A dead letter that was decided again while the peer was away, and then the export turns native: the peer gets it all the same. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { startPair } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const EXPORT = "/v1/tenants/acme/exports/out";
const NATIVE = { to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const upTo = (maxSize: string) => ({
  to: ["austin"],
  rules: [{ subjects: ["acme.orders.>", "acme.extra.>"], limit: { maxSize } }],
});

test("a redriven event that the peer has not taken yet crosses before the route turns native, and nothing crosses twice", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", ...upTo("20B") }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const there = await austin.app("acme");
  const far = async () => {
    const events = await readLog(there, "acme", "berlin.acme.>");
    return events.map(({ n }) => n);
  };
  const publish = (n: number, more: object = {}, subject = "acme.orders.x") =>
    js.publish(subject, JSON.stringify({ n, ...more }));
  const view = async () =>
    (await berlin.links())
      .find(({ peer }) => peer === "austin")
      ?.routes.find(({ direction }) => direction === "out")?.view;

  await publish(0);
  await publish(1, { pad: "x".repeat(50) });
  await publish(2);
  await waitFor(async () => (await far()).length === 2, { deadlineMs: 30_000, what: "what fits, far away" });
  await waitFor(async () => (await view())?.quarantined === 1, { what: "the dead letter" });
  await austin.end("SIGTERM");

  await berlin.put(`${EXPORT}?wait=true`, upTo("1KiB"));
  const redrive = await berlin.api("POST", "/v1/tenants/acme/dlq/redrives", { all: true, rate: 1_000 });
  expect(redrive.status).toBe(202);
  await waitFor(async () => (await view())?.redriven === 1, { what: "the redrive", deadlineMs: 30_000 });
  await publish(3);
  // The native policy has no rule for this one: what is in the view of it stays.
  await publish(100, {}, "acme.extra.x");
  await waitFor(async () => (await view())?.forwarded === 4, { what: "the view" });
  await berlin.put(`${EXPORT}?wait=true`, NATIVE);
  await publish(4);
  // Its routes are held now until austin has said what it has.
  await berlin.end("SIGTERM");
  await berlin.start();

  await austin.start();
  await mesh.flowing();
  await waitFor(async () => (await far()).includes(4), { deadlineMs: 30_000, what: "the native route" });
  await publish(5);
  await waitFor(async () => (await far()).includes(5), { deadlineMs: 30_000, what: "the last event" });
  expect(await far()).toEqual([0, 2, 1, 3, 4, 5]);
  const [link] = await berlin.links();
  expect(link?.routes.map(({ kind }) => kind)).toEqual(["native"]);
}, 120_000);
