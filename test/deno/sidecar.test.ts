/** The sidecar on Deno: it starts, answers, and events cross between two sites. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { tempFolder } from "../support/temp_folder.ts";
import { startSite, startTwoSites } from "./two_sites.ts";

/** The next message of a subject, from a subscription that the server knows of. */
async function subscribeOnce(connection: NatsConnection, subject: string) {
  const subscription = connection.subscribe(subject, { max: 1 });
  await connection.flush();
  return {
    message: async () => {
      for await (const message of subscription) return message;
      throw new Error(`The subscription to ${subject} ended without a message`);
    },
  };
}

Deno.test("startSidecar() serves health, readiness and its runtime on Deno", async () => {
  await using folder = await tempFolder();
  const errors: string[] = [];
  await using site = await startSite(join(folder.path, "berlin"), { site: "berlin" }, errors);

  const health = await fetch(`${site.apiUrl}/healthz`);
  assert.deepEqual(await health.json(), { ok: true });
  const ready = await fetch(`${site.apiUrl}/readyz`);
  assert.deepEqual(await ready.json(), { ready: true, reasons: [] });

  const refused = await fetch(`${site.apiUrl}/v1/site`);
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  const about = await fetch(`${site.apiUrl}/v1/site`, {
    headers: { authorization: `Bearer ${site.madeToken}` },
  });
  const report: { site: string; runtime: string; key: string } = await about.json();
  assert.equal(report.site, "berlin");
  assert.equal(report.runtime, `deno ${Deno.version.deno}`);
  assert.equal(report.key, site.siteKey);
  assert.deepEqual(errors, []);
});

Deno.test("two sidecars on Deno carry an event natively, byte for byte, and another through a view, redacted", async () => {
  await using sites = await startTwoSites({
    berlin: {
      tenant: "acme",
      exports: [{ name: "catalog", to: ["austin"], rules: [{ subjects: ["acme.catalog.>"] }] }],
      imports: [{ from: "austin", subjects: ["acme.orders.>"] }],
    },
    austin: {
      tenant: "acme",
      exports: [
        {
          name: "orders",
          to: ["berlin"],
          rules: [
            {
              subjects: ["acme.orders.>"],
              when: 'headers["region"] == "EU"',
              redact: [
                { path: "$.email", with: "mask", keep: "domain" },
                { path: "$.phone", with: "remove" },
              ],
              headers: { drop: ["x-internal-*"] },
            },
          ],
        },
      ],
      imports: [{ from: "berlin", subjects: ["acme.catalog.>"] }],
    },
  });
  await sites.flowing();
  const [inBerlin, inAustin] = [await sites.app(sites.berlin), await sites.app(sites.austin)];

  const catalog = await subscribeOnce(inAustin, "acme.catalog.>");
  const plain = '{ "price": 1.10, "id": 12345678901234567890 }';
  inBerlin.publish("acme.catalog.shoes", plain);
  const native = await catalog.message();
  assert.equal(native.subject, "acme.catalog.shoes");
  assert.equal(native.string(), plain);

  const orders = await subscribeOnce(inBerlin, "acme.orders.>");
  const header = headers();
  header.set("region", "EU");
  header.set("x-internal-cost", "3");
  const order = '{ "id": 12345678901234567890, "email": "ada@example.net", "phone": "+49 30 1234" }';
  inAustin.publish("acme.orders.new", order, { headers: header });
  const redacted = await orders.message();
  assert.equal(redacted.subject, "acme.orders.new");
  assert.match(redacted.string(), /^\{ "id": 12345678901234567890, "email": "\*+@example\.net" *\}$/);
  assert.equal(redacted.headers?.get("region"), "EU");
  assert.equal(redacted.headers?.has("x-internal-cost"), false);
});
