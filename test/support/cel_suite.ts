/** The conformance cases of the CEL specification, in a form that two engines can be held against. */
import type { Type } from "@bufbuild/cel-spec/cel/expr/checked_pb.js";
import type { Value } from "@bufbuild/cel-spec/cel/expr/value_pb.js";
import { getTestRegistry } from "@bufbuild/cel-spec/testdata/registry.js";
import { getConformanceSuite, type IncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { anyUnpack } from "@bufbuild/protobuf/wkt";

/** A value of CEL that belongs to no engine. */
export type CelValue =
  | { readonly type: "null" }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "int" | "uint"; readonly value: bigint }
  | { readonly type: "double"; readonly value: number }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "bytes"; readonly value: Uint8Array }
  | { readonly type: "list"; readonly values: readonly CelValue[] }
  | { readonly type: "map"; readonly entries: readonly (readonly [CelValue, CelValue])[] }
  | { readonly type: "timestamp" | "duration"; readonly seconds: bigint; readonly nanos: number }
  | { readonly type: "type"; readonly name: string }
  /** A protobuf message, an enum or something else that no engine of conditions needs. */
  | { readonly type: "other"; readonly name: string };

export type Expected =
  | { readonly type: "value"; readonly value: CelValue }
  | { readonly type: "error" }
  /** Says nothing of a value: unknowns, and types that a checker deduces. */
  | { readonly type: "other" };

/** One case. */
export interface CelCase {
  /** `<file>/<section>`. */
  readonly section: string;
  readonly name: string;
  readonly expr: string;
  /** Types of the variables, as `list<string>`; `null` for one that is no plain type. */
  readonly variables: Readonly<Record<string, string | null>>;
  readonly bindings: Readonly<Record<string, CelValue>>;
  readonly expected: Expected;
  readonly container: string;
  /** Types are not to be checked before. */
  readonly unchecked: boolean;
  /** Macros are to be taken for functions. */
  readonly noMacros: boolean;
}

/** What an engine makes of a case. */
export type Outcome =
  | { readonly type: "value"; readonly value: CelValue }
  | { readonly type: "error"; readonly error: string };

/** `wrong`: another value than the specification's, or a value where it has an error. `unsupported`: an error instead of a value. */
export type Verdict = "pass" | "wrong" | "unsupported" | "not comparable";

/** All cases, in the order of the suite. */
export function celCases(): CelCase[] {
  return collect(getConformanceSuite(), []);
}

function collect(suite: IncrementalTestSuite, path: readonly string[]): CelCase[] {
  const own = suite.tests.map(({ name, original }): CelCase => {
    const variables: Record<string, string | null> = {};
    for (const decl of original.typeEnv) {
      if (decl.declKind.case === "ident") variables[decl.name] = typeName(decl.declKind.value.type);
    }
    const bindings: Record<string, CelValue> = {};
    for (const [key, bound] of Object.entries(original.bindings)) {
      bindings[key] = bound.kind.case === "value" ? fromValue(bound.kind.value) : other(bound.kind.case);
      variables[key] ??= bindings[key].type === "other" ? null : "dyn";
    }
    return {
      section: path.join("/"),
      name,
      expr: original.expr,
      variables,
      bindings,
      expected: expectedOf(original.resultMatcher, original.checkOnly),
      container: original.container,
      unchecked: original.disableCheck,
      noMacros: original.disableMacros,
    };
  });
  return [...own, ...suite.suites.flatMap((one) => collect(one, [...path, one.name]))];
}

type Matcher = IncrementalTestSuite["tests"][number]["original"]["resultMatcher"];

function expectedOf(matcher: Matcher, checkOnly: boolean): Expected {
  if (checkOnly) return { type: "other" };
  switch (matcher.case) {
    case undefined:
      return { type: "value", value: { type: "bool", value: true } };
    case "value":
      return { type: "value", value: fromValue(matcher.value) };
    case "typedResult":
      return matcher.value.result === undefined
        ? { type: "other" }
        : { type: "value", value: fromValue(matcher.value.result) };
    case "evalError":
    case "anyEvalErrors":
      return { type: "error" };
    default:
      return { type: "other" };
  }
}

function other(name: string | undefined): CelValue {
  return { type: "other", name: name ?? "nothing" };
}

