/** The door to the sidecar: the only file of the CLI that may open it, and only when a command needs it. */
import type { TestFileReport as FileReport, RunOptions } from "../sidecar.ts";

/** What `leafmesh up` may say in place of the site file. */
export type UpOptions = RunOptions;

/** What the CLI uses of the sidecar. */
export type SidecarModule = Pick<
  typeof import("../sidecar.ts"),
  "runSidecar" | "lintFiles" | "testPolicies" | "backupSite" | "restoreSite"
>;

/** What became of a test file of a policy. */
export type TestFileReport = FileReport;

/** Loads the sidecar. The other commands work without it: they start faster and need no nats-server. */
export async function loadSidecar(): Promise<SidecarModule> {
  const { runSidecar, lintFiles, testPolicies, backupSite, restoreSite } = await import("../sidecar.ts");
  return { runSidecar, lintFiles, testPolicies, backupSite, restoreSite };
}
