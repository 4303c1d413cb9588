/** `plan` and `apply`: what differs from the desired state, changing that state from a file, and doing it now. */
import type { ApplyReport, PlanReport } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { parseApplyFile } from "../../model/site_file.ts";
import { type Change, documentsOf, keptBeside, writeDocuments } from "../apply_file.ts";
import { fileOfFlag } from "../check.ts";
import type { ApiClient } from "../client.ts";
import type { Command } from "../command.ts";
import { paths } from "../paths.ts";
import { withSchemaFiles } from "../schema_files.ts";
import { count, indent, table } from "../table.ts";

export const PLAN: Command = {
  name: "plan",
  args: [],
  about: "what would be done to reach the desired state, and how each export runs",
  flags: {},
  run: async ({ api }) => {
    const plan = await (await api()).get<PlanReport>(paths.plan);
    return { json: plan, text: planText(plan) };
  },
};

export const APPLY: Command = {
  name: "apply",
  args: [],
  about: "writes what a file says, then brings the site to the desired state and waits",
  flags: {
    file: { value: "PATH", about: "tenants' documents (YAML, several with ---) or a site file", short: "f" },
  },
  details:
    "Peers, tenants, schemas, imports and exports of the file are written under the revision that was read. What the file does not\nname stays. Without --file it only runs the plan; the sidecar does that by itself within seconds.",
  run: async (call) => {
    const client = await call.api();
    const changes: Change[] = [];
    const kept: string[] = [];
    if (call.flag("file") !== undefined) {
      const { path, text } = await fileOfFlag(call, "file");
      const file = await withSchemaFiles(parseApplyFile(text, path), path, call.effects);
      if (file.type === "site") await requireSite(client, file.site.value.site, path);
      const documents = documentsOf(file);
      kept.push(...(await keptBeside(client, documents)));
      changes.push(...(await writeDocuments(client, documents)));
    }
    const report = await client.post<ApplyReport>(paths.apply);
    const broken = report.failed.some((step) => !step.waiting);
    return {
      json: { changes, kept, ...report },
      text: [
        ...changeLines(changes),
        ...kept.map((label) => `kept, not in the file: ${label}`),
        applyText(report),
      ].join("\n"),
      ...(broken ? { failed: "apply_failed" as const } : {}),
    };
  },
};

async function requireSite(client: ApiClient, site: string, path: string): Promise<void> {
  const there = await client.get<{ readonly site: string }>(paths.site);
  if (there.site === site) return;
  throw new LeafmeshError(
    "conflict",
    `${path} is for site '${site}', but ${client.url} is site '${there.site}'`,
  );
}

function changeLines(changes: readonly Change[]): string[] {
  const changed = changes.filter(({ done }) => done !== "unchanged");
  const same = changes.length - changed.length;
  const lines = changed.map(({ label, done }) => `${done}: ${label}`);
  return same === 0 ? lines : [...lines, `${count(same, "document")} unchanged`];
}

function planText(plan: PlanReport): string {
  const steps =
    plan.steps.length === 0
      ? `Nothing to do: revision ${plan.revision} is applied.`
      : `${count(plan.steps.length, "step")} to revision ${plan.revision}:\n${indent(plan.steps.map(({ text }) => text).join("\n"))}`;
  const notes = plan.notes.map((note) => `note: ${note}`);
  const routes = plan.routes.map(({ tenant, policy, kind, why }) => [
    `${tenant}/${policy}`,
    kind,
    why.join("; "),
  ]);
  return [
    steps,
    ...notes,
    ...(routes.length === 0 ? [] : ["", table(["EXPORT", "RUNS AS", "WHY"], routes)]),
  ].join("\n");
}

function applyText(report: ApplyReport): string {
  const lines = report.applied.map(({ text }) => `done: ${text}`);
  for (const { text, error, waiting } of report.failed) {
    lines.push(`${waiting ? "waits" : "failed"}: ${text}: ${error}`);
  }
  const end = report.converged
    ? "is applied"
    : report.failed.length === 0
      ? "is not all applied yet"
      : "is applied but for these";
  return [...lines, `Revision ${report.revision} ${end}.`].join("\n");
}
