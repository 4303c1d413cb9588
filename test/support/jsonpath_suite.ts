/** The JSONPath compliance test suite, and how its cases stand with the part of RFC 9535 that redactions select with. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import { parsePath } from "../../src/policy/redact/path.ts";

const PathCase = z.object({
  name: z.string(),
  selector: z.string(),
  invalid_selector: z.literal(true).optional(),
  document: z.unknown().optional(),
  result_paths: z.array(z.string()).optional(),
  results_paths: z.array(z.array(z.string())).optional(),
});
export type PathCase = z.infer<typeof PathCase>;

/** Why a valid path is refused, by what the message says, in the order of the table. */
const REFUSED: readonly (readonly [group: string, says: string])[] = [
  ["filters, with their functions", "uses a filter"],
  ["indexes and slices from the end of an array", "counts from the end"],
  ["slices backwards, and by 0", "expected one above 0"],
  ["slices with a step and no end", "give it an end"],
  ["indexes that no payload reaches", "has an index above"],
  ["slices that select nothing", "selects nothing"],
];

/** All cases of the suite. */
export function pathCases(): PathCase[] {
  const entry = createRequire(import.meta.url).resolve("jsonpath-rfc9535");
  const suite = "src/__tests__/jsonpath-compliance-test-suite/cts.json";
  const text = readFileSync(join(dirname(entry).replace(/\/dist(?:\/.*)?$/, ""), suite), "utf8");
  return z.object({ tests: z.array(PathCase) }).parse(JSON.parse(text)).tests;
}

/** Names and indexes of the nodes that a case selects, from the root on; the order is left out. */
export function expectedNodes(one: PathCase): (string | number)[][] {
  return (one.result_paths ?? one.results_paths?.[0] ?? []).map(readNormalPath);
}

/** A normalized path, `$['a'][0]`, read without the parser that is under test. */
function readNormalPath(path: string): (string | number)[] {
  return [...path.matchAll(/\['((?:[^'\\]|\\.)*)'\]|\[(\d+)\]/gs)].map(([, name, index]) =>
    index === undefined
      ? (JSON.parse(`"${(name ?? "").replaceAll("\\'", "'").replaceAll('"', '\\"')}"`) as string)
      : Number(index),
  );
}

/** The table of `docs/jsonpath.md`. */
export function pathTable(cases: readonly PathCase[]): string {
  const counts = new Map<string, number>();
  const count = (group: string) => counts.set(group, (counts.get(group) ?? 0) + 1);
  for (const one of cases) {
    const parsed = parsePath(one.selector);
    if (one.invalid_selector) count("not valid by RFC 9535, refused");
    else if (parsed.type === "ok") count("valid, and they select what they should");
    else {
      const group = REFUSED.find(([, says]) => parsed.problem.includes(says))?.[0];
      count(`valid, refused: ${group ?? parsed.problem}`);
    }
  }
  const order = [
    "valid, and they select what they should",
    "not valid by RFC 9535, refused",
    ...REFUSED.map(([group]) => `valid, refused: ${group}`),
  ];
  const rows = [...order, ...[...counts.keys()].filter((group) => !order.includes(group))].map(
    (group) => `| ${group} | ${counts.get(group) ?? 0} |`,
  );
  return ["| cases | |", "|---|---|", ...rows, `| all | ${cases.length} |`].join("\n");
}
