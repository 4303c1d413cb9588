/** Headers of stored events that a client library cannot read, as a tenant's app may publish them. */
import { expect, test } from "bun:test";
import { lastOfOrigin } from "../../src/control/source_position.ts";
import { startPair } from "../support/mesh.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait_for.ts";

test("lastOfOrigin() reads the position of an event with a bare LF in a header, and believes none that stands in one", async () => {
  await using mesh = await startPair({
    exports: [{ name: "out", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  using app = await RawClient.open({ address: berlin.file.server?.listen ?? "", key: berlin.appKey("acme") });
  app.publish("acme.first", "1");
  const forged = "Nats-Stream-Source: out_acme:x 9999 > > berlin.acme.x y";
  app.publishHeaders("acme.second", `NATS/1.0\r\nA: b\n${forged}\n\nC\r\n\r\n`, "2");
  await app.ping();
  await using far = await austin.mesh();
  await waitFor(async () => (await far.jsm.streams.info("in_acme")).state.messages === 2, {
    what: "both events at austin",
    deadlineMs: 20_000,
  });
  const of = { origin: "berlin", tenant: "acme", stream: "out_acme" };
  expect((await lastOfOrigin(far.jsm, "in_acme", of)).sequence).toBe(2);
}, 60_000);
