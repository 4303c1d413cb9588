/**
 * Sends hostile events over a real link: two sites, each a sidecar process with its nats-server, random policies that change
 * under way. Counts what became of every event and searches all that arrives for the planted secrets.
 */
import process from "node:process";
import { jetstreamManager } from "@nats-io/jetstream";
import fc from "fast-check";
import type { ViewReport } from "../../../src/control/link_api.ts";
import type { ExportPolicy } from "../../../src/model/schema/policy.ts";
import { type Mesh, type MeshSite, startMesh } from "../mesh.ts";
import { waitFor } from "../wait_for.ts";
import { type Delivered, type Published, publishEvents, readDelivered, readStream } from "./link_events.ts";
import { type LinkFuzzReport, linkFuzzReport } from "./link_report.ts";
import { SCHEMAS, successiveOf } from "./policies.ts";
import { leaksInText } from "./secrets.ts";

export interface LinkFuzzOptions {
  readonly events: number;
  readonly seed: number;
  /** How often the policy changes under way. */
  readonly changes: number;
  /** The policies hide nothing: the run must find leaks. */
  readonly uncovered?: boolean;
  readonly log?: (line: string) => void;
}

const POLICY = "fuzz";
/** A view that does not move for so long is stalled. */
const STALL_MS = 60_000;

/** Runs, and reports. */
export async function runLinkFuzz(options: LinkFuzzOptions): Promise<LinkFuzzReport> {
  const { events, seed, log = () => {} } = options;
  const start = performance.now();
  const policies = fc
    .sample(successiveOf(POLICY, ["austin"]), { seed, numRuns: options.changes + 1 })
    .map((policy) => (options.uncovered ? uncovered(policy) : policy));
  await using mesh = await startFuzzMesh(policies[0] as ExportPolicy);
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const pids = mesh.sites.map((site) => site.pid);
  const published: Published = { positions: new Map(), refused: 0 };
  const here = await berlin.app("acme");
  const problems: string[] = [];
  const change = (policy: ExportPolicy) => berlin.put(`/v1/tenants/acme/exports/${POLICY}`, policy);
  for (const [at, policy] of policies.entries()) {
    const isLast = at === policies.length - 1;
    // The last events are published while the view waits for a limit.
    if (isLast) await change({ ...policy, limit: { messages: "1/s", burst: "1s" } });
    else if (at > 0) await change(policy);
    const part = [at, at + 1].map((one) => Math.floor((events * one) / policies.length)) as [number, number];
    await publishEvents(here, seed, part, published);
    log(`${part[1]} events, policy ${at + 1} of ${policies.length}`);
  }
  const last = published.positions.values().reduce((most, position) => Math.max(most, position), 0);
  const held = await deferring(berlin, last, published.positions.size, problems);
  await change(policies.at(-1) as ExportPolicy);
  const { view, stalled } = await settled(berlin, last, log);
  const far = await readFar(austin, view.forwarded, problems);
  const dead = await searchDeadLetters(berlin);
  if (dead.count !== view.quarantined)
    problems.push(`${view.quarantined} quarantined, ${dead.count} dead letters`);
  if (new Set(published.positions.values()).size !== published.positions.size) {
    problems.push("two events were stored as one");
  }
  const logs = await Promise.all(mesh.sites.map((site) => site.log()));
  const crashes = mesh.sites.filter((site, at) => !alive(site.pid) || site.pid !== pids[at]).length;
  const restarted = logs.join("\n").match(/^.*(?:thread (?:failed|ended|died)|server exited).*$/gim) ?? [];
  problems.push(...restarted.slice(0, 3).map((line) => `log: ${line}`));
  return linkFuzzReport(
    {
      seed,
      published: published.positions.size,
      refused: published.refused,
      forwarded: view.forwarded,
      dropped: droppedBy(view),
      quarantined: view.quarantined,
      deferred: Math.max(view.waiting, last - view.position),
      held,
      received: far.received,
      policies: policies.length,
      versions: far.versions.size,
      leaks: far.leaks + dead.leaks + logs.filter((text) => leaksInText(text).length > 0).length,
      crashes: crashes + restarted.length,
      stalls: Number(stalled),
      repeated: far.repeated,
      reordered: far.reordered,
      reasons: view.reasons,
      seconds: Math.round((performance.now() - start) / 1000),
    },
    problems,
  );
}

