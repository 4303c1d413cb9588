/** A site that passes the events of two others on to the same peer. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { startMesh } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

test("a peer gets the events of two origins through one site, each under its own origin", async () => {
  const rules = [{ subjects: ["acme.orders.>"] }];
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], paris: ["austin"], austin: ["tokyo"], tokyo: [] },
    tenants: (site) => {
      if (site === "austin") {
        return [
          {
            tenant: "acme",
            imports: ["berlin", "paris"].map((from) => ({ from, subjects: ["acme.>"] })),
            exports: ["berlin", "paris"].map((origin) => ({
              name: `of-${origin}`,
              origin,
              to: ["tokyo"],
              rules,
            })),
          },
        ];
      }
      if (site === "tokyo") {
        const imports = ["berlin", "paris"].map((origin) => ({
          from: "austin",
          origin,
          subjects: ["acme.>"],
        }));
        return [{ tenant: "acme", imports }];
      }
      return [{ tenant: "acme", exports: [{ name: "all", to: ["austin"], rules }] }];
    },
  });
  await mesh.flowing();
  const far = await mesh.site("tokyo").app("acme");
  const heard: string[] = [];
  far.subscribe("acme.>", { callback: (_error, message) => void heard.push(message.string()) });
  await far.flush();
  const expected: string[] = [];
  for (const site of ["berlin", "paris"]) {
    const js = jetstream(await mesh.site(site).app("acme"));
    for (let n = 0; n < 5; n++) {
      await js.publish("acme.orders.x", `${site} ${n}`);
      expected.push(`${site} ${n}`);
    }
  }
  await waitFor(() => heard.length >= expected.length, { what: "the events of both origins" });
  expect(heard.sort()).toEqual(expected);
  const log = await jetstream(far).consumers.get("acme", { filter_subjects: ["berlin.acme.>"] });
  await waitFor(async () => (await log.info()).num_pending === 5, { what: "berlin's events in the log" });
  // Nothing is left to do: the two do not fight over one consumer.
  const { steps } = await mesh.site("austin").json<{ steps: unknown[] }>("/v1/plan");
  expect(steps).toEqual([]);
}, 40_000);
