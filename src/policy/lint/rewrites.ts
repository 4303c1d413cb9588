/** Rewrites by which different subjects leave under one name: allowed, and worth a look. */
import type { Finding } from "../../model/finding.ts";
import { rewriteNotes } from "../rewrite_check.ts";
import { finding, type Mesh } from "./mesh.ts";

/** What `plan` notes of rewrites, where they stand. */
export function findMergedSubjects(mesh: Mesh): Finding[] {
  return mesh.exports.flatMap(({ site, policy, path: at }) =>
    rewriteNotes(policy).map(({ path, message }) =>
      finding("merged-subjects", { site, path: `${at}.${path}` }, message),
    ),
  );
}
