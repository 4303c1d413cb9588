/** Rules that hide less than their subjects say; what no event can come to at all, a site refuses by itself. */
import type { Finding } from "../../model/finding.ts";
import { partlyLost } from "../check_rules.ts";
import { finding, type Mesh, placed } from "./mesh.ts";

/** Rules that redact or deny, of whose subjects an earlier rule lets a part out. */
export function findPartlyLost(mesh: Mesh): Finding[] {
  return mesh.exports.flatMap(({ site, policy, path: at }) =>
    partlyLost(policy, at).map(({ path, message, code, before }) =>
      finding(code, { site, path }, message, [placed(site, before, "the rule that comes first")]),
    ),
  );
}
