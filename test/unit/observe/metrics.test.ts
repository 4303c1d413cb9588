import { describe, expect, test } from "bun:test";
import type { ReplayNumbers } from "../../../src/model/replay.ts";
import type { ShadowNumbers } from "../../../src/model/shadow.ts";
import { type LinkNumbers, type RouteNumbers, renderMetrics } from "../../../src/observe/metrics.ts";

const ROUTE: RouteNumbers = {
  direction: "out",
  tenant: "acme",
  origin: "berlin",
  policy: "orders",
  kind: "view",
  active: true,
  lag: 3,
  position: 42,
  lost: 1,
  view: {
    forwarded: 10,
    redacted: 4,
    denied: 2,
    quarantined: 1,
    redriven: 5,
    limited: 2,
    deferredMs: 1500,
    reasons: { payload_not_json: 1 },
  },
};
const AUDIT = { records: 7, denials: 3, droppedDenials: 1, untoldResults: 0 };
const LINK: LinkNumbers = { peer: "austin", connected: true, verified: "yes", rttMs: 1.5, routes: [ROUTE] };

async function lines(
  links: readonly LinkNumbers[],
  ready = true,
  shadows: readonly ShadowNumbers[] = [],
  replays: readonly ReplayNumbers[] = [],
): Promise<string[]> {
  const deadLetters = new Map([["acme", 7]]);
  const numbers = { site: "berlin", ready, revision: 9, links, deadLetters, shadows, replays, audit: AUDIT };
  const text = await renderMetrics(numbers);
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

/** The value of the one series with this name and these labels. */
function value(series: readonly string[], name: string, ...labels: string[]): string | undefined {
  const found = series.filter(
    (line) => line.startsWith(`leafmesh_${name}{`) && labels.every((label) => line.includes(label)),
  );
  expect([name, labels, found.length]).toEqual([name, labels, 1]);
  return found[0]?.split(" ").at(-1);
}

describe("renderMetrics()", () => {
  test("gives the site's numbers", async () => {
    const series = await lines([]);
    expect(value(series, "ready", 'site="berlin"')).toBe("1");
    expect(value(series, "state_revision")).toBe("9");
    expect(value(series, "dead_letters", 'tenant="acme"')).toBe("7");
    expect(value(await lines([], false), "ready")).toBe("0");
    expect(value(series, "audit_records")).toBe("7");
    expect(value(series, "audit_denials_dropped")).toBe("1");
  });

  test("gives a link's state, and its round trip in seconds", async () => {
    const series = await lines([LINK]);
    expect(value(series, "link_connected", 'peer="austin"')).toBe("1");
    expect(value(series, "link_verified", 'peer="austin"')).toBe("1");
    expect(value(series, "link_rtt_seconds", 'peer="austin"')).toBe("0.0015");
  });

  test("leaves the round trip out when the link is down", async () => {
    const series = await lines([{ ...LINK, connected: false, verified: "unknown", rttMs: null }]);
    expect(value(series, "link_connected")).toBe("0");
    expect(value(series, "link_verified")).toBe("0");
    expect(series.some((line) => line.startsWith("leafmesh_link_rtt_seconds"))).toBe(false);
  });

  test("gives a route's numbers under all that tells it apart", async () => {
    const incoming = {
      ...ROUTE,
      direction: "in",
      origin: "austin",
      policy: null,
      active: false,
      view: null,
    } as const;
    const series = await lines([{ ...LINK, routes: [ROUTE, incoming] }]);
    const out = [
      'peer="austin"',
      'direction="out"',
      'tenant="acme"',
      'origin="berlin"',
      'policy="orders"',
      'kind="view"',
    ];
    expect(value(series, "route_active", ...out)).toBe("1");
    expect(value(series, "route_lag_events", ...out)).toBe("3");
    expect(value(series, "route_position", ...out)).toBe("42");
    expect(value(series, "route_lost_events", ...out)).toBe("1");
    expect(value(series, "route_active", 'direction="in"', 'policy=""')).toBe("0");
  });

  test("counts what a view has decided once, however many peers share it", async () => {
    const series = await lines([LINK, { ...LINK, peer: "tokyo" }]);
    for (const [outcome, count] of Object.entries({
      forwarded: 10,
      redacted: 4,
      denied: 2,
      quarantined: 1,
    })) {
      expect(value(series, "view_events", 'policy="orders"', `outcome="${outcome}"`)).toBe(String(count));
    }
  });

  test("gives what shadows have counted", async () => {
    const changes = new Map([["forward → drop", 3]]);
    const series = await lines([], true, [{ tenant: "acme", policy: "eu", events: 9, skipped: 2, changes }]);
    const of = ['site="berlin"', 'tenant="acme"', 'policy="eu"'];
    expect(value(series, "shadow_events", ...of)).toBe("9");
    expect(value(series, "shadow_skipped_events", ...of)).toBe("2");
    expect(value(series, "shadow_changed_events", ...of, 'change="forward → drop"')).toBe("3");
  });

  test("gives how far replays are", async () => {
    const replay = { id: "r1", tenant: "acme", to: "austin", state: "sent", forwarded: 9 } as const;
    const replays = [{ ...replay, dropped: 2, quarantined: 1, remaining: 4 }];
    const series = await lines([], true, [], replays);
    const of = ['site="berlin"', 'tenant="acme"', 'replay="r1"', 'to="austin"'];
    expect(value(series, "replay_state", ...of, 'state="sent"')).toBe("1");
    expect(value(series, "replay_state", ...of, 'state="done"')).toBe("0");
    expect(value(series, "replay_events", ...of, 'outcome="forwarded"')).toBe("9");
    expect(value(series, "replay_events", ...of, 'outcome="quarantined"')).toBe("1");
    expect(value(series, "replay_remaining_events", ...of)).toBe("4");
  });

  test("keeps nothing from one scrape to the next", async () => {
    await lines([LINK]);
    expect((await lines([])).some((line) => line.includes("austin"))).toBe(false);
  });

  test("explains every metric", async () => {
    const text = await renderMetrics({
      site: "berlin",
      ready: true,
      revision: 1,
      links: [LINK],
      shadows: [],
      audit: AUDIT,
      deadLetters: new Map(),
    });
    const named = new Set([...text.matchAll(/^(leafmesh_\w+)\{/gm)].map((found) => found[1]));
    expect(named.size).toBeGreaterThan(8);
    for (const name of named) expect(text).toMatch(new RegExp(`^# HELP ${name} \\S+`, "m"));
  });
});
