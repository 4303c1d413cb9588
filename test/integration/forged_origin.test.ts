/** A peer whose server sends whatever subjects it likes: nothing of it passes for another site's or another tenant's. */
import { expect, test } from "bun:test";
import process from "node:process";
import { jetstreamManager } from "@nats-io/jetstream";
import { startPair } from "../support/mesh.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

const FORGED = ["austin.acme.orders.own", "tokyo.globex.secret.x", "austin.acme", "acme.orders", "acme", "x"];

test("what a peer sends is stored under its own origin and the agreed tenant, or nobody reads it", async () => {
  await using mesh = await startPair({
    exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const far = await austin.app("acme");
  const heard: string[] = [];
  for (const subject of ["acme", "acme.>", "x", "globex.>"])
    far.subscribe(subject, { callback: (_error, message) => void heard.push(message.subject) });
  await far.flush();
  await using gone = await berlin.mesh();
  // The sidecar there would set its streams right again: it has no say now.
  process.kill(berlin.pid, "SIGSTOP");
  try {
    const { config } = await gone.jsm.streams.info("out_acme");
    await gone.jsm.streams.update("out_acme", { ...config, subjects: [...config.subjects, ...FORGED] });
    await gone.jsm.consumers.update("out_acme", "austin", { filter_subjects: [">"] });
    for (const subject of FORGED) await gone.js.publish(subject, "forged");
    await gone.js.publish("berlin.acme.orders.last", "true");

    const log = await jetstreamManager(far);
    await using mine = await austin.mesh();
    const stored = await waitFor(async () => {
      const subjects = (await readAll(mine.jsm, "in_acme")).map((message) => message.subject);
      return subjects.includes("berlin.acme.orders.last") ? subjects : null;
    });
    expect(stored).toEqual([
      "berlin.acme.orders.own",
      "berlin.acme.secret.x",
      "austin.acme",
      "acme.orders",
      "acme",
      "x",
      "berlin.acme.orders.last",
    ]);
    const logged = await waitFor(async () => {
      const subjects = (await readAll(log, "acme")).map((message) => message.subject);
      return subjects.includes("berlin.acme.orders.last") ? subjects : null;
    });
    const known = ["orders.own", "secret.x", "orders.last"];
    expect(logged).toEqual(known.map((rest) => `berlin.acme.${rest}`));
    expect(heard).toEqual(known.map((rest) => `acme.${rest}`));
  } finally {
    process.kill(berlin.pid, "SIGCONT");
  }
}, 30_000);
