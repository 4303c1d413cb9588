/** A short run of the fault machine, and runs on builds that are broken on purpose: those it must find. */
import { describe, expect, test } from "bun:test";
import { type Break, brokenBuild } from "../support/faults/broken_build.ts";
import { FAULTS } from "../support/faults/nemesis.ts";
import { runFaults } from "../support/faults/run.ts";

/** Five times what a quiet machine takes and more: builds restart sidecars from source. */
const TIMEOUT_MS = 480_000;
/** One of these or two in each run, with all sites under load. */
const FROZEN = {
  minutes: 0,
  rate: 400,
  diskBytes: null,
  sidecars: 2,
  only: ["leader frozen"],
} as const;

test(
  "three sites lose, repeat, reorder and leak nothing while links, processes and policies fail",
  async () => {
    // What takes its time has tests of its own.
    const slow = ["store rolled back", "site keys rotated"];
    const only = FAULTS.map(({ name }) => name).filter((name) => !slow.includes(name));
    const report = await runFaults({ seed: 11, minutes: 0.3, rate: 250, diskBytes: null, only });
    expect(report).toMatchObject({
      stuck: null,
      problems: [],
      lost: 0,
      repeated: 0,
      reordered: 0,
      leaked: 0,
      altered: 0,
    });
    expect(report.published).toBeGreaterThan(1000);
    expect(report.received).toBeGreaterThan(report.published);
  },
  TIMEOUT_MS,
);

test(
  "sites of two sidecars lose, repeat and reorder nothing while the one that leads is stopped, and goes on",
  async () => {
    const report = await runFaults({ ...FROZEN, seed: 3, leastFaults: 2 });
    expect(report).toMatchObject({ stuck: null, problems: [], lost: 0, repeated: 0, reordered: 0 });
    expect(report.faults["leader frozen"]).toBeGreaterThan(1);
  },
  TIMEOUT_MS,
);

test(
  "and a build that has dropped the fence of the sidecars repeats events",
  async () => {
    await using build = await brokenBuild([
      {
        file: "src/sidecar/start.ts",
        from: "    mayWriteMs: () => (members?.hasLease === true ? members.remainingMs : 0),\n",
        to: "",
      },
      { file: "src/sidecar/start.ts", from: "workers.abandon();", to: "" },
      {
        file: "src/nats/raw_frame.ts",
        from: "\\r\\nNats-Expected-Last-Sequence: ",
        to: "\\r\\nNote-Expected-Last-Sequence: ",
      },
    ]);
    const report = await runFaults({
      ...FROZEN,
      seed: 3,
      leastFaults: 1,
      build: build.path,
      patienceMs: 10_000,
    });
    expect(report.repeated).toBeGreaterThan(0);
  },
  TIMEOUT_MS,
);

describe("the fault machine finds a build that", () => {
  const cases: readonly {
    readonly what: string;
    readonly breaks: readonly Break[];
    readonly kind: "lost" | "repeated" | "leaked";
    readonly leastFaults?: number;
  }[] = [
    {
      what: "does not look where the view stands",
      kind: "repeated",
      breaks: [
        {
          file: "src/flow/view_position.ts",
          from: "const last = await lastPosition(jsm, view);",
          to: "const last = null as Awaited<ReturnType<typeof lastPosition>>;",
        },
        // Soon enough for a build that looks; so that each kill finds something that is stored and not recorded.
        { file: "src/flow/progress.ts", from: "const DELAY_MS = 50;", to: "const DELAY_MS = 4_000;" },
      ],
    },
    {
      what: "goes on behind what the view has not stored",
      kind: "lost",
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
      kind: "lost",
      // The first may come before there is anything to lose.
      leastFaults: 5,
      breaks: [
        {
          file: "src/flow/view_session.ts",
          from: "this.#ledger.advance(this.#ingest.stored, this.#options.counts)",
          to: "this.#ledger.advance(this.#ingest.appended, this.#options.counts)",
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
      what: "lets out what a condition keeps",
      kind: "leaked",
      breaks: [
        {
          file: "src/policy/decide.ts",
          from: "if (!result.value) return null;",
          to: "",
        },
      ],
    },
  ];
  for (const { what, breaks, kind, leastFaults } of cases) {
    test(
      what,
      async () => {
        await using build = await brokenBuild(breaks);
        const report = await runFaults({
          seed: 5,
          minutes: 0.15,
          rate: 250,
          diskBytes: null,
          only: ["sidecar killed"],
          ...(leastFaults === undefined ? {} : { leastFaults }),
          build: build.path,
          patienceMs: 10_000,
        });
        expect(report[kind]).toBeGreaterThan(0);
        expect(report.problems.some(({ broken }) => broken.kind === kind)).toBe(true);
      },
      TIMEOUT_MS,
    );
  }
});
