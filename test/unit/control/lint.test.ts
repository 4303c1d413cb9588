/** Seeded bad meshes: each line with a fault says so in a comment, `# lint: <code>`, and no other line may be told. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type LintFile, lintFiles } from "../../../src/control/lint.ts";
import { LINT_CODES } from "../../../src/model/lint_codes.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/lint");
const faults = readdirSync(FOLDER).sort();

function meshOf(fault: string): LintFile[] {
  const names = readdirSync(join(FOLDER, fault)).sort();
  return names.map((name) => ({ name, text: readFileSync(join(FOLDER, fault, name), "utf8") }));
}

/** `berlin.yaml:7 loop` for each mark. */
function expectedOf(files: readonly LintFile[]): string[] {
  return files.flatMap(({ name, text }) =>
    text.split("\n").flatMap((line, index) => {
      const codes = /# lint: (.+)$/.exec(line)?.[1]?.split(", ") ?? [];
      return codes.toSorted().map((code) => `${name}:${index + 1} ${code}`);
    }),
  );
}

describe("lintFiles() of bad meshes", () => {
  test.each(faults)("%s", (fault) => {
    const files = meshOf(fault);
    const { findings } = lintFiles(files);
    const found = findings.map(({ file, line, code }) => `${file}:${line} ${code}`);
    expect(found.toSorted()).toEqual(expectedOf(files).toSorted());
    // Whatever order they are given in.
    expect(
      lintFiles(files.toReversed())
        .findings.map(({ code }) => code)
        .toSorted(),
    ).toEqual(findings.map(({ code }) => code).toSorted());
  });

  test("there is one for each code", () => {
    const marked = new Set(
      faults.flatMap((fault) => expectedOf(meshOf(fault)).map((one) => one.split(" ")[1])),
    );
    // Of that one a mesh is made below.
    expect(Object.keys(LINT_CODES).filter((code) => !marked.has(code))).toEqual(["too-many-paths"]);
  });
});
