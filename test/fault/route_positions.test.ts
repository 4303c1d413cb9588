/** Where a route goes on when its policy changes while the peer is away: never with what came before it. */
import { expect, test } from "bun:test";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import { type Mesh, startMesh } from "../support/mesh.ts";
import { readLog } from "../support/read_log.ts";
import { waitFor } from "../support/wait_for.ts";

const EXPORT = "/v1/tenants/acme/exports/out";
const PLAIN = { to: ["austin"], rules: [{ subjects: ["acme.orders.>"] }] };
const REDACTED = {
  ...PLAIN,
  rules: [{ subjects: ["acme.orders.>"], redact: [{ path: "$.email", with: "remove" }] }],
};

async function pair(): Promise<Mesh> {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme" }
        : { tenant: "acme", imports: [{ from: "berlin", subjects: ["acme.>"] }] },
    ],
  });
}

async function publish(js: JetStreamClient, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await js.publish("acme.orders.x", JSON.stringify({ n }));
}

/** The numbers at the far site, when the last one has come and some time for others has passed. */
async function arrived(mesh: Mesh, last: number): Promise<number[]> {
  const far = await mesh.site("austin").app("acme");
  const read = async () => (await readLog(far, "acme", "berlin.acme.>")).map((event) => event.n);
  await waitFor(async () => (await read()).includes(last), { deadlineMs: 20_000, what: `event ${last}` });
  await new Promise((resolve) => setTimeout(resolve, 500));
  return await read();
}

test("a view of which the peer has nothing yet turns native: nothing from before the export leaves", async () => {
  await using mesh = await pair();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  await publish(js, 0, 20);
  await berlin.put(EXPORT, REDACTED);
  await mesh.flowing();
  await austin.end("SIGTERM");
  await publish(js, 20, 23);
  await waitFor(async () => (await viewAt(mesh)) === 3, { what: "the view" });
  await berlin.put(`${EXPORT}?wait=true`, PLAIN);
  await austin.start();
  await mesh.flowing();
  await publish(js, 23, 24);
  expect(await arrived(mesh, 23)).toEqual([20, 21, 22, 23]);
}, 60_000);

test("a view that is made anew is not mistaken for the one before it", async () => {
  await using mesh = await pair();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  await berlin.put(EXPORT, REDACTED);
  await mesh.flowing();
  await publish(js, 0, 5);
  expect(await arrived(mesh, 4)).toEqual([0, 1, 2, 3, 4]);
  const etag = (await berlin.api("GET", EXPORT)).headers.get("etag") ?? "";
  await berlin.api("DELETE", `${EXPORT}?wait=true`, undefined, { "if-match": etag });
  await berlin.put(`${EXPORT}?wait=true`, REDACTED);
  await mesh.flowing();
  await austin.end("SIGTERM");
  await publish(js, 5, 11);
  await waitFor(async () => (await viewAt(mesh)) === 6, { what: "the view" });
  await berlin.put(`${EXPORT}?wait=true`, PLAIN);
  await austin.start();
  await mesh.flowing();
  await publish(js, 11, 12);
  expect(await arrived(mesh, 11)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
}, 60_000);

async function viewAt(mesh: Mesh): Promise<number> {
  const link = (await mesh.site("berlin").links()).find((one) => one.peer === "austin");
  return link?.routes.find((route) => route.direction === "out")?.view?.forwarded ?? 0;
}
