/**
 * A JSON Schema as a function, by ajv, with the keywords replaced where its own would round numbers, compare values by what
 * their members are named, or take longer than the payload is long.
 */
import { Ajv2020, type KeywordDefinition, type Options } from "ajv/dist/2020.js";
import { canonicalJson } from "./canonical.ts";
import { FORMATS } from "./formats.ts";
import type { ExactNumbers, Instance } from "./instance.ts";
import { STEP_KEYWORD } from "./keywords.ts";
import type { Decimal } from "./numbers.ts";
import { compareDecimals, decimalOf, isMultipleOf } from "./numbers.ts";
import { compilePattern } from "./pattern.ts";
import type { Prepared } from "./prepare.ts";

/** A payload that takes more steps than this, and than its length times the second, is not decided. */
const MIN_STEPS = 2_000_000;
const STEPS_PER_CHARACTER = 256;
/** What following a reference counts. */
const STEPS_OF_REF = 100;

/** Thrown out of a validation that would take too long. */
export class TooManySteps extends Error {
  override readonly name = "TooManySteps";
}

/** Where a value failed, by ajv. */
export interface ValidationFailure {
  readonly keyword: string;
  readonly instancePath: string;
}

type Parsed = Extract<Instance, { type: "ok" }>;

/** What the keywords know of the value that is validated. */
class Run {
  exact: ExactNumbers | null = null;
  rootExact: Decimal | null = null;
  #steps = 0;

  start(instance: Parsed, length: number): void {
    this.exact = instance.exact;
    this.rootExact = instance.rootExact;
    this.#steps = MIN_STEPS + length * STEPS_PER_CHARACTER;
  }

  /** @throws {TooManySteps} */
  take(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new TooManySteps();
  }
}

/** Where a value stands; ajv gives neither for the whole payload. */
interface Place {
  readonly parentData?: unknown;
  readonly parentDataProperty?: unknown;
}

/**
 * A validator of one schema. Not for two validations at once.
 * @throws Error what ajv has against the schema; `schemaProblems` finds nearly all of it, with its place
 */
export class Validator {
  readonly #run = new Run();
  readonly #validate: ReturnType<Ajv2020["compile"]>;

