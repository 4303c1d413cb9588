import { describe, expect, test } from "bun:test";
import type { JetStreamManager } from "@nats-io/jetstream";
import { Shadows, type WantedShadow } from "../../../src/control/shadows.ts";
import { desiredTenant } from "../../../src/model/desired.ts";
import type { EventScanRequest } from "../../../src/model/event_scan.ts";
import type { Rule } from "../../../src/model/schema/policy.ts";
import { waitFor } from "../../support/wait_for.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A stream in memory: the test delivers its events to whoever scans it. */
function world() {
  let active: Rule[] = [{ name: "orders", subjects: ["acme.orders.>"] }];
  let end = 100;
  let wanted: WantedShadow[] = [];
  const scans: { request: EventScanRequest; finish: (how: "aborted" | "stopped" | Error) => void }[] = [];
  const logged: string[] = [];
  const shadows = new Shadows({
    mesh: { streams: { info: async () => ({ state: { last_seq: end } }) } } as unknown as JetStreamManager,
    scan: (request) =>
      new Promise((resolve, reject) => {
        request.signal.addEventListener("abort", () => resolve("aborted"));
        scans.push({
          request,
          finish: (how) => (how instanceof Error ? reject(how) : resolve(how)),
        });
      }),
    desired: () => ({
      site: "berlin",
      peers: [],
      tenants: [desiredTenant({ tenant: "acme", exports: [{ name: "eu", to: ["tokyo"], rules: active }] })],
    }),
    wanted: () => wanted,
    optionsOf: async (tenant, policy) => ({ tenant, policy }),
    log: (_, message) => logged.push(message),
  });
  return {
    shadows,
    scans,
    logged,
    want: (rules: Rule[] | null, name = "eu") => {
      wanted = rules === null ? [] : [{ tenant: "acme", name, rules }];
      shadows.sync();
    },
    change: (rules: Rule[]) => {
      active = rules;
      shadows.sync();
    },
    /** The stream grows; the scan looks at one event and hears how many are behind it. */
    event: (sequence: number, pending = 0) => {
      end = sequence + pending;
      const scan = scans.at(-1);
      const about = { headers: bytes(""), data: bytes("{}"), origin: "berlin", timeMs: 5 };
      scan?.request.onEvent({ subject: "acme.orders.x", sequence, ...about }, pending);
      if (scan?.request.onSlice() === false) scan.finish("stopped");
    },
    scanning: (count: number) => waitFor(() => scans.length === count, { what: `${count} scans` }),
  };
}
const NONE: Rule[] = [{ name: "none", subjects: ["acme.none"] }];

describe("Shadows", () => {
  test("begin with what comes, and count what they would do otherwise", async () => {
    const { shadows, scans, want, event, scanning } = world();
    await using _ = shadows;
    want(NONE);
    await scanning(1);
    expect(scans[0]?.request).toMatchObject({
      stream: "out_acme",
      filter: "berlin.acme.>",
      start: { sequence: 101 },
      end: null,
    });
    event(101);
    event(102);
    expect(shadows.report("acme", "eu", false)).toMatchObject({
      state: "running",
      skipped: 0,
      first: { sequence: 101 },
      last: { sequence: 102 },
      compared: {
        activeKind: "native",
        comparison: { events: 2, changed: 2, verdicts: { "forward → drop": 2 } },
      },
    });
    const [number] = shadows.numbers();
    expect([number?.events, [...(number?.changes ?? [])]]).toEqual([
      2,
      [
        ["forward → drop", 2],
        ["output", 0],
      ],
    ]);
  });

  test("show what leaves only when asked", async () => {
    const { shadows, want, event, scanning } = world();
    await using _ = shadows;
    want(NONE);
    await scanning(1);
    event(101);
    const sample = (samples: boolean) =>
      shadows.report("acme", "eu", samples).compared?.comparison.rules[0]?.samples[0];
    expect(Object.keys(sample(false) ?? {})).not.toContain("active");
    expect(sample(true)).toMatchObject({ active: { subject: "acme.orders.x" }, candidate: null });
  });

  test("pass over what they cannot keep up with, and count it", async () => {
    const { shadows, scans, want, event, scanning } = world();
    await using _ = shadows;
    want(NONE);
    await scanning(1);
    event(101, 10_000);
    expect(scans).toHaveLength(1);
    event(102, 10_001);
    await scanning(2);
    expect(scans[1]?.request.start).toEqual({ sequence: 10_104 });
    event(10_104);
    expect(shadows.report("acme", "eu", false)).toMatchObject({
      skipped: 10_001,
      compared: { comparison: { events: 3 } },
    });
  });

  test("go on where they were when the stream could not be read", async () => {
    const { shadows, scans, want, event, scanning, logged } = world();
    await using _ = shadows;
    want(NONE);
    await scanning(1);
    event(101, 3);
    scans[0]?.finish(new Error("the server is gone"));
    await waitFor(() => shadows.report("acme", "eu", false).state === "waiting", { what: "the failure" });
    expect(shadows.report("acme", "eu", false).lastError).toBe("the server is gone");
    expect(logged).toEqual(["Shadow of export acme/eu waits: the server is gone"]);
    await scanning(2);
    expect(scans[1]?.request.start).toEqual({ sequence: 102 });
    expect(shadows.report("acme", "eu", false)).toMatchObject({
      state: "running",
      lastError: null,
      skipped: 0,
    });
  });

  test("count anew when either side changes, not when anything else does", async () => {
    const { shadows, scans, want, change, event, scanning } = world();
    await using _ = shadows;
    want(NONE);
    await scanning(1);
    event(101);
    change([{ name: "renamed", subjects: ["acme.orders.>"] }]);
    change([{ name: "orders", subjects: ["acme.orders.>", "acme.more.>"] }]);
    await scanning(2);
    expect(scans[0]?.request.signal.aborted).toBe(true);
    expect(shadows.report("acme", "eu", false).compared?.comparison.events).toBe(0);
    want([{ subjects: ["acme.orders.>"] }]);
    await scanning(3);
    want(null);
    await waitFor(() => scans[2]?.request.signal.aborted === true, { what: "the end of the shadow" });
    expect(() => shadows.report("acme", "eu", false)).toThrow("Export acme/eu has no shadow");
    expect(shadows.numbers()).toEqual([]);
  });

  test("of an export that is not there do not run, and say so", async () => {
    const { shadows, want, logged, scans } = world();
    await using _ = shadows;
    want(NONE, "us");
    await waitFor(() => logged.length > 0, { what: "the log" });
    expect(logged).toEqual(["Shadow of export acme/us does not run: There is no export acme/us"]);
    expect(shadows.report("acme", "us", false)).toMatchObject({
      state: "waiting",
      lastError: "There is no export acme/us",
      compared: null,
    });
    shadows.sync();
    want(NONE);
    await waitFor(() => shadows.report("acme", "eu", false).state === "running", {
      what: "the other shadow",
    });
    expect(logged).toHaveLength(1);
    expect(scans).toHaveLength(1);
  });
});
