/** `--once`: a fixed set of events, published at all sites, and what came of them. */

import { sleep } from "../../src/nats/wait.ts";
import { Apps } from "./apps.ts";
import { Checker, type Fault } from "./checker.ts";
import type { Percentiles } from "./latency.ts";
import type { Example } from "./payloads.ts";
import { ROUTE_KINDS } from "./policies.ts";
import type { Ring } from "./ring.ts";
import { type DemoEvent, makeEvents, READ_LOG, SITES, TENANTS } from "./scenario.ts";
import { Interrupted, waitUntil } from "./wait.ts";

/** Events of each publisher that are kept for the end and published at a calm rate: a burst measures queues. */
const CALM_EVENTS = 40;
const CALM_PAUSE_MS = 40;
/** How long events may take to arrive after their publisher is done. */
const ARRIVAL_DEADLINE_MS = 25_000;

/** The result of a run; numbers of events unless said otherwise. */
export interface DemoReport {
  readonly ok: boolean;
  /** What is not as it should be, empty when `ok`. */
  readonly problems: readonly string[];
  readonly published: number;
  /** Remote events that the apps at each site received. */
  readonly delivered: Readonly<Record<string, number>>;
  /** Published, permitted nowhere by a rule that denies, and seen at no other site. */
  readonly denied: number;
  /** On subjects that no policy shares, and seen at no other site. */
  readonly kept: number;
  /** Received with a redaction in the payload. */
  readonly redacted: number;
  /** Received without a class of headers that was published. */
  readonly headersDropped: number;
  /** Dead letters, read over the API. */
  readonly quarantined: number;
  /** Second publishes that the server recognized. */
  readonly duplicatesStopped: number;
  readonly leaks: number;
  readonly echoes: number;
  readonly reordered: number;
  readonly altered: number;
  readonly missing: number;
  /** From publish to a core subscriber at another site, at a calm rate; milliseconds. */
  readonly latencyMs: Percentiles;
  /** From the first publish of the burst to its last delivery; milliseconds. */
  readonly burstMs: number;
}

