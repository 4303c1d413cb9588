/** The sidecar of a site: the one place that builds and joins all parts. */
export { type BackupOptions, type BackupReport, backupSite, restoreSite } from "./sidecar/backup.ts";
export { type LintFile, lintFiles } from "./sidecar/lint.ts";
export { type ReadFile, type TestFileReport, type TestReport, testPolicies } from "./sidecar/policy_test.ts";
export { type RunOptions, runSidecar } from "./sidecar/run.ts";
export { type Sidecar, type SidecarOptions, startSidecar, VERSION } from "./sidecar/start.ts";