async function startFuzzMesh(policy: ExportPolicy): Promise<Mesh> {
  return await startMesh({
    sites: { berlin: ["austin"], austin: [] },
    tenants: (site) => [
      site === "berlin"
        ? { tenant: "acme", limits: { storage: "8GiB" }, schemas: SCHEMAS, exports: [policy] }
        : {
            tenant: "acme",
            limits: { storage: "8GiB" },
            imports: [{ from: "berlin", subjects: ["acme.>"] }],
          },
    ],
    edit: (file) => ({ ...file, server: { ...file.server, sync: "2s" } }),
  });
}

/**
 * Waits until the view waits for its limit, and looks whether all events are accounted for then.
 * @returns how many are deferred
 */
async function deferring(
  site: MeshSite,
  last: number,
  published: number,
  problems: string[],
): Promise<number> {
  const view = await waitFor(
    async () => {
      const now = await viewOf(site);
      return now.position >= last || (now.deferral !== null && now.waiting > 0) ? now : null;
    },
    { deadlineMs: STALL_MS, pollMs: 50, what: "the view to wait for its limit" },
  );
  const deferred = last - view.position;
  const accounted = view.forwarded + droppedBy(view) + view.quarantined + deferred;
  if (accounted !== published) {
    problems.push(`${published} published, ${accounted} accounted for while ${deferred} were deferred`);
  }
  return deferred;
}

function droppedBy(view: ViewReport): number {
  return view.denied + view.limited;
}

/** The same without what hides secrets; a condition keeps it a view. */
function uncovered(policy: ExportPolicy): ExportPolicy {
  return { ...policy, rules: [{ subjects: ["acme.>"], when: "true" }] };
}

/** Waits until the view has dealt with all events, or stands still. */
async function settled(
  site: MeshSite,
  last: number,
  log: (line: string) => void,
): Promise<{ readonly view: ViewReport; readonly stalled: boolean }> {
  let view = await viewOf(site);
  for (;;) {
    const before = view.position;
    if (before >= last) return { view, stalled: false };
    log(`view at ${before} of ${last}`);
    try {
      view = await waitFor(
        async () => {
          const now = await viewOf(site);
          return now.position > before ? now : null;
        },
        { deadlineMs: STALL_MS, pollMs: 250, what: `the view to go on after ${before}` },
      );
    } catch {
      return { view: await viewOf(site), stalled: true };
    }
  }
}

async function viewOf(site: MeshSite): Promise<ViewReport> {
  const view = (await site.links())
    .flatMap((link) => link.routes)
    .find((route) => route.policy === POLICY && route.view !== null)?.view;
  if (view === null || view === undefined) throw new Error("The policy has no view");
  return view;
}

interface Far {
  received: number;
  leaks: number;
  repeated: number;
  reordered: number;
  readonly versions: Set<string>;
}

async function readFar(site: MeshSite, expected: number, problems: string[]): Promise<Far> {
  const far: Far = { received: 0, leaks: 0, repeated: 0, reordered: 0, versions: new Set() };
  const nc = await site.app("acme");

  const jsm = await jetstreamManager(nc);
  const stored = async () => (await jsm.streams.info("acme")).state.last_seq;
  await waitFor(async () => (await stored()) >= expected, {
    deadlineMs: STALL_MS,
    pollMs: 250,
    what: `${expected} events at the far site`,
  }).catch((thrown: unknown) => problems.push(String(thrown)));
  const seen = new Set<number>();
  let lastPosition = 0;
  await readDelivered(nc, "acme", 0, await stored(), (event: Delivered) => {
    far.received++;
    if (event.leaks.length > 0) {
      if (far.leaks++ < 3) problems.push(`leak at position ${event.position}: ${event.leaks.join(", ")}`);
    }
    if (seen.has(event.position)) far.repeated++;
    seen.add(event.position);
    if (!(event.position > lastPosition)) far.reordered++;
    lastPosition = event.position;
    far.versions.add(event.version);
  });
  return far;
}

/** How many dead letters there are; what they say beside the event itself must hold no secret. */
async function searchDeadLetters(
  site: MeshSite,
): Promise<{ readonly count: number; readonly leaks: number }> {
  await using mesh = await site.mesh();
  const { last_seq } = (await mesh.jsm.streams.info("dlq_acme")).state;
  let leaks = 0;
  await readStream(mesh.js, "dlq_acme", 0, last_seq, (message) => {
    const lines = [message.subject];
    for (const [name, values] of message.headers ?? []) {
      // The event's own header block.
      if (name !== "Leafmesh-Dlq-Headers") lines.push(values.join("\n"));
    }
    if (leaksInText(lines.join("\n")).length > 0) leaks++;
  });
  return { count: last_seq, leaks };
}

function alive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}
