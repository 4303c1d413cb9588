/** A store that is an older copy: what was forbidden since the copy was taken is not allowed again, not for a moment. */
import { expect, test } from "bun:test";
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { createSigningKey } from "../../src/nats/keys.ts";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

test("a policy that was narrowed, a user, a peer and a token that were taken away stay so", async () => {
  const stranger = createSigningKey().publicKey;
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    mode: "plain",
    tenants: (site) => [
      site === "berlin"
        ? {
            tenant: "acme",
            exports: [
              { name: "out", to: ["austin"], rules: [{ subjects: ["acme.orders.>", "acme.plans.>"] }] },
            ],
          }
        : { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
    ],
    edit: (file) => ({
      ...file,
      server: { ...file.server, sync: "1s" },
      peers: [...(file.peers ?? []), ...(file.site === "berlin" ? [{ name: "tokyo", key: stranger }] : [])],
    }),
  });
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  await waitFor(
    async () => (await austin.links()).every(({ routes }) => routes.every(({ why }) => why === null)),
    {
      what: "the route to flow",
      deadlineMs: 60_000,
    },
  );
  await austin.end("SIGTERM");
  const made = await berlin.api("POST", "/v1/tokens", { name: "ci", role: "operator", expires: "1h" });
  const { token, info } = (await made.json()) as { token: string; info: { id: string } };
  const js = jetstream(await berlin.app("acme"));
  for (const n of [1, 2, 3]) {
    await js.publish("acme.orders.x", JSON.stringify({ n }));
    await js.publish("acme.plans.x", JSON.stringify({ n }));
  }
  await berlin.end("SIGTERM");
  const [store, copy] = [join(berlin.dataFolder, "store"), join(berlin.folder, "copy")];
  await cp(store, copy, { recursive: true });
  await berlin.start();

  const exported = "/v1/tenants/acme/exports/out";
  await berlin.put(`${exported}?wait=true`, { to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] });
  expect((await berlin.api("POST", "/v1/peers/tokyo/revoke")).status).toBe(200);
  expect((await berlin.api("DELETE", `/v1/tokens/${info.id}`)).status).toBe(204);
  const settings = await berlin.json<Record<string, unknown>>("/v1/tenants/acme");
  await berlin.put("/v1/tenants/acme", { log: settings.log ?? true, users: [] });
  const revision = (await berlin.json<{ revision: number }>("/v1/site")).revision;
  await berlin.copied(revision);
  await berlin.kill();
  await rm(store, { recursive: true });
  await rename(copy, store);
  await berlin.start();
  await austin.start();

  const far = await austin.app("acme");
  const events = await waitFor(
    async () => {
      const found = await readLog(far, "acme", "berlin.acme.>");
      return found.filter(({ subject }) => subject.includes("orders")).length === 3 ? found : null;
    },
    { what: "the orders at austin", deadlineMs: 60_000 },
  );
  expect(events.map(({ subject }) => subject)).toEqual(
    Array.from({ length: 3 }, () => "berlin.acme.orders.x"),
  );
  expect((await berlin.json<{ rules: unknown[] }>(exported)).rules).toEqual([
    { subjects: ["acme.orders.>"] },
  ]);
  expect((await berlin.json<{ users?: unknown[] }>("/v1/tenants/acme")).users ?? []).toEqual([]);
  const links = await berlin.links();
  expect(links.find(({ peer }) => peer === "tokyo")?.revoked).not.toBeNull();
  const asked = await fetch(`http://${berlin.file.api?.listen}/v1/site`, {
    headers: { authorization: `Bearer ${token}` },
  });
  expect(asked.status).toBe(401);
  expect((await berlin.json<{ revision: number }>("/v1/site")).revision).toBeGreaterThanOrEqual(revision);
  const { items } = await berlin.json<{ items: readonly { name: string }[] }>("/v1/alarms");
  expect(items.map(({ name }) => name)).toContain("state-rolled-back");
}, 240_000);
