/** Links that are cut, reset, stalled, delayed and throttled. */
import { between, type Fault, type FaultRun, pause } from "./fault.ts";
import type { LinkMode } from "./link_proxy.ts";
import type { SiteName } from "./scenario.ts";
import type { World } from "./world.ts";

function linksOf(world: World, site: SiteName) {
  return [...world.proxies].filter(([name]) => name.split("-").includes(site));
}

function linkFault(
  name: string,
  weight: number,
  inject: (link: string, run: FaultRun) => Promise<void>,
): Fault {
  return {
    name,
    lane: "other",
    weight,
    run: async (run) => {
      const link = run.random.pick(linksOf(run.world, run.site));
      await inject(link[0], run);
    },
  };
}

async function withMode(
  { world, note }: FaultRun,
  links: readonly string[],
  mode: LinkMode,
  ms: number,
): Promise<void> {
  const proxies = links.flatMap((link) => world.proxies.get(link) ?? []);
  note(`${links.join(", ")}: ${JSON.stringify(mode)} for ${ms} ms`);
  for (const proxy of proxies) proxy.mode = mode;
  await pause(ms);
  for (const proxy of proxies) proxy.mode = { type: "pass" };
  note(`${links.join(", ")}: passes again`);
}

const LINK_CUT = linkFault("link cut", 3, async (link, run) => {
  await withMode(run, [link], { type: "cut" }, between(run.random, 200, 8000));
});

const LINK_RESET = linkFault("link reset", 2, async (link, { world, note }) => {
  note(`${link}: reset`);
  world.proxies.get(link)?.reset();
});

const LINK_STALLED = linkFault("link stalled", 2, async (link, run) => {
  await withMode(run, [link], { type: "stall" }, between(run.random, 500, 10_000));
});

/** Half open: the bytes are gone, and only then the connection. */
const LINK_HALF_OPEN = linkFault("link half open", 2, async (link, run) => {
  await withMode(run, [link], { type: "stall" }, between(run.random, 500, 10_000));
  run.note(`${link}: reset after it stood still`);
  run.world.proxies.get(link)?.reset();
});

/** What was sent before comes in after what is sent now: the old connection ends later than the new one begins. */
const LINK_OVERTAKEN = linkFault("link overtaken", 2, async (link, run) => {
  await withMode(run, [link], { type: "delay", ms: 300 }, between(run.random, 300, 1500));
  const lateMs = between(run.random, 500, 4000);
  run.note(`${link}: reset for who dialled, whose last bytes come in ${lateMs} ms late`);
  run.world.proxies.get(link)?.overtake(lateMs);
  await pause(lateMs);
});

const LINK_SLOW = linkFault("link delayed", 2, async (link, run) => {
  await withMode(
    run,
    [link],
    { type: "delay", ms: between(run.random, 20, 500) },
    between(run.random, 1000, 8000),
  );
});

const LINK_THIN = linkFault("link throttled", 2, async (link, run) => {
  await withMode(
    run,
    [link],
    { type: "throttle", bytesPerSecond: between(run.random, 20_000, 200_000) },
    between(run.random, 1000, 6000),
  );
});

const PARTITION: Fault = {
  name: "site partitioned",
  lane: "other",
  weight: 2,
  run: async (run) => {
    const links = linksOf(run.world, run.site).map(([name]) => name);
    await withMode(run, links, { type: "cut" }, between(run.random, 500, 10_000));
  },
};

export const LINK_FAULTS: readonly Fault[] = [
  LINK_CUT,
  LINK_RESET,
  LINK_STALLED,
  LINK_HALF_OPEN,
  LINK_OVERTAKEN,
  LINK_SLOW,
  LINK_THIN,
  PARTITION,
];
