/** `leafmesh lint` without a server. */
export { type LintFile, lintFiles } from "../control/lint.ts";
