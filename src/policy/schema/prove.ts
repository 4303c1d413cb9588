/**
 * Proves that every value valid by one schema is valid by another. What is proved is so; what is not may still be so, and is
 * told as "cannot be proved". The proof goes over the second schema, keyword by keyword: each must follow from what is known of
 * the value by the first.
 */
import type { Problem } from "../../model/errors.ts";
import type { JsonSchema } from "../../model/schema/contract.ts";
import { type Facts, factsOf, kindsOfAll, type PatternOf, patternCache, valuesOfAll } from "./facts.ts";
import { isSchemaObject, own, type SchemaObject } from "./keywords.ts";
import { SCHEMA_BOUNDS } from "./problems.ts";
import { arrayProblems } from "./prove_array.ts";
import { combinedProblems } from "./prove_combined.ts";
import { objectProblems } from "./prove_object.ts";
import { scalarProblems } from "./prove_scalar.ts";
import { findTargets, refOf, resolveRef, type Targets } from "./refs.ts";
import { Same } from "./same.ts";
import { type Kind, kindOf } from "./types.ts";
import { Valid } from "./valid.ts";

/** Goals of one proof; a schema of the usual size needs a few hundred. */
const MOST_GOALS = 20_000;
const MOST_PROBLEMS = 20;
const TOO_COMPLEX = "cannot be proved: the schemas are too complex";

/** A proof under way: the rules of the keywords call it for the parts of a value. */
export interface Proof {
  readonly from: Targets;
  readonly to: Targets;
  readonly same: Same;
  readonly patternOf: PatternOf;
  /** What of a goal does not follow from schemas of the first document; none: all of it does. */
  prove(schemas: readonly unknown[], goal: unknown, pointer: string): Problem[];
}

/** What a goal's keyword is to follow from. */
export interface Known {
  readonly schemas: readonly SchemaObject[];
  readonly kinds: ReadonlySet<Kind>;
}

/** What speaks against every value of `from` being one of `to`; paths are JSON pointers of `to`, as fragments. */
export function proveWithin(from: JsonSchema, to: JsonSchema): Problem[] {
  const bounds = { most: SCHEMA_BOUNDS.schemas, deepest: SCHEMA_BOUNDS.depth };
  const prover = new Prover(findTargets(from, bounds), findTargets(to, bounds), to);
  const problems = prover.proveAll(from, to);
  const unique = new Map(problems.map((one) => [`${one.path} ${one.message}`, one]));
  return [...unique.values()]
    .slice(0, MOST_PROBLEMS)
    .map(({ path, message }) => ({ path: `#${path}`, message }));
}

class Prover implements Proof {
  readonly from: Targets;
  readonly to: Targets;
  readonly same: Same;
  readonly patternOf: PatternOf = patternCache();
  readonly #valid: Valid;
  /** Goals that are being proved: a goal that comes back is about a part of the value, and holds if all others do. */
  readonly #open = new Set<string>();
  /** Schemas without the branches that a proof goes through one by one. */
  readonly #rests = new Map<SchemaObject, SchemaObject>();
  readonly #ids = new Map<unknown, number>();
  #goals = 0;

  constructor(from: Targets, to: Targets, root: JsonSchema) {
    this.from = from;
    this.to = to;
    this.same = new Same(from, to);
    this.#valid = new Valid(root, to);
  }

  proveAll(from: JsonSchema, to: JsonSchema): Problem[] {
    try {
      return this.prove([from], to, "");
    } catch (thrown) {
      // A proof may nest deeper than the stack.
      if (thrown instanceof RangeError) return [{ path: "", message: TOO_COMPLEX }];
      throw thrown;
    }
  }