  constructor({ schema, usesUnevaluated }: Prepared) {
    const ajv = createAjv(this.#run);
    // What ajv generates to follow what has been evaluated is its weakest part: only where it is needed.
    ajv.opts.unevaluated = usesUnevaluated;
    this.#validate = ajv.compile(schema);
  }

  /**
   * The failure that says most about a value; `null` when it is valid.
   * @param length characters of the text that the value was parsed from
   * @throws {TooManySteps}
   */
  failure(instance: Parsed, length: number): ValidationFailure | null {
    this.#run.start(instance, length);
    const result: unknown = this.#validate(instance.value);
    if (result === true) return null;
    return mostTelling(this.#validate.errors ?? []);
  }
}

/** The last is the outermost: of the failures of an `anyOf`'s branches none is the reason. What an `if` asks for is. */
function mostTelling(errors: readonly ValidationFailure[]): ValidationFailure {
  const last = errors[errors.length - 1];
  const found =
    (last?.keyword === "if" ? errors[errors.length - 2] : last) ??
    ({ keyword: "schema", instancePath: "" } as const);
  return { keyword: found.keyword, instancePath: found.instancePath };
}

function createAjv(run: Run): Ajv2020 {
  const options: Options = {
    meta: false,
    validateSchema: false,
    strictSchema: true,
    strictNumbers: true,
    strictTypes: false,
    strictTuples: false,
    strictRequired: false,
    allowMatchingProperties: true,
    // Without it a schema would find `constructor` in every object.
    ownProperties: true,
    inlineRefs: false,
    messages: false,
    logger: false,
    formats: Object.fromEntries(FORMATS),
    code: { regExp: linearRegExp(run) },
  };
  const ajv = new Ajv2020(options);
  for (const definition of keywords(run)) {
    ajv.removeKeyword(String(definition.keyword));
    ajv.addKeyword(definition);
  }
  return ajv;
}

type RegExpEngine = NonNullable<NonNullable<Options["code"]>["regExp"]>;

function linearRegExp(run: Run): RegExpEngine {
  const engine = (source: string) => {
    const compiled = compilePattern(source);
    if (compiled.type === "invalid") throw new Error(`pattern '${source}': ${compiled.problem}`);
    const { pattern } = compiled;
    return {
      // ajv tells patterns apart by this alone: without it the first one of a schema would stand for all of them.
      toString: () => `/${source}/`,
      test: (text: string) => {
        run.take(text.length * Math.max(1, pattern.size / 16));
        return pattern.test(text);
      },
    };
  };
  return Object.assign(engine, { code: "new RegExp" });
}

function keywords(run: Run): KeywordDefinition[] {
  /** The number as it was written. */
  const exactOf = (place: Place | undefined): Decimal | null => {
    const holder = place?.parentData;
    if (typeof holder !== "object" || holder === null) return run.rootExact;
    return run.exact?.get(holder)?.get(String(place?.parentDataProperty)) ?? null;
  };
  const bound = (keyword: string, holds: (order: number) => boolean): KeywordDefinition => ({
    keyword,
    type: "number",
    schemaType: "number",
    errors: false,
    validate: (limit: number, value: number, _schema: unknown, place?: Place) => {
      const exact = run.exact === null ? null : exactOf(place);
      if (exact === null) return holds(value < limit ? -1 : value > limit ? 1 : 0);
      return holds(compareDecimals(exact, decimalOf(limit)));
    },
  });
  const canonical = (value: unknown, place: Place | undefined): string => {
    const exact = typeof value === "number" && run.exact !== null ? exactOf(place) : null;
    const text = exact === null ? canonicalJson(value, run.exact) : `${exact.digits}e${exact.exponent}`;
    run.take(text.length);
    return text;
  };
  const oneOf = (keyword: "const" | "enum"): KeywordDefinition => ({
    keyword,
    errors: false,
    compile: (given: unknown) => {
      const values = keyword === "const" ? [given] : Array.isArray(given) ? given : [];
      const texts = new Set(values.map((one: unknown) => canonicalJson(one, null)));
      const hasParts = values.some((one: unknown) => typeof one === "object" && one !== null);
      return (value: unknown, place?: Place) =>
        (hasParts || typeof value !== "object" || value === null) && texts.has(canonical(value, place));
    },
  });
  return [
    {
      keyword: STEP_KEYWORD,
      before: "$ref",
      schemaType: "boolean",
      errors: false,
      validate: () => {
        run.take(STEPS_OF_REF);
        return true;
      },
    },
    bound("minimum", (order) => order >= 0),
    bound("maximum", (order) => order <= 0),
    bound("exclusiveMinimum", (order) => order > 0),
    bound("exclusiveMaximum", (order) => order < 0),
    {
      keyword: "multipleOf",
      type: "number",
      schemaType: "number",
      errors: false,
      validate: (divisor: number, value: number, _schema: unknown, place?: Place) => {
        const exact = run.exact === null ? null : exactOf(place);
        if (exact === null && Number.isSafeInteger(divisor) && Number.isSafeInteger(value)) {
          return value % divisor === 0;
        }
        return isMultipleOf(exact ?? decimalOf(value), decimalOf(divisor));
      },
    },
    oneOf("const"),
    oneOf("enum"),
    {
      keyword: "uniqueItems",
      type: "array",
      schemaType: "boolean",
      errors: false,
      validate: (unique: boolean, list: readonly unknown[]) => {
        if (!unique) return true;
        const seen = new Set<string>();
        for (const [index, one] of list.entries()) {
          const text = canonical(one, { parentData: list, parentDataProperty: index });
          if (seen.has(text)) return false;
          seen.add(text);
        }
        return true;
      },
    },
  ];
}
