/** A site whose servers have their keys and certificates on hosts of their own does not rotate them by itself. */
import { LeafmeshError } from "../../model/errors.ts";
import type { RotationApi } from "../../model/rotation.ts";

/** The rotations of a site that may only be looked at. */
export function notRotating(rotations: RotationApi): RotationApi {
  const refused = () =>
    Promise.reject(
      new LeafmeshError(
        "conflict",
        "A site of several servers does not rotate its certificate, CA or key: each host has files of its own (docs/clusters.md)",
      ),
    );
  return {
    list: () => rotations.list(),
    settled: (what, waitMs) => rotations.settled(what, waitMs),
    start: refused,
    finish: refused,
  };
}
