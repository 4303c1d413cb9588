/** Stores that are put back from an older copy, as a restored disk or a machine that was set back. */
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isFiller } from "../small_disk.ts";
import { waitFor } from "../wait_for.ts";
import { between, type Fault, pause } from "./fault.ts";
import { startAgain } from "./process_faults.ts";

async function copyStore(from: string, to: string): Promise<void> {
  await waitFor(
    async () => {
      for (const name of await readdir(to).catch(() => [])) {
        // What fills the disk in another fault is no part of the store.
        if (!isFiller(join(to, name))) await rm(join(to, name), { recursive: true, force: true });
      }
      await cp(from, to, { recursive: true, filter: (path) => !isFiller(path) });
      return true;
    },
    { what: `${from} to be copied to ${to}`, deadlineMs: 60_000 },
  );
}

/**
 * Takes a copy of a site's store while nothing is under way, lets all go on for a while, cuts the power, and puts the copy back.
 * What the site had acknowledged in between is lost there; what was under way when it was killed may be stored twice.
 */
const STORE_ROLLED_BACK: Fault = {
  name: "store rolled back",
  lane: "process",
  weight: 1,
  // It would have to be killed with the first, as a power cut does.
  unavailable: (world) => (world.seconds.size > 0 ? "each site has a second sidecar, which goes on" : null),
  run: async (run) => {
    const { world, random, site, note } = run;
    const store = join(world.site(site).dataFolder, "store");
    const copy = join(world.site(site).folder, "older");
    note(`${site}: a copy of the store is taken`);
    const go = await world.holdPublishers(site);
    await world.site(site).end("SIGTERM");
    // Whatever a sidecar that was in a hurry has left.
    await world.site(site).kill();
    await copyStore(store, copy);
    const stored = world.stored(site);
    go();
    await startAgain(world.site(site));
    await pause(between(random, 500, 6000));
    note(`${site}: killed, and the older copy of its store is put back`);
    await world.site(site).kill();
    await copyStore(copy, store);
    world.rollBack(site, stored);
    await startAgain(world.site(site));
    await rm(copy, { recursive: true });
    note(`${site} runs again`);
  },
};

export const ROLLBACK_FAULTS: readonly Fault[] = [STORE_ROLLED_BACK];
