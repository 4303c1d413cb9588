/**
 * A peer is away for long while events are published: the memory of the sidecar must stay where it is, and when the peer
 * returns, the native route must catch up at nats-server's own speed.
 */
import { join } from "node:path";
import type { SiteReport } from "../../../src/control/site_api.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { bytesText } from "../../../src/model/units.ts";
import { DATA_FILES } from "../../../src/nats/data_folder.ts";
import { LoadProcesses } from "../load_processes.ts";
import { type Mesh, type MeshSite, startMesh } from "../mesh.ts";
import { waitFor } from "../wait_for.ts";
import { bareSourceRate, caughtUp, togetherPerSecond } from "./bare_source.ts";

export interface SoakOptions {
  readonly minutes: number;
  /** Events a second, of both routes together. */
  readonly rate: number;
  /** Load with the peer there, before the memory is looked at: seconds. */
  readonly warmUpSeconds: number;
  readonly sampleMs: number;
  /** When stores are flushed. */
  readonly sync: string;
  /** Events of each stream that the bare sources are measured with at most, and how often. */
  readonly bareEvents: number;
  readonly bareRuns: number;
  readonly log: (line: string) => void;
}

export interface SoakReport {
  readonly ok: boolean;
  readonly minutes: number;
  /** Events that were published while the peer was away, and a second. */
  readonly published: number;
  /** Beside them: those whose acknowledgement did not come. */
  readonly unheard: number;
  readonly rate: number;
  readonly memory: {
    readonly firstQuarterBytes: number;
    readonly lastQuarterBytes: number;
    readonly mostBytes: number;
    /** Last quarter over first. */
    readonly growth: number;
    readonly samples: number;
  };
  readonly catchUp: {
    readonly events: number;
    /** Of both routes, from the first event of either to the last one. */
    readonly perSecond: number;
    readonly nativePerSecond: number;
    readonly viewPerSecond: number;
    /** What two bare sources of nats-server together do of the same streams, over a link of the same kind. */
    readonly barePerSecond: number;
    /** Both routes together over both bare sources together. */
    readonly ratio: number;
  };
  readonly lost: number;
}

/** The last quarter may take so much more than the first; what catching up must reach of a bare source. */
export const MOST_GROWTH = 1.1;
export const LEAST_RATIO = 0.8;
const BODY = '"email":"ada@example.net","region":"EU","note":"leave at the door","filler":"';
const FILLER = "x".repeat(180);
const EVENT_BYTES = 600;
const TENANTS = ["acme", "globex"] as const;
/** What the peer sources of each tenant. */
const STREAMS = { acme: "out_acme", globex: "view_globex_out" } as const;

const RULES: Readonly<Record<(typeof TENANTS)[number], ExportPolicy["rules"]>> = {
  acme: [{ subjects: ["acme.orders.>"] }],
  globex: [
    {
      subjects: ["globex.orders.>"],
      when: 'data.region == "EU"',
      redact: [{ path: "$.email", with: "mask", keep: "domain" }],
    },
  ],
};

