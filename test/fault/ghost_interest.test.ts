/** What a server says of who listens, after its configuration has got another peer: nobody waits for a listener that is not there. */
import { expect, test } from "bun:test";
import { createSigningKey } from "../../src/nats/keys.ts";
import { logHas, numbers } from "../support/older_copy.ts";
import { readLog } from "../support/read_log.ts";
import { changeKinds, publishBoth, startTwoKinds, TWO_KINDS } from "../support/two_kinds.ts";
import { waitFor } from "../support/wait_for.ts";

const PART = 100;

test("routes move to another stream and back at a site that has got another peer while they flowed", async () => {
  const { mesh, berlin, austin } = await startTwoKinds();
  await using _ = mesh;
  await publishBoth(berlin, 1, PART);
  for (const tenant of TWO_KINDS) await logHas(await austin.app(tenant), tenant, PART);
  const { ca } = await austin.json<{ ca?: string }>("/v1/peers/berlin");
  const configured = (present: boolean) =>
    waitFor(
      async () => (await Bun.file(`${austin.dataFolder}/nats.conf`).text()).includes("LINK_rome") === present,
      {
        what: `rome ${present ? "in" : "out of"} the server's configuration`,
        deadlineMs: 20_000,
      },
    );
  await austin.put("/v1/peers/rome", { key: createSigningKey().publicKey, ca });
  await configured(true);
  await austin.api("DELETE", "/v1/peers/rome", undefined, { "if-match": "*" });
  await configured(false);

  await changeKinds(mesh, { acme: "native", globex: "view" });
  await publishBoth(berlin, PART + 1, 2 * PART);
  await changeKinds(mesh, { acme: "view", globex: "native" });
  await publishBoth(berlin, 2 * PART + 1, 3 * PART);
  for (const tenant of TWO_KINDS) {
    const nc = await austin.app(tenant);
    await logHas(nc, tenant, 3 * PART);
    const events = await readLog(nc, tenant, `berlin.${tenant}.orders.>`);
    expect(events.map(({ n }) => n)).toEqual([...numbers(1, 3 * PART)]);
  }
  expect(await berlin.log()).toContain("its server still says that somebody does: its link is made anew");
}, 120_000);
