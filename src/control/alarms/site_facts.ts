/** What alarms follow from, read from what the last pass of the reconciler has observed: looking again costs little. */
import process from "node:process";
import { tenantBudget } from "../../model/budget.ts";
import type { DesiredState } from "../../model/desired.ts";
import { errorText } from "../../model/errors.ts";
import type { ReplayReport } from "../../model/replay.ts";
import type { SystemApi } from "../../nats/system_api.ts";
import type { LinkReport } from "../link_api.ts";
import type { Observed, ObservedStreams } from "../observe.ts";
import type { Plan } from "../plan.ts";
import { planExports } from "../routes.ts";
import type { CertificateReport, MemoryReport, StoreReport } from "../site_api.ts";
import { deadLetterFills, logLags, refusingStreams, type SiteFacts } from "./dangers.ts";
import { replayStands } from "./replays.ts";
import { streamReaders } from "./retention.ts";

/** What is watched elsewhere. */
export interface Watched {
  readonly certificates: readonly CertificateReport[];
  /** The disk under the store; `null` where it is not this machine's, or was not looked at yet. */
  readonly store: Pick<StoreReport, "state" | "freeBytes" | "totalBytes"> | null;
}

export interface FactsInput {
  readonly desired: DesiredState;
  readonly system: Pick<SystemApi, "health">;
  /** The last pass; `null` before the first. */
  readonly last: { readonly plan: Plan; readonly observed: Observed } | null;
  readonly failures: readonly string[];
  readonly links: (plan: Plan, streams: ObservedStreams) => Promise<readonly LinkReport[]>;
  /** All replays, of each tenant the newest first. */
  readonly replays: readonly ReplayReport[];
  readonly watched: Watched;
  readonly memoryLimitBytes: number;
  /** `null`: the site is one server, or its servers were not looked at yet. */
  readonly cluster?: SiteFacts["cluster"];
}

/** Reads the facts of now. */
export async function readFacts(input: FactsInput): Promise<SiteFacts> {
  const { desired, system, last, failures, watched } = input;
  const health = await system.health().catch((error: unknown) => ({ ok: false, error: errorText(error) }));
  const server = health.ok ? null : health.error || "it is not healthy";
  const seen = server === null ? last : null;
  const mesh = seen?.observed.mesh;
  return {
    links: seen === null ? null : await input.links(seen.plan, seen.observed.mesh),
    deadLetters: mesh === undefined ? null : deadLetterFills(desired, mesh),
    readers: seen === null ? [] : streamReaders(seen.plan, seen.observed.mesh),
    refusing: mesh === undefined ? [] : refusingStreams(mesh),
    logs: mesh === undefined ? [] : logLags(mesh),
    replays: mesh === undefined ? [] : replayStands(input.replays, mesh),
    certificates: watched.certificates,
    store: storeReport(desired, last?.observed ?? null, watched.store),
    memory: memoryReport(input.memoryLimitBytes),
    server,
    cluster: input.cluster ?? null,
    failures,
    now: new Date(),
  };
}

/** The disk with what streams take of it, and may take. */
export function storeReport(
  desired: DesiredState,
  observed: Observed | null,
  space: Watched["store"],
): StoreReport | null {
  if (space === null) return null;
  const views = new Map<string, number>();
  for (const { tenant, route } of planExports(desired)) {
    if (route.type === "view") views.set(tenant.name, (views.get(tenant.name) ?? 0) + 1);
  }
  const streams = [...(observed?.mesh.values() ?? [])].map(({ info }) => info.state.bytes);
  const logs = [...(observed?.logs.values() ?? [])].map((info) => info?.state.bytes ?? 0);
  const { state, freeBytes, totalBytes } = space;
  return {
    state,
    freeBytes,
    totalBytes,
    usedBytes: sum([...streams, ...logs]),
    budgetBytes: sum(desired.tenants.map((one) => tenantBudget(one, views.get(one.name) ?? 0).totalBytes)),
  };
}

/** What the process takes. */
export function memoryReport(limitBytes: number): MemoryReport {
  return { usedBytes: process.memoryUsage().rss, limitBytes };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
