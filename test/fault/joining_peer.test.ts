/** A peer that joins an export gets what its policy of now lets be seen, not what another policy once let others see. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const rule = (...paths: string[]) => ({
  subjects: ["acme.orders.>"],
  redact: paths.map((path) => ({ path, with: "remove" as const })),
});

test("a peer that joins a view with a stricter policy gets nothing of what the earlier one forwarded", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin", "tokyo"], austin: [], tokyo: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", exports: [{ name: "out", to: ["tokyo"], rules: [rule("$.phone")] }] }
        : { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
    ],
  });
  const [berlin, austin, tokyo] = [mesh.site("berlin"), mesh.site("austin"), mesh.site("tokyo")];
  const js = jetstream(await berlin.app("acme"));
  const publish = (n: number) => js.publish("acme.orders.x", JSON.stringify({ n, email: "a@example.org" }));
  const [atTokyo, atAustin] = [await tokyo.app("acme"), await austin.app("acme")];
  const got = async (nc: typeof atTokyo) =>
    (await readLog(nc, "acme", "berlin.>")).map((event) => event.body);
  for (let n = 0; n < 5; n++) await publish(n);
  await waitFor(async () => (await got(atTokyo)).length === 5, { deadlineMs: 15_000 });

  const rules = [rule("$.phone", "$.email")];
  const etag = (await berlin.api("GET", "/v1/tenants/acme/exports/out")).headers.get("etag") ?? "";
  const changed = berlin.api(
    "PUT",
    "/v1/tenants/acme/exports/out",
    { to: ["tokyo", "austin"], start: "all", rules },
    { "if-match": etag },
  );
  // While the change is made, too.
  for (let n = 5; n < 40; n++) await publish(n);
  expect((await changed).status).toBe(200);
  await mesh.flowing();
  await publish(40);
  await waitFor(async () => (await got(atAustin)).some(({ n }) => n === 40), { deadlineMs: 15_000 });
  expect((await got(atAustin)).filter((body) => "email" in body)).toEqual([]);
  await waitFor(async () => (await got(atTokyo)).length === 41, { deadlineMs: 15_000 });
}, 60_000);