function fromValue({ kind }: Value): CelValue {
  switch (kind.case) {
    case "nullValue":
      return { type: "null" };
    case "boolValue":
      return { type: "bool", value: kind.value };
    case "int64Value":
      return { type: "int", value: kind.value };
    case "uint64Value":
      return { type: "uint", value: kind.value };
    case "doubleValue":
      return { type: "double", value: kind.value };
    case "stringValue":
      return { type: "string", value: kind.value };
    case "bytesValue":
      return { type: "bytes", value: kind.value };
    case "typeValue":
      return { type: "type", name: kind.value };
    case "listValue":
      return { type: "list", values: kind.value.values.map(fromValue) };
    case "mapValue":
      return {
        type: "map",
        entries: kind.value.entries.map(({ key, value }) => [
          key === undefined ? other("key") : fromValue(key),
          value === undefined ? other("value") : fromValue(value),
        ]),
      };
    case "objectValue": {
      const message = anyUnpack(kind.value, getTestRegistry()) as
        | { readonly $typeName: string; readonly seconds?: bigint; readonly nanos?: number }
        | undefined;
      const span = { seconds: message?.seconds ?? 0n, nanos: message?.nanos ?? 0 };
      if (message?.$typeName === "google.protobuf.Timestamp") return { type: "timestamp", ...span };
      if (message?.$typeName === "google.protobuf.Duration") return { type: "duration", ...span };
      return other(message?.$typeName);
    }
    default:
      return other(kind.case);
  }
}

const PRIMITIVES = ["", "bool", "int", "uint", "double", "string", "bytes"];

function typeName(type: Type | undefined): string | null {
  switch (type?.typeKind.case) {
    case "dyn":
      return "dyn";
    case "null":
      return "null";
    case "primitive":
      return PRIMITIVES[type.typeKind.value] ?? null;
    case "listType": {
      const element = typeName(type.typeKind.value.elemType);
      return element === null ? null : `list<${element}>`;
    }
    case "mapType": {
      const key = typeName(type.typeKind.value.keyType);
      const value = typeName(type.typeKind.value.valueType);
      return key === null || value === null ? null : `map<${key}, ${value}>`;
    }
    case "wellKnown":
      return (
        [null, "dyn", "google.protobuf.Timestamp", "google.protobuf.Duration"][type.typeKind.value] ?? null
      );
    case "messageType":
      return /^google\.protobuf\.(Timestamp|Duration)$/.test(type.typeKind.value)
        ? type.typeKind.value
        : null;
    default:
      return null;
  }
}

/** Judges what an engine made of a case. */
export function judge({ expected }: CelCase, outcome: Outcome): Verdict {
  if (expected.type === "other") return "not comparable";
  if (expected.type === "error") return outcome.type === "error" ? "pass" : "wrong";
  if (outcome.type === "error") return "unsupported";
  if (expected.value.type === "other") return "wrong";
  return canonical(outcome.value) === canonical(expected.value) ? "pass" : "wrong";
}

/** A text that is the same for two values exactly when they have the same type and are equal; any NaN equals any other. */
export function canonical(value: CelValue): string {
  switch (value.type) {
    case "null":
      return "null";
    case "double":
      return `double ${Object.is(value.value, -0) ? "0" : value.value}`;
    case "bool":
    case "int":
    case "uint":
      return `${value.type} ${value.value}`;
    case "string":
      return `string ${JSON.stringify(value.value)}`;
    case "bytes":
      return `bytes ${Buffer.from(value.value).toString("hex")}`;
    case "list":
      return `[${value.values.map(canonical).join(", ")}]`;
    case "map":
      return `{${value.entries
        .map(([key, held]) => `${canonical(key)}: ${canonical(held)}`)
        .toSorted()
        .join(", ")}}`;
    case "timestamp":
    case "duration":
      return `${value.type} ${value.seconds} ${value.nanos}`;
    default:
      return `${value.type} ${value.name}`;
  }
}

export type Tally = Record<Verdict, number>;

/** Runs all cases through an engine and counts the verdicts of each section. */
export function tally(cases: readonly CelCase[], run: (one: CelCase) => Outcome): Map<string, Tally> {
  const sections = new Map<string, Tally>();
  for (const one of cases) {
    const counts = sections.get(one.section) ?? { pass: 0, wrong: 0, unsupported: 0, "not comparable": 0 };
    counts[judge(one, run(one))]++;
    sections.set(one.section, counts);
  }
  return sections;
}