/** Runs a soak. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { log, minutes, rate, sampleMs } = options;
  const storage = `${Math.max(64, Math.ceil((minutes * 60 * rate * EVENT_BYTES) / 1024 ** 2))}MiB`;
  await using mesh = await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) =>
      TENANTS.map((tenant) => ({
        tenant,
        log: false,
        limits: { storage },
        ...(site === "berlin"
          ? { exports: [{ name: "out", to: ["austin"], rules: RULES[tenant] }] }
          : { imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] }),
      })),
    edit: (file) => ({ ...file, server: { ...file.server, sync: options.sync } }),
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  log(`warming up for ${options.warmUpSeconds} s`);
  await publishFor(berlin, rate, options.warmUpSeconds * 1000, async () => {});
  await arrived(mesh);

  const before = await positions(austin);
  await austin.end("SIGTERM");
  log(`the peer is away for ${minutes} minutes, at ${rate} events/s`);
  const samples: number[] = [];
  const { published, unheard, publishedPerSecond } = await publishFor(
    berlin,
    rate,
    minutes * 60_000,
    async (load) => {
      samples.push((await berlin.json<SiteReport>("/v1/site")).memory.usedBytes);
      if (samples.length % 20 === 0) log(`${load()} published, memory ${bytesText(samples.at(-1) ?? 0)}`);
    },
    sampleMs,
  );
  const memory = memoryOf(samples);
  log(
    `memory: first quarter ${bytesText(memory.firstQuarterBytes)}, last ${bytesText(memory.lastQuarterBytes)}`,
  );
  await viewDone(berlin);

  await using inside = await berlin.mesh();
  const goal = {
    acme: (await inside.jsm.streams.info(STREAMS.acme)).state.last_seq,
    globex: (await inside.jsm.streams.info(STREAMS.globex)).state.last_seq,
  };
  await austin.start();
  await using there = await austin.mesh();
  const deadlineMs = 60_000 + minutes * 60_000;
  const arrival = (tenant: (typeof TENANTS)[number]) => {
    const part = { stream: `in_${tenant}`, from: before[tenant], to: goal[tenant] };
    return caughtUp(there.jsm, part, deadlineMs);
  };
  const [native, view] = await Promise.all([arrival("acme"), arrival("globex")]);
  const after = await positions(austin);
  const behind = (tenant: (typeof TENANTS)[number]) => goal[tenant] - after[tenant];
  const lost = behind("acme") + behind("globex");
  const events = goal.acme - before.acme + (goal.globex - before.globex);
  await Promise.all([berlin.end("SIGTERM"), austin.end("SIGTERM")]);
  log("the same by bare sources");
  const bare = (tenant: (typeof TENANTS)[number]) => {
    const from = before[tenant];
    return { stream: STREAMS[tenant], tenant, from, to: Math.min(goal[tenant], from + options.bareEvents) };
  };
  const barePerSecond = await bareSourceRate({
    store: join(berlin.dataFolder, DATA_FILES.store),
    sync: options.sync,
    links: "tls",
    catchUps: TENANTS.map(bare),
    runs: options.bareRuns,
  });
  // Both routes catch up at once, over one link: what it does is both together.
  const perSecond = togetherPerSecond([native, view]);
  const ratio = Number((perSecond / barePerSecond).toFixed(3));
  return {
    ok: memory.growth <= MOST_GROWTH && ratio >= LEAST_RATIO && lost === 0,
    minutes,
    published,
    unheard,
    rate: Math.round(publishedPerSecond),
    memory,
    catchUp: {
      events,
      perSecond: Math.round(perSecond),
      nativePerSecond: Math.round(togetherPerSecond([native])),
      viewPerSecond: Math.round(togetherPerSecond([view])),
      barePerSecond: Math.round(barePerSecond),
      ratio,
    },
    lost,
  };
}

/** Publishes to both tenants for a while, half the rate each. */
async function publishFor(
  site: MeshSite,
  rate: number,
  forMs: number,
  each: (count: () => number) => Promise<void>,
  everyMs = 1000,
): Promise<{ readonly published: number; readonly unheard: number; readonly publishedPerSecond: number }> {
  const load = (tenant: string) =>
    new LoadProcesses(site, tenant, {
      publishers: 1,
      rate: rate / TENANTS.length,
      subjects: Array.from({ length: 10 }, (_, n) => `${tenant}.orders.k${n}`),
      body: `${BODY}${FILLER}"`,
    });
  await using acme = load("acme");
  await using globex = load("globex");
  const started = performance.now();
  for (let at = everyMs; at <= forMs; at += everyMs) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + at - performance.now())));
    await each(() => acme.count + globex.count);
  }
  const seconds = (performance.now() - started) / 1000;
  const published = (await acme.finish()) + (await globex.finish());
  return { published, unheard: acme.unheard + globex.unheard, publishedPerSecond: published / seconds };
}

/** What of each tenant has arrived. */
async function positions(site: MeshSite): Promise<Record<(typeof TENANTS)[number], number>> {
  await using inside = await site.mesh();
  const last = async (tenant: string) => (await inside.jsm.streams.info(`in_${tenant}`)).state.last_seq;
  return { acme: await last("acme"), globex: await last("globex") };
}

async function viewDone(site: MeshSite): Promise<void> {
  await using inside = await site.mesh();
  await waitFor(
    async () => {
      const { last_seq: goal } = (await inside.jsm.streams.info("out_globex")).state;
      const { last_seq: done } = (await inside.jsm.streams.info(STREAMS.globex)).state;
      return done >= goal;
    },
    { what: "the view to have all", deadlineMs: 600_000, pollMs: 250 },
  );
}

/** Waits until nothing is on its way. */
async function arrived(mesh: Mesh): Promise<void> {
  const berlin = mesh.site("berlin");
  await viewDone(berlin);
  await waitFor(
    async () => {
      await using inside = await berlin.mesh();
      const { acme, globex } = await positions(mesh.site("austin"));
      const native = (await inside.jsm.streams.info(STREAMS.acme)).state.last_seq;
      const view = (await inside.jsm.streams.info(STREAMS.globex)).state.last_seq;
      return acme >= native && globex >= view;
    },
    { what: "all events to arrive", deadlineMs: 600_000, pollMs: 250 },
  );
}

/** The medians of the first and the last quarter. */
export function memoryOf(samples: readonly number[]): SoakReport["memory"] {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const firstQuarterBytes = median(samples.slice(0, quarter));
  const lastQuarterBytes = median(samples.slice(-quarter));
  return {
    firstQuarterBytes,
    lastQuarterBytes,
    mostBytes: Math.max(...samples),
    growth: Number((lastQuarterBytes / firstQuarterBytes).toFixed(3)),
    samples: samples.length,
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
