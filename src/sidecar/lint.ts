/** `leafmesh lint`: a site file held against its schema and against what its policies mean, without a server. */
import { checkState } from "../control/check_state.ts";
import { LeafmeshError, type Problem } from "../model/errors.ts";
import { locateProblems, parseLocatedSiteFile } from "../model/site_file.ts";

/** Everything that is wrong with a site file, with line and column; none: it can be started. */
export function lintSiteFile(text: string, fileName: string): readonly Problem[] {
  try {
    const { value, source } = parseLocatedSiteFile(text, fileName);
    return locateProblems(source, checkState(value.site, value.tenants ?? [], value.peers ?? []));
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "config_invalid") return thrown.problems;
    throw thrown;
  }
}
