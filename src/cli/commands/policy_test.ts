/** `policy test`: runs the test files of policies, without a sidecar. */
import { formatProblem } from "../../model/errors.ts";
import type { Command } from "../command.ts";
import { count, indent } from "../table.ts";
import type { TestFileReport } from "../up.ts";

export const POLICY_TEST: Command = {
  name: "policy test",
  args: ["<file...>"],
  about: "runs the cases beside a policy (policy.test.yaml), without a sidecar",
  flags: {
    "all-rules": { about: "fail also when a rule decides no case" },
  },
  details:
    "A file is a test file (*.test.yaml), or a policy file (site file, tenants' documents or one export) that has one\nbeside it. Every case that fails is told with line and column. Pseudonyms are made with a fixed key of id 'test'.\nExit code 2: a case failed, or a file is not valid.",
  run: async ({ args, has, effects }) => {
    const sidecar = await effects.sidecar();
    const files = await sidecar.testPolicies(args, effects.readFile);
    const sum = sumOf(files);
    const failed = sum.failed > 0 || sum.invalid > 0 || (has("all-rules") && sum.unreached > 0);
    return {
      json: { ok: !failed, ...sum, files },
      text: [...files.map(fileText), sumText(sum)].join("\n"),
      ...(failed ? { failed: "policy_invalid" as const } : {}),
    };
  },
};

function sumOf(files: readonly TestFileReport[]) {
  const tests = files.flatMap((file) => file.tests);
  const failed = tests.filter(({ problems }) => problems.length > 0).length;
  return {
    passed: tests.length - failed,
    failed,
    invalid: files.filter(({ problems }) => problems.length > 0).length,
    unreached: files.reduce((sum, file) => sum + file.unreached.length, 0),
  };
}

function fileText({ file, tests, unreached, problems }: TestFileReport): string {
  const invalid = problems.map((problem) => formatProblem(problem, problem.file));
  const failed = tests
    .filter((test) => test.problems.length > 0)
    .flatMap((test) => [
      `failed: ${file}:${test.line}:${test.column} ${test.name}`,
      ...test.problems.map((problem) => indent(formatProblem(problem, file))),
    ]);
  const passed = tests.length - tests.filter((test) => test.problems.length > 0).length;
  return [
    ...invalid,
    ...failed,
    ...(tests.length === 0 ? [] : [`${file}: ${passed} of ${count(tests.length, "case")} passed`]),
    ...unreached.map((rule) => indent(`no case is decided by ${rule}`)),
  ].join("\n");
}

function sumText(sum: ReturnType<typeof sumOf>): string {
  const invalid = sum.invalid === 0 ? "" : `, ${count(sum.invalid, "file")} not valid`;
  const unreached = sum.unreached === 0 ? "" : `, ${count(sum.unreached, "rule")} without a case`;
  return `${sum.passed} passed, ${sum.failed} failed${invalid}${unreached}`;
}
