/** The seams between the parts of a sidecar: what one offers in the shape that the other asks for. */
import process from "node:process";
import type { JetStreamManager } from "@nats-io/jetstream";
import type { ApiLog } from "../../routes/options.ts";
import type { ViewRunner } from "../control/apply.ts";
import type { ViewReport } from "../control/link_api.ts";
import type { ExportPlan } from "../control/routes.ts";
import type { MeasuredControl } from "../control/site_options.ts";
import { viewKey } from "../control/step.ts";
import type { ViewPolicy, ViewTarget } from "../flow/thread/messages.ts";
import type { ViewWorkers } from "../flow/view_runner.ts";
import type { ViewStats } from "../flow/view_worker.ts";
import type { PolicyKeys } from "../model/keys.ts";
import { dlqStream } from "../model/names.ts";
import type { Log } from "../observe/log.ts";
import { renderMetrics } from "../observe/metrics.ts";
import { compilePolicy, usedKeys } from "../policy/compile.ts";

/** The views of a site, wherever they run. */
export interface SiteViews extends Pick<ViewWorkers, "running" | "stats" | "set" | "redrive"> {
  readonly stop: (key: string) => Promise<void>;
  /** The sidecar that runs a view; `null`: it does not run. */
  readonly memberOf: (key: string) => string | null;
}

/** A view as it is to run. */
export interface WantedView {
  readonly target: ViewTarget;
  readonly policy: ViewPolicy;
}

type KeysOf = (tenant: string) => Promise<PolicyKeys>;

/** A plan's view, with the keys that its policy needs. */
export async function viewOf(plan: ExportPlan, version: string, keysOf: KeysOf): Promise<WantedView> {
  const tenant = plan.tenant.name;
  const keys = usedKeys(plan.policy).length === 0 ? {} : await keysOf(tenant);
  const compile = { tenant, policy: plan.policy, keys, schemas: plan.tenant.schemas };
  const target = {
    key: viewKey(plan),
    tenant,
    policy: plan.policy.name,
    sourceStream: plan.source,
    viewStream: plan.stream,
  };
  return { target, policy: { compile, version } };
}

/** The control plane's view of the data plane: policies go in, deciders come out. */
export function viewRunner(views: SiteViews, keysOf: KeysOf): ViewRunner {
  const set = async (plan: ExportPlan, version: string) => {
    const { target, policy } = await viewOf(plan, version, keysOf);
    // Here a policy that does not compile fails the step; the view's thread compiles it again for itself.
    compilePolicy(policy.compile);
    return await views.set(target, policy);
  };
  return {
    running: () => views.running(),
    start: async (plan, version) => void (await set(plan, version)),
    change: set,
    stop: (key) => views.stop(key),
  };
}

/** What a view's worker has done, and where it runs, as the API says it. */
export function viewReport(stats: ViewStats, member: string | null): ViewReport {
  const { state, version, position, forwarded, redacted, denied, noRule, quarantined, missed, lastError } =
    stats;
  return {
    member,
    state,
    version,
    position,
    forwarded,
    redacted,
    denied: denied + noRule,
    quarantined,
    reasons: stats.reasons,
    redriven: stats.redriven,
    limited: stats.limited,
    deferredMs: Math.round(stats.deferredMs),
    deferral: stats.deferral,
    waiting: stats.waiting,
    missed,
    lastError,
  };
}

/** The site's numbers as Prometheus text. */
export async function siteMetrics(control: MeasuredControl, mesh: JetStreamManager): Promise<string> {
  const { state, revision } = control.state.desired();
  const deadLetters = new Map<string, number>();
  for (const { name } of state.tenants) {
    const info = await mesh.streams.info(dlqStream(name)).catch(() => null);
    if (info !== null) deadLetters.set(name, info.state.messages);
  }
  const { ready } = await control.ready();
  const { links: spoken, store, memory } = await control.site();
  const { certificates } = spoken;
  return await renderMetrics({
    site: state.site,
    certificates: certificates.map(({ kind, peer, notAfter }) => ({
      kind,
      peer,
      leftMs: Date.parse(notAfter) - Date.now(),
    })),
    ready,
    revision,
    links: await control.links(),
    deadLetters,
    shadows: control.shadowNumbers(),
    replays: control.replayNumbers(),
    audit: control.audit.numbers(),
    alarms: control.alarms.list(),
    store,
    memory,
  });
}

/** The sidecar's log as the API writes to it. */
export function apiLog(log: Log): ApiLog {
  const line = (level: "info" | "warn" | "error"): ApiLog["info"] => {
    return (message, fields) => {
      const pairs = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
      log(level, "api", [message, ...pairs].join(" "));
    };
  };
  return { info: line("info"), warn: line("warn"), error: line("error") };
}

/** The runtime with its version. */
export function runtimeName(): string {
  const { bun, deno } = process.versions;
  return bun !== undefined
    ? `bun ${bun}`
    : deno !== undefined
      ? `deno ${deno}`
      : `node ${process.versions.node}`;
}
