/** A version of a schema as a rule uses it: says of a payload whether it is valid. Any doubt is a failure. */
import { LeafmeshError } from "../../model/errors.ts";
import type { JsonSchema } from "../../model/schema/contract.ts";
import type { PayloadFailure, PayloadParser } from "../payload.ts";
import { hasSpecialName, instanceOf } from "./instance.ts";
import { type Prepared, prepareSchema } from "./prepare.ts";
import { SCHEMA_BOUNDS, structureProblems } from "./problems.ts";
import { findTargets } from "./refs.ts";
import { TooManySteps, Validator } from "./validator.ts";

export interface Contract {
  /** `order@2`. */
  readonly label: string;
  /** Why a payload is not valid; `null` when it is. May throw where the runtime does; the text holds no value of it. */
  failure(data: Uint8Array): PayloadFailure | null;
}

/**
 * Compiles a schema.
 * @param label how reports name it
 * @throws {LeafmeshError} `policy_invalid` when the schema has problems
 */
export function compileContract(label: string, schema: JsonSchema, payloads: PayloadParser): Contract {
  // Types of values were held against the meta-schema when it was written; what else it means is looked at again.
  const [problem] = structureProblems(schema);
  if (problem !== undefined) {
    throw new LeafmeshError(
      "policy_invalid",
      `Schema ${label} cannot be used: ${problem.path}: ${problem.message}`,
    );
  }
  const targets = findTargets(schema, { most: SCHEMA_BOUNDS.schemas, deepest: SCHEMA_BOUNDS.depth });
  const prepared = prepareSchema(schema, targets);
  const validator = new Validator(prepared);
  return { label, failure: (data) => check(label, prepared, validator, payloads, data) };
}

function check(
  label: string,
  prepared: Prepared,
  validator: Validator,
  payloads: PayloadParser,
  data: Uint8Array,
): PayloadFailure | null {
  const plain = payloads.plain(data);
  if (plain.type === "failed") return plain;
  const instance = instanceOf(plain);
  if (instance.type === "failed") return invalid(instance.error);
  if (prepared.usesUnevaluated && hasSpecialName(instance.value)) {
    return invalid(`A member is named as a part of every object is, which schema ${label} cannot tell apart`);
  }
  try {
    const found = validator.failure(instance, plain.text.length);
    if (found === null) return null;
    const place = shownPath(found.instancePath, instance.value, prepared.names);
    return invalid(`Not valid by schema ${label}: '${found.keyword}' fails at ${place}`);
  } catch (thrown) {
    if (thrown instanceof TooManySteps) return invalid(`Schema ${label} takes too long on this payload`);
    throw thrown;
  }
}

function invalid(error: string): PayloadFailure {
  return { type: "failed", reason: "schema_invalid", error };
}

/** Longer paths and names are cut: they go into a header. */
const MOST_TOKENS = 32;
const MOST_CHARACTERS = 64;

/** The path with the names that the schema says; any other name was chosen by the publisher, and may be a secret. */
function shownPath(instancePath: string, root: unknown, names: ReadonlySet<string>): string {
  if (instancePath === "") return "the payload itself";
  const tokens = instancePath.split("/").slice(1);
  let value = root;
  const shown = tokens.slice(0, MOST_TOKENS).map((token) => {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    const isIndex = Array.isArray(value);
    value = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
    return isIndex || names.has(name) ? token.replace(/[^ -~]/g, "?").slice(0, MOST_CHARACTERS) : "*";
  });
  return `'/${shown.join("/")}${tokens.length > MOST_TOKENS ? "/…" : ""}'`;
}
