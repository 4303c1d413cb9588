/** The comparison of CEL engines as docs/cel.md shows it. */
import { Environment } from "@marcbachmann/cel-js";
import { runBuf, runCelJs, runOurs } from "./cel_engines.ts";
import { type CelCase, celCases, judge, type Outcome, type Verdict } from "./cel_suite.ts";

/** What conditions do not claim, each with the cases that need it. The first that fits names a case. */
const NOT_CLAIMED: readonly (readonly [feature: string, needs: (one: CelCase) => boolean])[] = [
  [
    "protobuf messages, enums and wrappers",
    ({ section, expr, variables }) =>
      /^(proto2|proto3|proto2_ext|enums|wrappers|dynamic)\b|wrapper/.test(section) ||
      /[A-Za-z_]\s*\{/.test(expr) ||
      Object.values(variables).includes(null),
  ],
  ["optional values", ({ section }) => section.startsWith("optionals")],
  ["functions of math", ({ section }) => section.startsWith("math_ext")],
  ["functions of encoders", ({ section }) => section.startsWith("encoders_ext")],
  ["blocks", ({ section }) => section.startsWith("block_ext")],
  ["macros of two variables", ({ section }) => section.startsWith("macros2")],
  ["`format` and `strings.quote`", ({ expr }) => /\.format\(|strings\.quote/.test(expr)],
  ["unsigned integers", ({ expr }) => /\b(?:0x[0-9a-f]+|\d+)u\b|\buint\b/i.test(expr)],
  ["bytes", ({ expr }) => /\bb?r?b['"]|\bbr?['"]|\bbytes\b/i.test(expr)],
  [
    "types as values",
    ({ expr }) =>
      /\btype\(/.test(expr) || /^(?:bool|int|double|string|list|map|null_type|type|google\.\S+)$/.test(expr),
  ],
  ["quoted names", ({ expr }) => expr.includes("`")],
  [
    "names that begin with or hold a dot",
    ({ expr, variables }) =>
      /(?:^|[^\w\])"'])\.[a-z]/.test(expr) || Object.keys(variables).some((name) => name.includes(".")),
  ],
  ["zones with names, whose rules change", ({ expr }) => /get\w+\(['"](?!UTC)[A-Za-z]/.test(expr)],
  ["numbers without a digit before the dot", ({ expr }) => /(?:^|[^\w.])\.\d/.test(expr)],
  ["form feeds", ({ expr }) => expr.includes("\f")],
  ["a time added to a span, where its type matters", ({ name }) => name === "add_time_to_duration"],
  ["`has` of a literal", ({ expr }) => /\bhas\(\{/.test(expr)],
  ["loops over an empty literal", ({ expr }) => /\[\]\.(?:all|exists)/.test(expr)],
  ["`in` over a bound value inside of a loop", ({ expr }) => /cel\.bind\(.*exists\(.* in /.test(expr)],
  [
    "unknown names that are never read",
    ({ section, name }) => name === "unbound_is_runtime_error" || section === "parse/receiver_function_names",
  ],
  [
    "an int of more than 53 bits beside the double that it rounds to",
    ({ name }) => /lossy_double|big_double/.test(name),
  ],
];

/** The first feature a case needs that is not claimed; `null` when all of it is. */
export function notClaimed(one: CelCase): string | null {
  return NOT_CLAIMED.find(([, needs]) => needs(one))?.[0] ?? null;
}

export interface ReportedCase {
  readonly one: CelCase;
  readonly ours: Outcome;
  readonly verdict: Verdict;
}

/** Every case, with what becomes of it as a condition. */
export function runAllOurs(): ReportedCase[] {
  return celCases().map((one) => {
    const ours = runOurs(one);
    return { one, ours, verdict: judge(one, ours) };
  });
}

const ENGINES = {
  conditions: runOurs,
  "cel-js": (one: CelCase) => runCelJs(one, () => new Environment({ unlistedVariablesAreDyn: false })),
  "@bufbuild/cel": runBuf,
} as const;

/** What a rule may meet and the suite does not ask: a condition, a payload and the right answer; `null` for a failure. */
export const FURTHER_CASES: readonly (readonly [expr: string, data: string, right: boolean | null])[] = [
  ["data.codes == [1, 2]", '{"codes":[1,2]}', true],
  ['data.place == {"x": 1}', '{"place":{"x":1}}', true],
  ['data.list == [1, "a"]', '{"list":[1,"a"]}', true],
  ["has(data.note)", '{"note":null}', true],
  ['"note" in data', '{"note":null}', true],
  ["data.note == null", '{"note":null}', true],
  ["data.note == null", '{"note":"x"}', false],
  ["has(data.a.b)", "{}", null],
  ["has(data.a.b)", '{"a":"text"}', null],
  ['data.list["0"] == 7', '{"list":[7]}', null],
  ["data.id == 9007199254740993", '{"id":9007199254740993}', true],
  ["data.id == 9007199254740993", '{"id":9007199254740992}', false],
  ["data.id == 9007199254740993.0", '{"id":9007199254740993}', null],
  ["data.a < data.b", '{"a":"\uffff","b":"\ud83d\ude00"}', true],
  ['data.s.lowerAscii() == "\u00c4"', '{"s":"\u00c4"}', true],
  ['data.s.indexOf("b") == 1', '{"s":"\ud83d\ude00b"}', true],
  [
    'timestamp(data.t) > timestamp("2026-01-01T00:00:00.0000001Z")',
    '{"t":"2026-01-01T00:00:00.0000002Z"}',
    true,
  ],
  ["timestamp(data.t) == time", '{"t":"2026-01-02 00:00:00Z"}', null],
  ["int(data.n) > 0", '{"n":1e30}', null],
];

/** Passed, not supported and wrong cases of each file of the suite, for each engine, as a table. */
export function sectionTable(): string {
  const cases = celCases();
  const files = [...new Set(cases.map(({ section }) => fileOf(section)))];
  const rows = files.map((file) => countsOf(cases.filter(({ section }) => fileOf(section) === file)));
  const sum = countsOf(cases);
  const line = (name: string, counts: readonly (readonly number[])[]) =>
    `| ${name} | ${counts.map((count) => count.join(" / ")).join(" | ")} |`;
  return [
    `| file | ${Object.keys(ENGINES).join(" | ")} |`,
    "|---|---|---|---|",
    ...files.map((file, at) => line(file, rows[at] ?? [])),
    line("all", sum),
  ].join("\n");
}

function fileOf(section: string): string {
  return section.split("/").find((part) => part !== "conformance") ?? section;
}

function countsOf(cases: readonly CelCase[]): number[][] {
  return Object.values(ENGINES).map((run) => {
    const verdicts = cases.map((one) => judge(one, run(one)));
    return (["pass", "unsupported", "wrong"] as const).map(
      (wanted) => verdicts.filter((verdict) => verdict === wanted).length,
    );
  });
}

/** What is not claimed, with how many cases need it and do not pass, as a table. */
export function unclaimedTable(): string {
  const counts = new Map<string, number>();
  for (const { one, verdict } of runAllOurs()) {
    if (verdict === "pass" || verdict === "not comparable") continue;
    const feature = notClaimed(one) ?? "nothing that is named here";
    counts.set(feature, (counts.get(feature) ?? 0) + 1);
  }
  return [
    "| not claimed | cases |",
    "|---|---|",
    ...[...counts].toSorted((a, b) => b[1] - a[1]).map(([feature, count]) => `| ${feature} | ${count} |`),
  ].join("\n");
}
