/** What a schema asks of a list: its elements by place, how many, whether they differ. */
import type { Problem } from "../../model/errors.ts";
import { elementFacts, longestPrefix, strictest } from "./facts.ts";
import { own, pointerTo, type SchemaObject } from "./keywords.ts";
import type { Known, Proof } from "./prove.ts";
import { countProblem, LENGTHS } from "./prove_scalar.ts";

const CONTAINS = ["contains", "minContains", "maxContains"];

/** Problems of the keywords that look at lists. */
export function arrayProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  if (!known.kinds.has("array")) return [];
  const problems: Problem[] = [];
  const report = (keyword: string, message: string) =>
    problems.push({ path: pointerTo(pointer, keyword), message });
  const most = strictest(known.schemas, "maxItems", "smallest") ?? Number.POSITIVE_INFINITY;
  const prefix = own(goal, "prefixItems");
  const first: readonly unknown[] = Array.isArray(prefix) ? prefix : [];
  for (const [index, asked] of first.entries()) {
    if (index >= most) break;
    const at = pointerTo(pointer, "prefixItems", index);
    problems.push(...proof.prove(elementFacts(known.schemas, index), asked, at));
  }
  const items = own(goal, "items");
  if (items !== undefined) {
    // Beyond the longest list of places all elements are alike.
    const last = Math.max(first.length, longestPrefix(known.schemas));
    for (let index = first.length; index <= last && index < most; index++) {
      problems.push(...proof.prove(elementFacts(known.schemas, index), items, pointerTo(pointer, "items")));
    }
  }
  for (const limit of LENGTHS.array) countProblem(known, goal, limit, report);
  if (own(goal, "uniqueItems") === true && most > 1) {
    const unique = known.schemas.some((one) => own(one, "uniqueItems") === true);
    if (!unique) report("uniqueItems", "two equal elements were allowed and are not any more");
  }
  if (
    Object.hasOwn(goal, "contains") &&
    !known.schemas.some((one) => proof.same.keywords(one, goal, CONTAINS))
  ) {
    report("contains", "cannot be proved: it is understood only where it is as before");
  }
  if (Object.hasOwn(goal, "unevaluatedItems") && own(goal, "unevaluatedItems") !== true) {
    report("unevaluatedItems", "cannot be proved: it is understood only where the whole schema is as before");
  }
  return problems;
}
