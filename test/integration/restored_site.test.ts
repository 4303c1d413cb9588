/** A site that is restored from a backup of before its routes: written again, they take up where the backup ends, both ways. */
import { expect, test } from "bun:test";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { backupSite, restoreSite } from "../../src/sidecar.ts";
import { type MeshSite, startMesh } from "../support/mesh.ts";
import { alarmsOf } from "../support/older_copy.ts";
import { readAll } from "../support/read_all.ts";
import { waitFor } from "../support/wait_for.ts";

const PASSPHRASE = "correct horse battery";
const RULES = [{ subjects: ["acme.>"] }];
const names = (what: string, count: number) => Array.from({ length: count }, (_, n) => `${what} ${n + 1}`);

test("its peer gets all that is new, also under sequences that it has, and it gets all again that its peer has given it", async () => {
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      site === "berlin"
        ? [{ tenant: "acme" }]
        : [
            {
              tenant: "acme",
              exports: [{ name: "all", to: ["berlin"], rules: RULES }],
              imports: [{ from: "berlin", subjects: ["acme.>"] }],
            },
          ],
  });
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const publish = async (site: MeshSite, events: readonly string[]) => {
    const js = jetstream(await site.app("acme"));
    for (const one of events) {
      await waitFor(async () => await js.publish("acme.x", one), { what: one, deadlineMs: 60_000 });
    }
  };
  const route = async () => {
    await berlin.put("/v1/tenants/acme/exports/all", { to: ["austin"], rules: RULES, start: "all" });
    await berlin.put("/v1/tenants/acme/imports/austin", { subjects: ["acme.>"] });
  };
  const [kept, lost, early, late] = [
    names("kept", 3),
    names("lost", 5),
    names("early", 20),
    names("late", 2),
  ];
  const [before, after] = [names("before", 5), names("after", 2)];

  await publish(berlin, kept);
  await berlin.end("SIGTERM");
  const { dataFolder: data } = berlin;
  const file = join(berlin.folder, "berlin.backup");
  await backupSite({ data, file, passphrase: PASSPHRASE });
  await berlin.start();
  await route();
  await publish(berlin, lost);
  await has(austin, [...kept, ...lost]);
  await publish(austin, before);
  await has(berlin, before);

  await berlin.end("SIGTERM");
  await rename(data, `${data}.lost`);
  await mkdir(data, { mode: 0o700 });
  await restoreSite({ data, file, passphrase: PASSPHRASE, withoutKeys: false, site: null });
  await berlin.start();
  // More than were lost: how many there are says nothing.
  await publish(berlin, early);
  await route();
  await publish(berlin, late);
  await publish(austin, after);
  await has(austin, [...kept, ...lost, ...early, ...late]);
  await has(berlin, [...before, ...after]);
  const alarms = await alarmsOf(berlin, "exporter-rolled-back");
  expect(alarms["out_acme austin"]).toStartWith("austin has stored events 4 to 8 of out_acme,");
}, 180_000);

/** Waits until a site has these remote events, and no others. */
async function has(site: MeshSite, expected: readonly string[]): Promise<void> {
  const arrived = async () => {
    await using mesh = await site.mesh();
    return (await readAll(mesh.jsm, "in_acme")).map((one) => one.string());
  };
  await waitFor(
    async () => {
      const got = await arrived();
      return got.length >= expected.length || Promise.reject(new Error(`arrived: ${got.join(", ")}`));
    },
    { deadlineMs: 60_000, what: `${expected.length} events at ${site.name}` },
  );
  expect(await arrived()).toEqual([...expected]);
}
