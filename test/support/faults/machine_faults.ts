/** Disks and clocks. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fillDisk } from "../small_disk.ts";
import { between, type Fault, pause } from "./fault.ts";

/** Fills the memory disk of a store, so that the server cannot write. */
const DISK_FULL: Fault = {
  name: "disk full",
  lane: "other",
  weight: 2,
  unavailable: (world) => (world.diskBytes === null ? "the store is on no disk of its own" : null),
  run: async ({ world, random, site, note }) => {
    const ms = between(random, 500, 6000);
    note(`${site}: the disk is full for ${ms} ms`);
    const free = fillDisk(join(world.site(site).dataFolder, "store"));
    await pause(ms);
    await free();
    note(`${site}: the disk has room again`);
  },
};

/** The sidecar's clock leaps, as far as code that asks for the time is concerned. */
const CLOCK_LEAPS: Fault = {
  name: "sidecar clock leaps",
  lane: "other",
  weight: 1,
  run: async ({ world, random, site, note }) => {
    const offsetMs = random.pick([-3_600_000, -60_000, 60_000, 3_600_000, 86_400_000]);
    note(`${site}: the sidecar's clock is ${offsetMs / 1000} s off`);
    const file = join(world.site(site).folder, "clock");
    await writeFile(file, String(offsetMs));
    await pause(between(random, 1000, 6000));
    await writeFile(file, "0");
    note(`${site}: the sidecar's clock is right again`);
  },
};

export const MACHINE_FAULTS: readonly Fault[] = [DISK_FULL, CLOCK_LEAPS];
