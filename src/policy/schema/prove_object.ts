/** What a schema asks of an object: its members by name, by pattern, and all others. */
import type { Problem } from "../../model/errors.ts";
import { factsOf, listOfTexts, memberFacts, namesOf, requiredOf } from "./facts.ts";
import { isSchemaObject, own, pointerTo, type SchemaObject } from "./keywords.ts";
import type { Known, Proof } from "./prove.ts";
import { countProblem, LENGTHS } from "./prove_scalar.ts";
import { memberOf } from "./types.ts";

/** Problems of the keywords that look at objects. */
export function objectProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  if (!known.kinds.has("object")) return [];
  const problems: Problem[] = [];
  const report = (keyword: string, message: string) =>
    problems.push({ path: pointerTo(pointer, keyword), message });
  const required = requiredOf(known.schemas);
  const missing = listOfTexts(own(goal, "required")).filter((name) => !required.has(name));
  if (missing.length > 0) report("required", `${quotedList(missing)} is required now and was not before`);

  problems.push(...namedProblems(proof, known, goal, pointer));
  problems.push(...patternProblems(proof, known, goal, pointer));
  problems.push(...additionalProblems(proof, known, goal, pointer));
  for (const limit of LENGTHS.object) countProblem(known, goal, limit, report, required.size);

  const names = own(goal, "propertyNames");
  if (names !== undefined) {
    const before = known.schemas.flatMap((one) => own(one, "propertyNames") ?? []);
    problems.push(
      ...proof.prove([...before, { type: "string" }], names, pointerTo(pointer, "propertyNames")),
    );
  }
  problems.push(...dependentProblems(proof, known, goal, pointer));
  if (Object.hasOwn(goal, "unevaluatedProperties") && own(goal, "unevaluatedProperties") !== true) {
    report(
      "unevaluatedProperties",
      "cannot be proved: it is understood only where the whole schema is as before",
    );
  }
  return problems;
}

function quotedList(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(", ");
}

function namedProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const properties = own(goal, "properties");
  return namesOf(properties).flatMap((name) => {
    const before = memberFacts(known.schemas, name, proof.patternOf);
    const at = pointerTo(pointer, "properties", name);
    const problems = proof.prove(before, memberOf(properties, name), at);
    if (problems.length === 0 || before.length > 0) return problems;
    return [
      {
        path: at,
        message: `a member '${name}' could be anything before (the object was open), and is held to this now`,
      },
    ];
  });
}

function patternProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const patterns = own(goal, "patternProperties");
  return namesOf(patterns).flatMap((source) => {
    const asked = memberOf(patterns, source);
    const at = pointerTo(pointer, "patternProperties", source);
    const pattern = proof.patternOf(source);
    const problems: Problem[] = [];
    for (const name of explicitNames(known.schemas)) {
      if (pattern === null || pattern.test(name)) {
        problems.push(...proof.prove(memberFacts(known.schemas, name, proof.patternOf), asked, at));
      }
    }
    // Any other name that matches: it is held to this very pattern before, or to what all other members are.
    problems.push(...proof.prove(othersFacts(known.schemas, new Set([source]), source), asked, at));
    problems.push(...otherPatterns(proof, known.schemas, new Set([source]), asked, at));
    return problems;
  });
}

function additionalProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const asked = own(goal, "additionalProperties");
  if (asked === undefined || asked === true) return [];
  const at = pointerTo(pointer, "additionalProperties");
  const named = new Set(namesOf(own(goal, "properties")));
  const sources = namesOf(own(goal, "patternProperties"));
  const problems: Problem[] = [];
  for (const name of explicitNames(known.schemas)) {
    if (named.has(name) || sources.some((source) => proof.patternOf(source)?.test(name) === true)) continue;
    const found = proof.prove(memberFacts(known.schemas, name, proof.patternOf), asked, at);
    problems.push(
      ...(found.length > 0 && asked === false
        ? [{ path: at, message: `member '${name}' was allowed and is not any more` }]
        : found),
    );
  }
  const ours = new Set(sources);
  const others = proof.prove(othersFacts(known.schemas, ours, null), asked, at);
  problems.push(
    ...(others.length > 0 && asked === false
      ? [{ path: at, message: "members of other names were allowed and are not any more" }]
      : others),
  );
  problems.push(...otherPatterns(proof, known.schemas, ours, asked, at));
  return problems;
}

/** Names that a schema speaks of. */
function explicitNames(schemas: readonly SchemaObject[]): ReadonlySet<string> {
  return new Set(schemas.flatMap((schema) => namesOf(own(schema, "properties"))));
}

/**
 * What holds of a member whose name no `properties` says, and which matches no pattern but perhaps those of `shared`: what
 * another pattern says of it is proved apart ({@link otherPatterns}).
 * @param matched a pattern that the name does match
 */
function othersFacts(
  schemas: readonly SchemaObject[],
  shared: ReadonlySet<string>,
  matched: string | null,
): unknown[] {
  return schemas.flatMap((schema) => {
    const patterns = own(schema, "patternProperties");
    const sources = namesOf(patterns);
    if (matched !== null && sources.includes(matched)) return [memberOf(patterns, matched)];
    // Where `matched` is null the name matches none of `shared`.
    if (matched !== null && sources.some((source) => shared.has(source))) return [];
    const additional = own(schema, "additionalProperties");
    return additional === undefined ? [] : [additional];
  });
}

/** A name may match a pattern that the goal does not have: then what that pattern says must be enough. */
function otherPatterns(
  proof: Proof,
  schemas: readonly SchemaObject[],
  shared: ReadonlySet<string>,
  asked: unknown,
  at: string,
): Problem[] {
  return schemas.flatMap((schema) => {
    const patterns = own(schema, "patternProperties");
    return namesOf(patterns)
      .filter((source) => !shared.has(source))
      .flatMap((source) => proof.prove([memberOf(patterns, source)], asked, at));
  });
}

function dependentProblems(proof: Proof, known: Known, goal: SchemaObject, pointer: string): Problem[] {
  const problems: Problem[] = [];
  const required = requiredOf(known.schemas);
  const isAbsent = (name: string) =>
    factsOf(memberFacts(known.schemas, name, proof.patternOf), proof.from).type === "never";
  const lists = own(goal, "dependentRequired");
  for (const name of namesOf(lists)) {
    const before = new Set(
      known.schemas.flatMap((one) => listOfTexts(memberOf(own(one, "dependentRequired"), name))),
    );
    const missing = listOfTexts(memberOf(lists, name)).filter(
      (one) => !required.has(one) && !before.has(one),
    );
    if (missing.length === 0 || isAbsent(name)) continue;
    problems.push({
      path: pointerTo(pointer, "dependentRequired", name),
      message: `${quotedList(missing)} is required now beside '${name}' and was not before`,
    });
  }
  const schemas = own(goal, "dependentSchemas");
  if (!isSchemaObject(schemas)) return problems;
  for (const [name, asked] of Object.entries(schemas)) {
    if (isAbsent(name)) continue;
    const before = known.schemas.flatMap((one) => memberOf(own(one, "dependentSchemas"), name) ?? []);
    const at = pointerTo(pointer, "dependentSchemas", name);
    problems.push(...proof.prove([...known.schemas, ...before, { required: [name] }], asked, at));
  }
  return problems;
}
