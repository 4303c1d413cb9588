/** Short runs of the fault machine. What it finds in builds that are broken on purpose is in machine_finds.test.ts. */
import { expect, test } from "bun:test";
import { FAULTS } from "../support/faults/nemesis.ts";
import { LEADER_FROZEN, runFaults } from "../support/faults/run.ts";

/** Five times what a quiet machine takes and more. */
const TIMEOUT_MS = 480_000;

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
    const report = await runFaults({ ...LEADER_FROZEN, seed: 3, leastFaults: 2 });
    expect(report).toMatchObject({ stuck: null, problems: [], lost: 0, repeated: 0, reordered: 0 });
    expect(report.faults["leader frozen"]).toBeGreaterThan(1);
  },
  TIMEOUT_MS,
);
