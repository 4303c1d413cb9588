/**
 * Static lint of a mesh: what the files of its sites say together. Pure; what is wrong with one file alone comes from the
 * checks that a site makes of its own state.
 */
import type { Finding } from "../../model/finding.ts";
import { findDisagreements } from "./agreement.ts";
import { findForbidden, findSensitive, findUnknownSites } from "./guards.ts";
import { findBrokenLinks, findDuplicateSites, findUnequalKeys } from "./links.ts";
import { findLoops, findTwoPaths, findUnfollowed } from "./loops.ts";
import { type LintedSite, Mesh } from "./mesh.ts";
import { followAll, type LintWork } from "./paths.ts";
import { type RewriteTerm, rewriteOf } from "./rewrite.ts";
import { findMergedSubjects } from "./rewrites.ts";
import { findPartlyLost } from "./rules.ts";
import { findIdleTransit, findMirrorsOfViews } from "./transit.ts";

export type { LintedSite } from "./mesh.ts";
export type { LintWork } from "./paths.ts";

/** All findings over the files of a mesh, in no order. `work` counts what was done, where it is given. */
export function lintMesh(
  files: readonly LintedSite[],
  {
    rewrite = rewriteOf,
    work = { flows: 0, comparisons: 0 },
  }: { rewrite?: RewriteTerm; work?: LintWork } = {},
): Finding[] {
  const mesh = new Mesh(files);
  const ways = followAll(mesh, rewrite, work);
  return [
    ...findDuplicateSites(files),
    ...findBrokenLinks(mesh),
    ...findUnequalKeys(mesh),
    ...findDisagreements(mesh, rewrite, work),
    ...findPartlyLost(mesh),
    ...findMergedSubjects(mesh),
    ...findIdleTransit(mesh),
    ...findMirrorsOfViews(mesh),
    ...ways.flatMap(findLoops),
    ...ways.flatMap((one) => findTwoPaths(one, work)),
    ...ways.flatMap(findUnfollowed),
    ...findForbidden(mesh, ways),
    ...findSensitive(mesh, ways),
    ...findUnknownSites(mesh),
  ];
}
