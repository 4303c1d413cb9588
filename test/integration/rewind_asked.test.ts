/** A peer that asks for what another peer gave to go back: nothing is noted of it. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { rewindSource } from "../../src/control/rollback/rewind.ts";
import { REWOUND } from "../../src/control/rollback/rewound.ts";
import { RewoundNote } from "../../src/control/rollback/rewound_note.ts";
import type { InRoute } from "../../src/control/routes.ts";
import { startMesh } from "../support/mesh.ts";
import { pendingIn } from "../support/read_log.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { waitFor } from "../support/wait_for.ts";

const EVENTS = 5;
const ASK = { tenant: "acme", stream: "out_acme", has: EVENTS };

test("rewindSource() takes no other peer's events back", async () => {
  await using mesh = await startMesh({
    sites: { austin: [], berlin: ["austin"], tokyo: ["austin"] },
    tenants: (site) =>
      site === "austin"
        ? [{ tenant: "acme", imports: ["berlin", "tokyo"].map((from) => ({ from, subjects: ["acme.>"] })) }]
        : [
            {
              tenant: "acme",
              exports: [{ name: "all", to: ["austin"], rules: [{ subjects: ["acme.>"] }] }],
            },
          ],
  });
  await mesh.flowing();
  const austin = mesh.site("austin");
  const far = await austin.app("acme");
  for (const site of ["berlin", "tokyo"]) {
    const js = jetstream(await mesh.site(site).app("acme"));
    for (let n = 0; n < EVENTS; n++) await js.publish("acme.x", JSON.stringify({ n }));
    const there = async () => (await pendingIn(far, "acme", `${site}.acme.>`)) >= EVENTS;
    await waitFor(there, { deadlineMs: 30_000, what: `events of ${site}` });
  }
  await using folder = await tempFolder();
  await using mine = await austin.mesh();
  const parts = { mesh: mine.jsm, note: await RewoundNote.open(folder.path) };
  const imports = ["berlin", "tokyo"].map((peer) => ({ peer, origin: peer, tenant: { name: "acme" } }));
  const ask = (origin: string, after: number) =>
    rewindSource(parts, imports as unknown as InRoute[], "tokyo", { ...ASK, origin, after });
  await expect(ask("berlin", 0)).rejects.toThrow("events of berlin are not imported from tokyo");
  const { config } = await mine.jsm.streams.info("in_acme");
  expect(config.metadata?.[REWOUND]).toBeUndefined();
  expect(config.sources).toHaveLength(2);
  await ask("tokyo", 3);
  const told = (await mine.jsm.streams.info("in_acme")).config.metadata?.[REWOUND] ?? "{}";
  expect(Object.keys(JSON.parse(told))).toEqual(["tokyo out_acme"]);
}, 120_000);
