/** What sites have said, with its exact range, that they lack and do not get again: stated, so it is not lost in silence. */
import { readFile } from "node:fs/promises";
import type { SequenceRange } from "./arrivals.ts";
import { SITES, type SiteName } from "./scenario.ts";
import type { World } from "./world.ts";

export interface NamedLoss extends SequenceRange {
  readonly at: SiteName;
  readonly origin: string;
  readonly tenant: string;
}

const ALARM =
  /alarm: importer-rolled-back raised for .*what one before it has let out of events (\d+) to (\d+) of ([a-z0-9-]+) at ([a-z0-9-]+) is not fetched again/;

/** Reads the logs of a mesh in which each site gives its own events: an alarm may be of a sidecar that has died since. */
export async function namedLosses(world: World): Promise<NamedLoss[]> {
  const texts = SITES.flatMap((at) => {
    const files = [world.site(at).logFile, world.seconds.get(at)?.logFile];
    return files.flatMap((file) => (file === undefined ? [] : [{ at, file }]));
  });
  return (
    await Promise.all(texts.map(async ({ at, file }) => lossesIn(at, await readFile(file, "utf8"))))
  ).flat();
}

/** The losses that a log of a site names. */
export function lossesIn(at: SiteName, log: string): NamedLoss[] {
  return log.split("\n").flatMap((line) => {
    const [, first, last, tenant, origin] = ALARM.exec(line) ?? [];
    if (tenant === undefined || origin === undefined) return [];
    return [{ at, origin, tenant, first: Number(first), last: Number(last) }];
  });
}
