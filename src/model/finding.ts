/** What lint says of the files of a mesh: findings with their places. */
import { formatProblem } from "./errors.ts";
import type { LintCode, Severity } from "./lint_codes.ts";

/** A place in a file that a finding has to do with. */
export interface RelatedPlace {
  readonly message: string;
  readonly file: string;
  /** As of a {@link Problem}; line and column where the file has a text. */
  readonly path: string;
  readonly line?: number;
  readonly column?: number;
}

/** One thing that lint found. */
export interface Finding extends RelatedPlace {
  readonly code: LintCode;
  readonly severity: Severity;
  readonly related: readonly RelatedPlace[];
}

/** What lint says of a set of files. */
export interface LintReport {
  readonly files: readonly string[];
  /** Sorted by file, in the order given, then by place. */
  readonly findings: readonly Finding[];
  readonly errors: number;
  readonly warnings: number;
}

/** Findings in the order of files and places, each once, with their sums. */
export function lintReport(files: readonly string[], findings: readonly Finding[]): LintReport {
  const order = new Map(files.map((file, index) => [file, index]));
  const rank = (finding: Finding) => order.get(finding.file) ?? files.length;
  const seen = new Set<string>();
  const sorted = findings
    .filter((finding) => {
      const key = JSON.stringify([finding.file, finding.path, finding.line, finding.code, finding.message]);
      return !seen.has(key) && seen.add(key);
    })
    .toSorted(
      (a, b) =>
        rank(a) - rank(b) ||
        (a.line ?? 0) - (b.line ?? 0) ||
        (a.column ?? 0) - (b.column ?? 0) ||
        compare(a.path, b.path) ||
        compare(a.code, b.code) ||
        compare(a.message, b.message),
    );
  const errors = sorted.filter(({ severity }) => severity === "error").length;
  return { files, findings: sorted, errors, warnings: sorted.length - errors };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A finding as lines: `berlin.yaml:12:7 error loop: …`, and one for each related place, indented. */
export function formatFinding(finding: Finding): string {
  const { file, line, column, path, code, severity, related } = finding;
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  // Where there is no line, the path says where.
  const where = line === undefined && path !== "" ? `${path}: ` : "";
  const lines = related.map(
    ({ file: other, ...rest }) =>
      `    ${formatProblem({ ...rest, path: rest.line === undefined ? rest.path : "" }, other)}`,
  );
  return [`${place} ${severity} ${code}: ${where}${finding.message}`, ...lines].join("\n");
}
