/** What a schema asks of a value by itself: its kind, its size, its text. */
import type { Problem } from "../../model/errors.ts";
import { strictest } from "./facts.ts";
import { own, pointerTo, type SchemaObject } from "./keywords.ts";
import { decimalOf, isMultipleOf } from "./numbers.ts";
import type { Known, Proof } from "./prove.ts";
import { ALL_KINDS, type Kind, kindsOf } from "./types.ts";

/** Problems of `type`, `enum`, `const`, bounds, lengths, `pattern` and `format`. */
export function scalarProblems(_proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const problems: Problem[] = [];
  const report = (keyword: string, message: string) =>
    problems.push({ path: pointerTo(pointer, keyword), message });

  if (Object.hasOwn(goal, "type")) {
    const allowed = kindsOf({ type: own(goal, "type") });
    const refused = [...known.kinds].filter((kind) => !allowed.has(kind));
    if (refused.length > 0) report("type", `${listed(refused, known.kinds)} was allowed and is not any more`);
  }
  for (const keyword of ["enum", "const"]) {
    if (Object.hasOwn(goal, keyword))
      report(keyword, "only listed values are allowed now, others were before");
  }
  if (known.kinds.has("integer") || known.kinds.has("fraction")) numberProblems(known, goal, report);
  if (known.kinds.has("string")) {
    for (const limit of LENGTHS.string) countProblem(known, goal, limit, report);
    for (const keyword of ["pattern", "format"] as const) {
      const asked = own(goal, keyword);
      if (asked === undefined || known.schemas.some((one) => own(one, keyword) === asked)) continue;
      report(
        keyword,
        `cannot be proved: every text that was allowed would have to be of ${keyword} '${String(asked)}'`,
      );
    }
  }
  return problems;
}

function listed(refused: readonly Kind[], before: ReadonlySet<Kind>): string {
  if (before.size === ALL_KINDS.size) return "any type";
  const names = refused.map((kind) => (kind === "fraction" ? "number" : kind));
  return `type ${names.join(", ")}`;
}

interface CountLimit {
  readonly keyword: string;
  readonly sort: "least" | "most";
}

/** Keywords that count something of a value. */
export const LENGTHS = {
  string: [
    { keyword: "minLength", sort: "least" },
    { keyword: "maxLength", sort: "most" },
  ],
  array: [
    { keyword: "minItems", sort: "least" },
    { keyword: "maxItems", sort: "most" },
  ],
  object: [
    { keyword: "minProperties", sort: "least" },
    { keyword: "maxProperties", sort: "most" },
  ],
} as const satisfies Record<string, readonly CountLimit[]>;

/** Holds a count of the goal against those that are known. @param least what is known to be there by other keywords */
export function countProblem(
  known: Known,
  goal: SchemaObject,
  { keyword, sort }: CountLimit,
  report: (keyword: string, message: string) => void,
  least = 0,
): void {
  const asked = own(goal, keyword);
  if (typeof asked !== "number") return;
  if (sort === "least") {
    const before = Math.max(least, strictest(known.schemas, keyword, "largest") ?? 0);
    if (before < asked) report(keyword, `at least ${asked} now, ${before} before`);
    return;
  }
  const before = strictest(known.schemas, keyword, "smallest");
  if (before === null || before > asked) {
    report(keyword, `at most ${asked} now, ${before === null ? "any number" : before} before`);
  }
}

interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

function numberProblems(
  known: Known,
  goal: SchemaObject,
  report: (keyword: string, message: string) => void,
): void {
  const integers = !known.kinds.has("fraction");
  for (const side of ["minimum", "maximum"] as const) {
    const before = boundOf(known.schemas, side, integers);
    for (const asked of boundsAsked(goal, side)) {
      if (before !== null && isWithin(before, asked, side)) continue;
      const was = before === null ? "none" : `${before.exclusive ? "exclusive " : ""}${before.value}`;
      report(asked.exclusive ? exclusiveOf(side) : side, `${asked.value} now, ${was} before`);
    }
  }
  const divisor = own(goal, "multipleOf");
  if (typeof divisor === "number") {
    const wanted = decimalOf(divisor);
    const follows =
      (integers && isMultipleOf(decimalOf(1), wanted)) ||
      known.schemas.some((one) => {
        const before = own(one, "multipleOf");
        return typeof before === "number" && isMultipleOf(decimalOf(before), wanted);
      });
    if (!follows) report("multipleOf", `numbers that are no multiple of ${divisor} were allowed`);
  }
}

type Side = "minimum" | "maximum";

const exclusiveOf = (side: Side): string => (side === "minimum" ? "exclusiveMinimum" : "exclusiveMaximum");

function boundsAsked(schema: SchemaObject, side: Side): Bound[] {
  return [false, true].flatMap((exclusive) => {
    const value = own(schema, exclusive ? exclusiveOf(side) : side);
    return typeof value === "number" ? [{ value, exclusive }] : [];
  });
}

/** The strictest bound of all; of integers the nearest one that can be reached. */
function boundOf(schemas: readonly SchemaObject[], side: Side, integers: boolean): Bound | null {
  let found: Bound | null = null;
  for (const raw of schemas.flatMap((schema) => boundsAsked(schema, side))) {
    const bound = integers ? reachable(raw, side) : raw;
    if (found === null || isWithin(bound, found, side)) found = bound;
  }
  return found;
}

function reachable({ value, exclusive }: Bound, side: Side): Bound {
  if (side === "minimum") {
    return { value: exclusive ? Math.floor(value) + 1 : Math.ceil(value), exclusive: false };
  }
  return { value: exclusive ? Math.ceil(value) - 1 : Math.floor(value), exclusive: false };
}

/** Whether all within the first bound is within the second. */
function isWithin(first: Bound, second: Bound, side: Side): boolean {
  if (first.value === second.value) return first.exclusive || !second.exclusive;
  return side === "minimum" ? first.value > second.value : first.value < second.value;
}
