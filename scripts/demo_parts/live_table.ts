/** The table of the live demo, as text. Pure. */
import { type Checker, flowKey } from "./checker.ts";
import { peersOf } from "./policies.ts";
import { SITES, type Site, TENANTS } from "./scenario.ts";
import type { Link } from "./site_api.ts";

export interface LiveState {
  readonly seconds: number;
  readonly published: number;
  readonly duplicatesStopped: number;
  readonly checker: Checker;
  /** What each site's API says of its links; missing while it does not answer. */
  readonly links: ReadonlyMap<Site, readonly Link[]>;
  /** Events by flow at the last table, and the seconds since. */
  readonly before: ReadonlyMap<string, number>;
  readonly sinceSeconds: number;
  /** What happens beside the flow, for example a sidecar that is gone. */
  readonly news: readonly string[];
}

const HEAD = [
  "link",
  "tenant",
  "kind",
  "events",
  "/s",
  "lag",
  "p50 ms",
  "p99 ms",
  "redacted",
  "denied",
  "quarantined",
];
const TEXT_COLUMNS = 3;

/** Lines of the table, without line ends. */
export function renderLive(state: LiveState): string[] {
  const { counts } = state.checker;
  const rows = SITES.flatMap((from) =>
    TENANTS.flatMap((tenant) => peersOf(from).map((to) => rowOf(state, from, to, tenant))),
  );
  const widths = HEAD.map((name, i) => Math.max(name.length, ...rows.map((row) => (row[i] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((text, i) => (i < TEXT_COLUMNS ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)))
      .join("  ");
  return [
    `${duration(state.seconds)}  ${state.published} published, ${state.duplicatesStopped} duplicates stopped  |  ` +
      `leaks ${counts.leak}, echoes ${counts.echo}, reordered ${counts.reordered}, altered ${counts.altered}`,
    line(HEAD),
    ...rows.map(line),
    ...state.news,
    ...state.checker.faults.slice(-3).map((fault) => `${fault.kind}: ${fault.text}`),
  ];
}

function rowOf(state: LiveState, from: Site, to: Site, tenant: string): string[] {
  const key = flowKey(from, to, tenant);
  const flow = state.checker.flows.get(key);
  const route = state.links
    .get(from)
    ?.find((link) => link.peer === to)
    ?.routes.find((one) => one.direction === "out" && one.tenant === tenant);
  // An exporter counts as waiting what is not acknowledged yet, and acknowledgements come in lots: the importer knows better.
  const arriving = state.links
    .get(to)
    ?.find((link) => link.peer === from)
    ?.routes.find((one) => one.direction === "in" && one.tenant === tenant);
  const events = flow?.events ?? 0;
  const latency = flow?.latency.percentiles();
  const rate = (events - (state.before.get(key) ?? 0)) / Math.max(state.sinceSeconds, 0.001);
  const view = route?.view;
  const kind =
    route === undefined ? "?" : route.active ? route.kind : `${route.kind}: ${route.why ?? "waits"}`;
  return [
    `${from} > ${to}`,
    tenant,
    kind.slice(0, 40),
    String(events),
    rate.toFixed(1),
    arriving === undefined ? "?" : String(arriving.lag),
    latency?.p50.toFixed(1) ?? "-",
    latency?.p99.toFixed(1) ?? "-",
    ...(view === undefined || view === null
      ? ["-", "-", "-"]
      : [view.redacted, view.denied, view.quarantined].map(String)),
  ];
}

function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
}