/** Publishes everything, waits for what must come, and checks what came. */
export async function runOnce(
  ring: Ring,
  examples: readonly Example[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<DemoReport> {
  const problems: string[] = [];
  const publishers = SITES.flatMap((site) => TENANTS.map((tenant) => makeEvents(site, tenant, examples)));
  const events = publishers.flat();
  const checker = new Checker([READ_LOG]);
  await using apps = await Apps.open(ring, (message) => checker.received(message));
  problems.push(...(await checkKinds(ring, signal)));

  say(
    `publishing ${events.length} events (${examples.length} GitHub payloads, by ${publishers.length} apps)`,
  );
  const started = performance.now();
  const publish = async (from: number, to: number | undefined, pauseMs: number) => {
    const parts = publishers.map((own) => own.slice(from, to));
    for (const event of parts.flat()) checker.expect(event);
    const counts = await Promise.all(parts.map((own) => publishAll(apps, own, pauseMs, signal)));
    duplicatesStopped += counts.reduce((sum, count) => sum + count, 0);
    const late = AbortSignal.any([signal, AbortSignal.timeout(ARRIVAL_DEADLINE_MS)]);
    await waitUntil(`${checker.outstanding} deliveries`, () => checker.outstanding <= 0, late, 10);
  };
  let duplicatesStopped = 0;
  let burstMs = 0;
  try {
    checker.measuring = false;
    await publish(0, -CALM_EVENTS, 0);
    burstMs = Math.round(performance.now() - started);
    checker.measuring = true;
    // The last event of each publisher goes everywhere: once all have come, what else was to come has come before.
    await publish(-CALM_EVENTS, undefined, CALM_PAUSE_MS);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    problems.push(error.message);
  }
  checker.checkMissing();

  const quarantined = await checkLetters(ring, events, signal, problems);
  const twice = events.filter((event) => event.twice).length;
  if (duplicatesStopped !== twice) problems.push(`${duplicatesStopped} of ${twice} duplicates were stopped`);
  problems.push(...describeFaults(checker.counts, checker.faults));
  const seenNowhere = (fate: DemoEvent["fate"]) =>
    events.filter((event) => event.fate === fate && !checker.seenAbroad(event.id)).length;
  const denied = seenNowhere("denied");
  for (const [what, count] of Object.entries({
    denied,
    redacted: checker.redacted,
    "header classes dropped": checker.withoutHeaders,
    quarantined,
  })) {
    if (count === 0) problems.push(`no event was seen: ${what}`);
  }
  const latency = checker.latency.percentiles() ?? { p50: 0, p99: 0 };
  return {
    ok: problems.length === 0,
    problems,
    published: events.length,
    delivered: Object.fromEntries(SITES.map((site) => [site, checker.delivered.get(site) ?? 0])),
    denied,
    kept: seenNowhere("private"),
    redacted: checker.redacted,
    headersDropped: checker.withoutHeaders,
    quarantined,
    duplicatesStopped,
    leaks: checker.counts.leak,
    echoes: checker.counts.echo,
    reordered: checker.counts.reordered,
    altered: checker.counts.altered,
    missing: checker.counts.missing,
    latencyMs: { p50: round(latency.p50), p99: round(latency.p99) },
    burstMs,
  };
}

/** Publishes one after the other, as each is acknowledged. @returns how many duplicates were recognized */
async function publishAll(
  apps: Apps,
  events: readonly DemoEvent[],
  pauseMs: number,
  signal: AbortSignal,
): Promise<number> {
  let stopped = 0;
  for (const event of events) {
    signal.throwIfAborted();
    if (await apps.publish(event, 1))
      throw new Error(`${event.subject} ${event.id} was taken for a duplicate`);
    if (event.twice && (await apps.publish(event, 2))) stopped++;
    if (pauseMs > 0) await sleep(pauseMs, signal);
  }
  return stopped;
}

/** Which exports run otherwise than they should: natively, or through a view. */
async function checkKinds(ring: Ring, signal: AbortSignal): Promise<string[]> {
  const problems: string[] = [];
  for (const site of SITES) {
    const kinds = await ring.apis[site].routeKinds(signal);
    for (const [policy, kind] of Object.entries(ROUTE_KINDS[site])) {
      const runs = kinds[policy] ?? "not there";
      if (runs !== kind) problems.push(`${policy} at ${site} is ${runs}, expected ${kind}`);
    }
  }
  return problems;
}

/** Reads the dead letters back: exactly the events that no policy can redact. @returns how many */
async function checkLetters(
  ring: Ring,
  events: readonly DemoEvent[],
  signal: AbortSignal,
  problems: string[],
): Promise<number> {
  const expected = new Map(
    events.filter((event) => event.fate === "quarantined").map((event) => [event.id, event]),
  );
  let count = 0;
  for (const site of SITES) {
    for (const tenant of TENANTS) {
      for (const letter of await ring.apis[site].deadLetters(tenant, signal)) {
        count++;
        const id = Object.entries(letter.headers).find(
          ([name]) => name.toLowerCase() === "nats-msg-id",
        )?.[1][0];
        if (!expected.delete(id ?? "")) {
          problems.push(
            `dead letter ${letter.sequence} of ${tenant} at ${site} was not expected: ${letter.subject}, ${letter.policy} ${letter.rule}: ${letter.reason}`,
          );
        }
      }
    }
  }
  for (const event of expected.values()) problems.push(`no dead letter of ${event.subject} ${event.id}`);
  return count;
}

function describeFaults(counts: Readonly<Record<string, number>>, faults: readonly Fault[]): string[] {
  const totals = Object.entries(counts).filter(([, count]) => count > 0);
  return [
    ...totals.map(([kind, count]) => `${kind}: ${count}`),
    ...faults.map((fault) => `  ${fault.kind}: ${fault.text} (id ${fault.id})`),
  ];
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
