/** The sidecar's numbers as Prometheus text. Set from reports at each scrape: nothing is counted twice. */
import type { Gauge } from "prom-client";
import type { Alarm } from "../model/alarms.ts";
import { REPLAY_STATES, type ReplayNumbers } from "../model/replay.ts";
import type { ShadowNumbers } from "../model/shadow.ts";

/** What is measured of a route to or from a peer. */
export interface RouteNumbers {
  readonly direction: "out" | "in";
  readonly tenant: string;
  readonly origin: string;
  readonly policy: string | null;
  readonly kind: string;
  readonly active: boolean;
  readonly lag: number;
  readonly position: number;
  readonly lost: number;
  readonly view: {
    readonly forwarded: number;
    readonly redacted: number;
    readonly denied: number;
    readonly quarantined: number;
    readonly redriven: number;
    readonly limited: number;
    readonly deferredMs: number;
    readonly reasons: Readonly<Record<string, number>>;
  } | null;
}

export interface LinkNumbers {
  readonly peer: string;
  readonly connected: boolean;
  readonly verified: string;
  readonly rttMs: number | null;
  readonly routes: readonly RouteNumbers[];
}

/** How long a certificate is good. */
export interface CertificateNumbers {
  readonly kind: string;
  /** `null`: this site's own. */
  readonly peer: string | null;
  readonly leftMs: number;
}

export interface SiteNumbers {
  readonly site: string;
  /** None where links are plain. */
  readonly certificates?: readonly CertificateNumbers[];
  readonly ready: boolean;
  readonly revision: number;
  readonly links: readonly LinkNumbers[];
  /** Dead letters kept, by tenant. */
  readonly deadLetters: ReadonlyMap<string, number>;
  readonly shadows: readonly ShadowNumbers[];
  /** Those that have not ended, or lately. */
  readonly replays?: readonly ReplayNumbers[];
  readonly audit: AuditNumbers;
  /** The disk under the store; `null` where it is not watched. */
  readonly store?: StoreNumbers | null;
  readonly memory?: { readonly usedBytes: number; readonly limitBytes: number };
  readonly alarms?: readonly Pick<Alarm, "name" | "target" | "severity">[];
}

/** The disk under the store. */
export interface StoreNumbers {
  readonly state: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly budgetBytes: number;
}

/** What is counted of the audit trail. */
export interface AuditNumbers {
  readonly records: number;
  readonly denials: number;
  readonly droppedDenials: number;
  readonly untoldResults: number;
}

const OUTCOMES = ["forwarded", "redacted", "denied", "quarantined", "redriven", "limited"] as const;
const LINK = ["site", "peer"] as const;
const ROUTE = [...LINK, "direction", "tenant", "origin", "policy", "kind"] as const;

/** Renders the numbers of a site. */
export async function renderMetrics(numbers: SiteNumbers): Promise<string> {
  // Loaded at the first scrape: a start need not wait for it.
  const { Gauge, Registry } = await import("prom-client");
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: readonly string[]) =>
    new Gauge({ name: `leafmesh_${name}`, help, labelNames, registers: [registry] });
  const { site } = numbers;

  gauge("ready", "1 when the server is up and the state is applied", ["site"]).set(
    { site },
    Number(numbers.ready),
  );
  gauge("state_revision", "Revision of the desired state", ["site"]).set({ site }, numbers.revision);
  const letters = gauge("dead_letters", "Dead letters kept", ["site", "tenant"]);
  for (const [tenant, count] of numbers.deadLetters) letters.set({ site, tenant }, count);
  renderShadows(gauge, site, numbers.shadows);
  renderReplays(gauge, site, numbers.replays ?? []);
  const expiry = gauge(
    "certificate_expiry_seconds",
    "Until a certificate is good no more; of two CAs of a peer the later",
    ["site", "kind", "peer"],
  );
  for (const { kind, peer, leftMs } of [...(numbers.certificates ?? [])].sort(
    (a, b) => a.leftMs - b.leftMs,
  )) {
    expiry.set({ site, kind, peer: peer ?? "" }, leftMs / 1000);
  }
  renderAudit(gauge, site, numbers.audit);
  renderOwn(gauge, site, numbers);
  const alarm = gauge("alarm", "1 for each alarm that is raised", ["site", "name", "target", "severity"]);
  for (const { name, target, severity } of numbers.alarms ?? [])
    alarm.set({ site, name, target, severity }, 1);

  const connected = gauge("link_connected", "1 when the leaf link stands", LINK);
  const verified = gauge("link_verified", "1 when the peer has proved its key", LINK);
  const rtt = gauge("link_rtt_seconds", "Round trip of the leaf link", LINK);
  const active = gauge("route_active", "1 when events can cross", ROUTE);
  const lag = gauge("route_lag_events", "Events that wait to cross", ROUTE);
  const position = gauge("route_position", "Sequence up to which events have crossed", ROUTE);
  const lost = gauge(
    "route_lost_events",
    "Events that retention dropped before they crossed (upper bound)",
    ROUTE,
  );
  const view = gauge("view_events", "Events that a view has decided since the sidecar started", [
    "site",
    "tenant",
    "policy",
    "outcome",
  ]);
  const deferred = gauge("view_deferred_seconds", "How long a view has waited for its limits", [
    "site",
    "tenant",
    "policy",
  ]);
  const quarantined = gauge(
    "quarantined_events",
    "Dead letters that a view has written since the sidecar started, by reason",
    ["site", "tenant", "policy", "reason"],
  );
  for (const link of numbers.links) {
    const of = { site, peer: link.peer };
    connected.set(of, Number(link.connected));
    verified.set(of, Number(link.verified === "yes"));
    if (link.rttMs !== null) rtt.set(of, link.rttMs / 1000);
    for (const route of link.routes) {
      const { direction, tenant, origin, kind } = route;
      const labels = { ...of, direction, tenant, origin, kind, policy: route.policy ?? "" };
      active.set(labels, Number(route.active));
      lag.set(labels, route.lag);
      position.set(labels, route.position);
      lost.set(labels, route.lost);
      if (route.view === null) continue;
      const { reasons, ...outcomes } = route.view;
      for (const outcome of OUTCOMES) {
        view.set({ site, tenant, policy: labels.policy, outcome }, outcomes[outcome]);
      }
      deferred.set({ site, tenant, policy: labels.policy }, outcomes.deferredMs / 1000);
      for (const [reason, count] of Object.entries(reasons)) {
        quarantined.set({ site, tenant, policy: labels.policy, reason }, count);
      }
    }
  }
  return await registry.metrics();
}

