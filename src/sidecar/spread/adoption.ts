/** Which of the views that run when a leadership begins stay where they are. */
import type { WantedView } from "../adapters.ts";
import type { Follower } from "./follower.ts";
import { type Held, isLater } from "./messages.ts";

/** A view that runs, here (`null`) or at another member. */
export interface Running {
  readonly held: Held;
  readonly at: Follower | null;
}

export interface Adoption {
  readonly stay: readonly (Running & { readonly want: WantedView })[];
  /** They are stopped: something of them has changed, or they run elsewhere, too. */
  readonly stops: readonly Running[];
}

/**
 * Of several that run one view, only the one that was placed last may be right: the others were given up by who led then. It
 * stays when it is still what is wanted, and its member is of this version.
 */
export function adopt(
  all: readonly Running[],
  wanted: ReadonlyMap<string, WantedView>,
  software: string,
): Adoption {
  const latest = new Map<string, Running>();
  for (const one of all) {
    const { key } = one.held.target;
    const other = latest.get(key);
    if (other === undefined || isLater(one.held.placing, other.held.placing)) latest.set(key, one);
  }
  const stay: (Running & { readonly want: WantedView })[] = [];
  const stops: Running[] = [];
  for (const one of all) {
    const { key } = one.held.target;
    const want = wanted.get(key);
    const runs = one.at === null || one.at.runs(software);
    if (want !== undefined && runs && latest.get(key) === one && isUnchanged(one.held, want)) {
      stay.push({ ...one, want });
    } else stops.push(one);
  }
  return { stay, stops };
}

/** Whether a view runs as it is wanted. */
function isUnchanged({ target, version }: Held, { target: wanted, policy }: WantedView): boolean {
  const same = target.sourceStream === wanted.sourceStream && target.viewStream === wanted.viewStream;
  return same && version === policy.version;
}
