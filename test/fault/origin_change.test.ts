/** An export that turns to the events of another site sends those, and nothing of its own any more. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const rules = [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" as const }] }];
const all = [{ subjects: ["acme.>"] }];

test("an export of a view that passes on another site's events sends no more of its own", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [], tokyo: ["berlin"] },
    tenants: (site) => {
      if (site === "tokyo")
        return [{ tenant: "acme", exports: [{ name: "out", to: ["berlin"], rules: all }] }];
      const subjects = ["acme.>"];
      if (site === "austin") {
        const imports = [
          { from: "berlin", subjects },
          { from: "berlin", origin: "tokyo", subjects },
        ];
        return [{ tenant: "acme", imports }];
      }
      const exports = [{ name: "out", to: ["austin"], rules }];
      return [{ tenant: "acme", imports: [{ from: "tokyo", subjects }], exports }];
    },
  });
  const [berlin, austin, tokyo] = [mesh.site("berlin"), mesh.site("austin"), mesh.site("tokyo")];
  const own = jetstream(await berlin.app("acme"));
  const theirs = jetstream(await tokyo.app("acme"));
  const far = await austin.app("acme");
  const got = async () => (await readLog(far, "acme", ">")).map(({ subject, n }) => `${subject} ${n}`);
  const until = async (last: string) =>
    await waitFor(async () => (await got()).includes(last), { deadlineMs: 20_000, what: last });

  await own.publish("acme.orders.x", JSON.stringify({ n: 1 }));
  await until("berlin.acme.orders.x 1");
  await berlin.put("/v1/tenants/acme/exports/out?wait=true", { to: ["austin"], origin: "tokyo", rules });
  await own.publish("acme.orders.x", JSON.stringify({ n: 2 }));
  await theirs.publish("acme.orders.x", JSON.stringify({ n: 3 }));
  await until("tokyo.acme.orders.x 3");
  await berlin.put("/v1/tenants/acme/exports/out?wait=true", { to: ["austin"], rules });
  await theirs.publish("acme.orders.x", JSON.stringify({ n: 4 }));
  await own.publish("acme.orders.x", JSON.stringify({ n: 5 }));
  await until("berlin.acme.orders.x 5");
  expect(await got()).toEqual(["berlin.acme.orders.x 1", "tokyo.acme.orders.x 3", "berlin.acme.orders.x 5"]);
}, 60_000);
