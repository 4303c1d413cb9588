/**
 * Builds that are broken on purpose, which the fault machine must find. A run ends at the first that it sees of what is looked for:
 * sidecars of such a build start from source, which is dear. `LEAFMESH_FINDS=all` runs those, too, that are much like another one.
 */
import { describe, expect, test } from "bun:test";
import process from "node:process";
import type { FaultKind } from "../support/faults/arrivals.ts";
import { type Break, brokenBuild } from "../support/faults/broken_build.ts";
import { type FaultRunOptions, LEADER_FROZEN, runFaults } from "../support/faults/run.ts";

/** Five times what a quiet machine takes and more. */
const TIMEOUT_MS = 480_000;
const SIDECAR_KILLED = {
  seed: 5,
  minutes: 0.15,
  // The first may come before there is anything to see.
  leastFaults: 5,
  rate: 250,
  diskBytes: null,
  only: ["sidecar killed"],
} as const;

interface Case {
  readonly what: string;
  readonly breaks: readonly Break[];
  readonly kinds: readonly FaultKind[];
  /** Default: sidecars are killed. */
  readonly run?: FaultRunOptions;
  /** The machine finds it by what it finds another one by. */
  readonly alike?: boolean;
}

const CASES: readonly Case[] = [
  {
    what: "does not look where the view stands, and one that lets out what a condition keeps",
    // Neither does what the other one is found by.
    kinds: ["repeated", "leaked"],
    breaks: [
      {
        file: "src/flow/view_position.ts",
        from: "const last = await lastPosition(jsm, view);",
        to: "const last = null as Awaited<ReturnType<typeof lastPosition>>;",
      },
      // Soon enough for a build that looks; so that each kill finds something that is stored and not recorded.
      { file: "src/flow/progress.ts", from: "const DELAY_MS = 50;", to: "const DELAY_MS = 4_000;" },
      { file: "src/policy/decide.ts", from: "if (!result.value) return null;", to: "" },
    ],
  },
  {
    what: "goes on behind what the view has not stored",
    alike: true,
    kinds: ["lost"],
    breaks: [
      {
        file: "src/flow/view_position.ts",
        from: "const position = Math.max(fromView, Math.min(consumer.ack_floor.stream_seq, end));",
        to: "const position = Math.max(fromView, end);",
      },
    ],
  },
  {
    what: "acknowledges before the view has stored",
    kinds: ["lost"],
    breaks: [
      {
        file: "src/flow/view_session.ts",
        from: "this.#advance(this.#ingest.stored)",
        to: "this.#advance(this.#ingest.appended)",
      },
      // Long on the way: so that each kill finds something that is acknowledged and not stored.
      {
        file: "src/nats/fenced_writer.ts",
        from: "queueMicrotask(() => {",
        to: "((write: () => void) => setTimeout(write, 1_500))(() => {",
      },
    ],
  },
  {
    what: "has dropped the fence of the sidecars",
    kinds: ["repeated"],
    run: { ...LEADER_FROZEN, seed: 3, leastFaults: 1 },
    breaks: [
      {
        file: "src/sidecar/start.ts",
        from: "    mayWriteMs: () => views?.mayWriteMs ?? 0,\n",
        to: "",
      },
      { file: "src/sidecar/spread/local_views.ts", from: "workers.abandon();", to: "" },
      {
        file: "src/nats/raw_frame.ts",
        from: "\\r\\nNats-Expected-Last-Sequence: ",
        to: "\\r\\nNote-Expected-Last-Sequence: ",
      },
    ],
  },
];

describe("the fault machine finds a build that", () => {
  const wanted = CASES.filter(({ alike }) => alike !== true || process.env.LEAFMESH_FINDS === "all");
  for (const { what, breaks, kinds, run = SIDECAR_KILLED } of wanted) {
    test(
      what,
      async () => {
        await using build = await brokenBuild(breaks);
        const report = await runFaults({ ...run, until: kinds, build: build.path, patienceMs: 10_000 });
        for (const kind of kinds) expect(report[kind]).toBeGreaterThan(0);
        // Of many only the first ones are told.
        expect(report.problems.some(({ broken }) => kinds.includes(broken.kind))).toBe(true);
      },
      TIMEOUT_MS,
    );
  }
});