  prove(schemas: readonly unknown[], goal: unknown, pointer: string): Problem[] {
    if (goal === true || goal === undefined) return [];
    if (++this.#goals > MOST_GOALS) {
      return [{ path: pointer, message: TOO_COMPLEX }];
    }
    const facts = factsOf(schemas, this.from);
    if (facts.type === "never") return [];
    if (!isSchemaObject(goal)) return [{ path: pointer, message: "nothing is valid here any more" }];
    if (facts.schemas.some((one) => this.same.schemas(one, goal))) return [];
    const values = listedValues(facts.schemas);
    if (values !== null) return this.#proveValues(values, pointer);

    const key = `${facts.schemas.map((one) => this.#id(one)).sort((a, b) => a - b)} ${this.#id(goal)}`;
    if (this.#open.has(key)) return [];
    this.#open.add(key);
    try {
      return this.#proveGoal(facts, goal, pointer);
    } finally {
      this.#open.delete(key);
    }
  }

  #proveGoal(facts: Extract<Facts, { type: "all" }>, goal: SchemaObject, pointer: string): Problem[] {
    const direct = this.#proveKeywords(facts.schemas, goal, pointer);
    if (direct.length === 0) return [];
    // By cases: every value is of one kind, and of one branch.
    for (const cases of casesOf(facts.schemas)) {
      const rest = facts.schemas.map((one) => this.#withoutCases(one, cases));
      const problems = cases.flatMap((one) => this.prove([...rest, one.add], goal, pointer));
      if (problems.length === 0) return [];
      if (cases[0]?.kind === "branch") return problems;
    }
    return direct;
  }

  #proveKeywords(schemas: readonly SchemaObject[], goal: SchemaObject, pointer: string): Problem[] {
    const known: Known = { schemas, kinds: kindsOfAll(schemas) };
    const problems = [
      ...scalarProblems(this, known, goal, pointer),
      ...objectProblems(this, known, goal, pointer),
      ...arrayProblems(this, known, goal, pointer),
      ...combinedProblems(this, known, goal, pointer),
    ];
    const ref = refOf(goal);
    if (ref !== null) {
      const target = resolveRef(this.to, ref.ref);
      if (target === null) problems.push({ path: pointer, message: `cannot be proved: '${ref.ref}'` });
      else problems.push(...this.prove(schemas, this.to.byPointer.get(target), target));
    }
    return problems;
  }

  /** Each of the values that were allowed is tried. */
  #proveValues(values: readonly unknown[], pointer: string): Problem[] {
    return values.flatMap((value) =>
      this.#valid.at(pointer, value)
        ? []
        : [{ path: pointer, message: `the value ${shown(value)} that was allowed is not any more` }],
    );
  }

  /** A schema whose branches are looked at one by one stands without them: they would be split again. */
  #withoutCases(schema: SchemaObject, cases: readonly Case[]): SchemaObject {
    const [first] = cases;
    if (first?.kind !== "branch" || schema !== first.of) return schema;
    const known = this.#rests.get(schema);
    if (known !== undefined) return known;
    const rest = Object.fromEntries(Object.entries(schema).filter(([name]) => name !== first.keyword));
    this.#rests.set(schema, rest);
    return rest;
  }

  #id(schema: unknown): number {
    const known = this.#ids.get(schema) ?? this.#ids.size;
    this.#ids.set(schema, known);
    return known;
  }
}

type Case =
  | { readonly kind: "kind"; readonly add: SchemaObject }
  | {
      readonly kind: "branch";
      /** The schema whose cases these are, and by which keyword. */
      readonly of: SchemaObject;
      readonly keyword: string;
      readonly add: unknown;
    };

/** One object for each type: a goal that comes back must be known again. */
const TYPES: ReadonlyMap<string, SchemaObject> = new Map(
  ["null", "boolean", "object", "array", "string", "integer", "number"].map((type) => [type, { type }]),
);

/** Ways to split what is known: by kinds, and by the branches of an `anyOf` or `oneOf`. */
function* casesOf(schemas: readonly SchemaObject[]): Generator<readonly Case[]> {
  for (const schema of schemas) {
    for (const keyword of ["anyOf", "oneOf"]) {
      const branches = own(schema, keyword);
      if (!Array.isArray(branches)) continue;
      yield branches.map((add: unknown) => ({ kind: "branch" as const, of: schema, keyword, add }));
      return;
    }
  }
  const kinds = [...kindsOfAll(schemas)];
  if (kinds.length < 2) return;
  const types = new Set(kinds.map((kind) => (kind === "fraction" ? "number" : kind)));
  // An integer is a number too: the two stay together.
  if (types.has("number")) types.delete("integer");
  if (types.size < 2) return;
  yield [...types].map((type) => ({ kind: "kind" as const, add: TYPES.get(type) ?? {} }));
}

/** The only values that may be valid, where that is few by the kinds alone too. */
function listedValues(schemas: readonly SchemaObject[]): readonly unknown[] | null {
  const kinds = kindsOfAll(schemas);
  const values = valuesOfAll(schemas);
  if (values !== null) return values.filter((one) => kinds.has(kindOf(one)));
  if ([...kinds].some((kind) => kind !== "null" && kind !== "boolean")) return null;
  return [null, true, false].filter((one) => kinds.has(kindOf(one)));
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? kindOf(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
