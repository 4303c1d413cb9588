/** Keys of pseudonyms and encryption that rotate while events flow. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import type { KeyInfo } from "../../src/model/keys.ts";
import { TenantKeys } from "../../src/nats/tenant_keys.ts";
import { decryptValue } from "../../src/policy/redact/encrypt.ts";
import { startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

interface Order {
  readonly n: number;
  readonly id: string;
  readonly pin: string;
}

test("a new key is a policy change: from one event on values are written with it, and old ones decrypt", async () => {
  await using mesh = await startPair({
    exports: [
      {
        name: "orders",
        to: ["austin"],
        rules: [
          {
            subjects: ["acme.>"],
            redact: [
              { path: "$.id", with: "pseudonym" },
              { path: "$.pin", with: "encrypt" },
            ],
          },
        ],
      },
    ],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const there = await austin.app("acme");
  const heard: Order[] = [];
  there.subscribe("acme.orders", { callback: (_error, message) => void heard.push(message.json<Order>()) });
  await there.flush();
  const js = jetstream(await berlin.app("acme"));
  let count = 0;
  const publish = async () => {
    await js.publish("acme.orders", JSON.stringify({ n: count++, id: "c-991", pin: "1234" }));
    await waitFor(() => heard.length === count, { what: `event ${count} at the far site` });
  };

  await publish();
  const made: KeyInfo[] = [];
  for (const kind of ["pseudonym", "encrypt"]) {
    const response = await berlin.api("POST", `/v1/tenants/acme/keys/${kind}`);
    expect(response.status).toBe(201);
    made.push((await response.json()) as KeyInfo);
  }
  // What waits in the worker is decided by the policy before; the change is soon.
  await waitFor(
    async () => {
      await publish();
      const last = heard[heard.length - 1];
      return last?.id.startsWith(`psn_${made[0]?.id}_`) && last.pin.startsWith(`enc_${made[1]?.id}_`);
    },
    { what: "values of the new keys" },
  );

  const [first] = heard;
  const last = heard[heard.length - 1];
  expect(first?.id).not.toBe(last?.id ?? "");
  const keys = await new TenantKeys(berlin.dataFolder).decryptionKeys("acme");
  expect(keys.map(({ id }) => id)).toContain(made[1]?.id ?? "");
  expect(keys).toHaveLength(2);
  for (const { pin } of heard) expect(decryptValue(pin, keys, "acme")).toBe('"1234"');
  expect(heard.map(({ n }) => n)).toEqual(heard.map((_, index) => index));

  // After a start the newest key is still the active one.
  await berlin.end("SIGTERM");
  await berlin.start();
  await publish();
  expect(heard[heard.length - 1]?.id).toBe(last?.id ?? "");
}, 60_000);
