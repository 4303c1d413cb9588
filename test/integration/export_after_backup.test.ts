/** A whole data folder that is put back knows nothing of an export that was written later. Written again, it gives its peer all that is new. */
import { expect, test } from "bun:test";
import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { type MeshSite, startPair } from "../support/mesh.ts";
import { alarmsOf } from "../support/older_copy.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

test("what is published under sequences that the peer has from before reaches it, and an alarm says which those are", async () => {
  await using mesh = await startPair({ exports: [], imports: [{ from: "berlin", subjects: ["acme.>"] }] });
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const js = jetstream(await berlin.app("acme"));
  const publish = async (...names: string[]) => {
    for (const name of names) {
      await waitFor(async () => await js.publish("acme.x", name), { what: name, deadlineMs: 60_000 });
    }
  };
  const share = async () => {
    await berlin.put("/v1/tenants/acme/exports/all", {
      to: ["austin"],
      rules: [{ subjects: ["acme.>"] }],
    });
  };
  const has = async (names: readonly string[]) =>
    await waitFor(
      async () => {
        const got = await arrived(austin);
        return got.length >= names.length || Promise.reject(new Error(`arrived: ${got.join(", ")}`));
      },
      { deadlineMs: 60_000, what: `${names.length} events` },
    );

  await publish("1", "2");
  const copy = join(berlin.folder, "copy");
  await berlin.end("SIGTERM");
  await cp(berlin.dataFolder, copy, { recursive: true });
  await berlin.start();
  await share();
  const lost = Array.from({ length: 20 }, (_, n) => `lost ${n}`);
  await publish(...lost);
  await has(lost);

  await berlin.end("SIGTERM");
  await rm(berlin.dataFolder, { recursive: true });
  await rename(copy, berlin.dataFolder);
  await berlin.start();
  await publish("not shared");
  await share();
  const fresh = ["new 1", "new 2", "new 3"];
  await publish(...fresh);
  await has([...lost, ...fresh]);
  expect(await arrived(austin)).toEqual([...lost, ...fresh]);
  const name = "exporter-rolled-back";
  expect((await alarmsOf(berlin, name))["out_acme austin"]).toMatch(/^austin has stored events \d to 22 of/);
  expect((await alarmsOf(austin, name))["out_acme of berlin"]).toMatch(/^berlin has lost events 4 to 22 of/);
  // Once: another start says nothing, and takes nothing back.
  await berlin.end("SIGTERM");
  await berlin.start();
  await publish("last");
  await has([...lost, ...fresh, "last"]);
  expect(await arrived(austin)).toEqual([...lost, ...fresh, "last"]);
}, 180_000);

async function arrived(site: MeshSite): Promise<string[]> {
  await using mesh = await site.mesh();
  return (await readAll(mesh.jsm, "in_acme")).map((one) => one.string());
}
