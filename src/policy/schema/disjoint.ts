/** Whether no value can be valid by two schemas at once. */
import { canonicalJson } from "./canonical.ts";
import { factsOf, kindsOfAll, memberFacts, requiredOf, strictest, valuesOfAll } from "./facts.ts";
import type { SchemaObject } from "./keywords.ts";
import type { Proof } from "./prove.ts";
import { common } from "./types.ts";

/** Deeper than this it is not looked at whether two schemas exclude each other. */
const DEEPEST = 4;

/** `false` is no proof that there is a common value. @param other a schema of the second document */
export function areDisjoint(proof: Proof, schemas: readonly unknown[], other: unknown, depth = 0): boolean {
  const left = factsOf(schemas, proof.from);
  const right = factsOf([other], proof.to);
  if (left.type === "never" || right.type === "never") return true;
  const kinds = common(kindsOfAll(left.schemas), kindsOfAll(right.schemas));
  if (kinds.size === 0) return true;
  const leftValues = valuesOfAll(left.schemas);
  const rightValues = valuesOfAll(right.schemas);
  if (leftValues !== null && rightValues !== null) {
    const texts = new Set(leftValues.map((one) => canonicalJson(one, null)));
    if (!rightValues.some((one) => texts.has(canonicalJson(one, null)))) return true;
  }
  const onlyNumbers = [...kinds].every((kind) => kind === "integer" || kind === "fraction");
  if (onlyNumbers && (isAbove(left.schemas, right.schemas) || isAbove(right.schemas, left.schemas)))
    return true;
  const onlyObjects = [...kinds].every((kind) => kind === "object");
  if (!onlyObjects || depth >= DEEPEST) return false;
  // A member that one of them must have, and that cannot be valid by both.
  const required = new Set([...requiredOf(left.schemas), ...requiredOf(right.schemas)]);
  return [...required].some((name) => {
    const ours = memberFacts(left.schemas, name, proof.patternOf);
    const theirs = memberFacts(right.schemas, name, proof.patternOf);
    return theirs.length === 0
      ? factsOf(ours, proof.from).type === "never"
      : theirs.some((one) => areDisjoint(proof, ours, one, depth + 1));
  });
}

function isAbove(high: readonly SchemaObject[], low: readonly SchemaObject[]): boolean {
  const least = strictest(high, "minimum", "largest");
  const most = strictest(low, "maximum", "smallest");
  return least !== null && most !== null && least > most;
}