function renderOwn(
  gauge: (name: string, help: string, labelNames: readonly string[]) => Gauge,
  site: string,
  { store, memory }: SiteNumbers,
): void {
  if (memory !== undefined) {
    gauge("memory_bytes", "What the sidecar's process takes (RSS)", ["site"]).set({ site }, memory.usedBytes);
    gauge("memory_limit_bytes", "Above it an alarm is raised", ["site"]).set({ site }, memory.limitBytes);
  }
  if (store === undefined || store === null) return;
  const of = (name: string, help: string) => gauge(`store_${name}`, help, ["site"]);
  of("free_bytes", "Free on the disk under the store").set({ site }, store.freeBytes);
  of("total_bytes", "Size of the disk under the store").set({ site }, store.totalBytes);
  of("used_bytes", "What the streams take").set({ site }, store.usedBytes);
  of("budget_bytes", "What all tenants together may take at most").set({ site }, store.budgetBytes);
  of("stopped", "1 when the server could not write and refuses publishes").set(
    { site },
    Number(store.state === "stopped"),
  );
}

function renderAudit(
  gauge: (name: string, help: string, labelNames: readonly string[]) => Gauge,
  site: string,
  audit: AuditNumbers,
): void {
  const help = {
    audit_records: "Number of the last record of the audit trail; it never falls",
    audit_denials: "Refusals since the sidecar started",
    audit_denials_dropped: "Refusals that are not in the audit trail, because there were too many",
    audit_results_untold: "Changes whose end could not be written to the audit trail",
  };
  gauge("audit_records", help.audit_records, ["site"]).set({ site }, audit.records);
  gauge("audit_denials", help.audit_denials, ["site"]).set({ site }, audit.denials);
  gauge("audit_denials_dropped", help.audit_denials_dropped, ["site"]).set({ site }, audit.droppedDenials);
  gauge("audit_results_untold", help.audit_results_untold, ["site"]).set({ site }, audit.untoldResults);
}

function renderReplays(
  gauge: (name: string, help: string, labelNames: readonly string[]) => Gauge,
  site: string,
  replays: readonly ReplayNumbers[],
): void {
  const labels = ["site", "tenant", "replay", "to"];
  const state = gauge("replay_state", "1 for the state that a replay is in, 0 for the others", [
    ...labels,
    "state",
  ]);
  const events = gauge("replay_events", "Events that a replay has decided", [...labels, "outcome"]);
  const remaining = gauge(
    "replay_remaining_events",
    "Events that a replay has not looked at yet (upper bound), and that its peer has not taken yet",
    labels,
  );
  for (const { id, tenant, to, ...replay } of replays) {
    const of = { site, tenant, replay: id, to };
    for (const one of REPLAY_STATES) state.set({ ...of, state: one }, Number(one === replay.state));
    for (const outcome of ["forwarded", "dropped", "quarantined"] as const) {
      events.set({ ...of, outcome }, replay[outcome]);
    }
    remaining.set(of, replay.remaining);
  }
}

function renderShadows(
  gauge: (name: string, help: string, labelNames: readonly string[]) => Gauge,
  site: string,
  shadows: readonly ShadowNumbers[],
): void {
  const labels = ["site", "tenant", "policy"];
  const events = gauge("shadow_events", "Events that a shadow has looked at", labels);
  const skipped = gauge("shadow_skipped_events", "Events that a shadow has passed over", labels);
  const changed = gauge("shadow_changed_events", "Events that a shadow would treat otherwise", [
    ...labels,
    "change",
  ]);
  for (const { tenant, policy, ...shadow } of shadows) {
    const of = { site, tenant, policy };
    events.set(of, shadow.events);
    skipped.set(of, shadow.skipped);
    for (const [change, count] of shadow.changes) changed.set({ ...of, change }, count);
  }
}
