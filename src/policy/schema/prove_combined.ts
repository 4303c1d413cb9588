/** What a schema asks by other schemas: all of them, any, one, none, or by a condition. */
import type { Problem } from "../../model/errors.ts";
import { areDisjoint } from "./disjoint.ts";
import { own, pointerTo, type SchemaObject } from "./keywords.ts";
import type { Known, Proof } from "./prove.ts";

/** Problems of `allOf`, `anyOf`, `oneOf`, `not` and `if`. */
export function combinedProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const problems: Problem[] = [];
  const asBefore = (...keywords: string[]) =>
    known.schemas.some((one) => proof.same.keywords(one, goal, keywords));
  const report = (keyword: string, message: string) =>
    problems.push({ path: pointerTo(pointer, keyword), message: `cannot be proved: ${message}` });

  for (const [index, one] of branchesOf(goal, "allOf").entries()) {
    problems.push(...proof.prove(known.schemas, one, pointerTo(pointer, "allOf", index)));
  }
  if (Object.hasOwn(goal, "anyOf") && !asBefore("anyOf")) {
    const some = branchesOf(goal, "anyOf").some((one, index) =>
      isProved(proof, known, one, pointer, "anyOf", index),
    );
    if (!some) report("anyOf", "no branch takes all that was allowed");
  }
  if (Object.hasOwn(goal, "oneOf") && !asBefore("oneOf")) {
    const branches = branchesOf(goal, "oneOf");
    const one = branches.some(
      (branch, index) =>
        branches.every((other, at) => at === index || areDisjoint(proof, known.schemas, other)) &&
        isProved(proof, known, branch, pointer, "oneOf", index),
    );
    if (!one) report("oneOf", "no branch, and that one alone, takes all that was allowed");
  }
  if (
    Object.hasOwn(goal, "not") &&
    !asBefore("not") &&
    !areDisjoint(proof, known.schemas, own(goal, "not"))
  ) {
    report("not", "something of what was allowed may be what is excluded now");
  }
  if (Object.hasOwn(goal, "if") && !asBefore("if", "then", "else")) {
    const both = ["then", "else"].every((keyword) => {
      const asked = own(goal, keyword);
      return (
        asked === undefined || proof.prove(known.schemas, asked, pointerTo(pointer, keyword)).length === 0
      );
    });
    if (!both) report("if", "what it asks for does not hold of all that was allowed");
  }
  return problems;
}

function branchesOf(goal: SchemaObject, keyword: string): readonly unknown[] {
  const branches = own(goal, keyword);
  return Array.isArray(branches) ? branches : [];
}

function isProved(
  proof: Proof,
  known: Known,
  branch: unknown,
  pointer: string,
  keyword: string,
  index: number,
): boolean {
  return proof.prove(known.schemas, branch, pointerTo(pointer, keyword, index)).length === 0;
}
