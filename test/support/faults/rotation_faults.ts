/** Sites that take new certificates, CAs and keys into use while all else goes on. */
import type { RotationKind, RotationReport } from "../../../src/model/rotation.ts";
import { waitFor } from "../wait_for.ts";
import { ask } from "./ask.ts";
import type { Fault } from "./fault.ts";

/** Peers that are cut off or frozen hold a rotation up. */
const DONE_WITHIN_MS = 180_000;
const KINDS: readonly RotationKind[] = ["certificate", "ca", "key"];

/** A rotation from its begin to its end: the peers must hear of it, whatever becomes of links and processes meanwhile. */
const SITE_ROTATED: Fault = {
  name: "site keys rotated",
  lane: "other",
  weight: 2,
  run: async (run) => {
    const { world, random, site, note } = run;
    const what = random.pick(KINDS);
    note(`${site}: its ${what} rotates`);
    await ask(run, `rotate its ${what}`, { method: "POST", path: "/v1/rotations", body: { what } });
    let last: RotationReport | null = null;
    await waitFor(
      async () => {
        last = await world.site(site).json<RotationReport>(`/v1/rotations/${what}`);
        return last.phase === "done" || Promise.reject(new Error(JSON.stringify(last)));
      },
      { what: `the rotation of the ${what} of ${site}`, deadlineMs: DONE_WITHIN_MS, pollMs: 200 },
    );
    note(`${site}: its ${what} has rotated`);
  },
};

export const ROTATION_FAULTS: readonly Fault[] = [SITE_ROTATED];
