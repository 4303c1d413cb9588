/** What is wrong with a JSON Schema that somebody wants events held against: all of it, each with its JSON pointer. */
import { Ajv2020 } from "ajv/dist/2020.js";
import { errorText, type Problem } from "../../model/errors.ts";
import { nearestWord } from "../../model/suggest.ts";
import { FORMATS } from "./formats.ts";
import {
  IN_PLACE,
  isSchemaObject,
  KEYWORDS,
  own,
  pointerTo,
  type SchemaObject,
  subschemas,
} from "./keywords.ts";
import { compilePattern } from "./pattern.ts";
import { prepareSchema } from "./prepare.ts";
import { findTargets, refOf, resolveRef, type Targets } from "./refs.ts";
import { Validator } from "./validator.ts";

/** Bounds of a schema. */
export const SCHEMA_BOUNDS = {
  /** Characters of its JSON. */
  length: 64 * 1024,
  schemas: 2000,
  depth: 32,
  references: 256,
  enumValues: 1000,
} as const;

const DRAFT = "https://json-schema.org/draft/2020-12/schema";
/** Keywords whose schemas need not hold for the whole to hold. */
const BRANCHES = ["anyOf", "oneOf", "not", "dependentSchemas"] as const;
const MOST_PROBLEMS = 50;
const MOST_JSON_DEPTH = 100;

/** Problems of a schema; paths are JSON pointers as fragments (`#/properties/id`). None: it compiles. */
export function schemaProblems(schema: unknown): Problem[] {
  const problems = structureProblems(schema);
  if (problems.length > 0 || !isSchemaObject(schema)) return problems;
  const found = metaProblems(schema);
  if (found.length === 0) found.push(...compileProblems(schema));
  return found.slice(0, MOST_PROBLEMS).map(asFragment);
}

/** Bounds, keywords, patterns, formats and references: all that must hold for a schema that compiles to say what it seems to. */
export function structureProblems(schema: unknown): Problem[] {
  if (isTooDeep(schema)) return [{ path: "#", message: `its JSON nests deeper than ${MOST_JSON_DEPTH}` }];
  const text = textOf(schema);
  if (text === null) return [{ path: "#", message: "it is no JSON" }];
  if (text.length > SCHEMA_BOUNDS.length) {
    return [
      { path: "#", message: `it is ${text.length} characters long, ${SCHEMA_BOUNDS.length} are the most` },
    ];
  }
  if (typeof schema === "boolean") return [];
  if (!isSchemaObject(schema)) return [{ path: "#", message: "a JSON Schema is a map, true or false" }];
  const targets = findTargets(schema, { most: SCHEMA_BOUNDS.schemas, deepest: SCHEMA_BOUNDS.depth });
  if (targets.byPointer.size > SCHEMA_BOUNDS.schemas) {
    return [{ path: "#", message: `it has more than ${SCHEMA_BOUNDS.schemas} schemas within` }];
  }
  return [...checkAll(targets), ...checkReferences(targets)].slice(0, MOST_PROBLEMS).map(asFragment);
}

function asFragment({ path, message }: Problem): Problem {
  return { path: `#${path}`, message };
}

/** Without recursion: what comes after may recurse. */
function isTooDeep(root: unknown): boolean {
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value: root, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value !== "object" || next.value === null) continue;
    if (next.depth >= MOST_JSON_DEPTH) return true;
    for (const value of Object.values(next.value)) open.push({ value, depth: next.depth + 1 });
  }
  return false;
}

function textOf(schema: unknown): string | null {
  try {
    return JSON.stringify(schema) ?? null;
  } catch {
    return null;
  }
}

function checkAll(targets: Targets): Problem[] {
  const problems: Problem[] = [];
  const anchors = new Set<string>();
  const follows = (keyword: string) =>
    [...targets.byPointer.values()].some((one) => isSchemaObject(one) && Object.hasOwn(one, keyword));
  const followsItems = follows("unevaluatedItems");
  const followsAny = followsItems || follows("unevaluatedProperties");
  const report = (path: string, message: string) => problems.push({ path, message });
  for (const [pointer, schema] of targets.byPointer) {
    if (!isSchemaObject(schema)) {
      if (typeof schema !== "boolean") report(pointer, "expected a schema: a map, true or false");
      continue;
    }
    if (depthOf(schema, pointer, targets) > SCHEMA_BOUNDS.depth) {
      report(pointer, `schemas nest deeper than ${SCHEMA_BOUNDS.depth}`);
      continue;
    }
    for (const [keyword, value] of Object.entries(schema)) {
      checkKeyword(keyword, value, pointer, (message, at = pointerTo(pointer, keyword)) =>
        report(at, message),
      );
    }
    for (const keyword of ["$anchor", "$dynamicAnchor"]) {
      const anchor = own(schema, keyword);
      if (typeof anchor !== "string") continue;
      if (anchors.has(anchor)) report(pointerTo(pointer, keyword), `anchor '${anchor}' is there twice`);
      anchors.add(anchor);
    }
    // ajv takes all elements for looked at where `contains` stands, so what is left over would pass.
    if (followsItems && Object.hasOwn(schema, "contains")) {
      report(
        pointerTo(pointer, "contains"),
        "'contains' cannot stand in a schema with 'unevaluatedItems': which elements it has looked at is not followed",
      );
    }
    // ajv takes the elements of a branch that does not hold for looked at too, where the branch has `items`.
    for (const keyword of followsItems ? BRANCHES : []) {
      if (!Object.hasOwn(schema, keyword)) continue;
      report(
        pointerTo(pointer, keyword),
        `'${keyword}' cannot stand in a schema with 'unevaluatedItems': which elements its branches have looked at is not followed`,
      );
    }
    // ajv keeps what an `if` has looked at even where it does not hold.
    if (followsAny && Object.hasOwn(schema, "if")) {
      report(
        pointerTo(pointer, "if"),
        "'if' cannot stand in a schema with 'unevaluatedItems' or 'unevaluatedProperties': what it has looked at is not followed",
      );
    }
    if (Object.hasOwn(schema, "$ref") && Object.hasOwn(schema, "$dynamicRef")) {
      report(pointer, "'$ref' and '$dynamicRef' stand together: one schema has one reference");
    }
  }
  return problems;
}

/** How many schemas are around one. */
function depthOf(_schema: SchemaObject, pointer: string, targets: Targets): number {
  let depth = 0;
  for (let at = pointer; at !== ""; ) {
    at = at.slice(0, at.lastIndexOf("/"));
    if (targets.byPointer.has(at)) depth++;
  }
  return depth;
}

type Report = (message: string, at?: string) => void;

function checkKeyword(keyword: string, value: unknown, pointer: string, report: Report): void {
  const kind = KEYWORDS.get(keyword);
  if (kind === undefined) {
    report(unknownKeyword(keyword));
    return;
  }
  if (keyword === "$schema" && value !== DRAFT)
    report(`'${String(value)}' is another dialect, expected ${DRAFT}`);
  if (keyword === "$id" && pointer !== "") report("a schema within a schema cannot have an '$id' of its own");
  if (keyword === "$dynamicRef" && typeof value === "string" && !value.startsWith("#")) {
    report(`'${value}' is not within this schema`);
  }
  if (keyword === "pattern" && typeof value === "string") checkPattern(value, report);
  if (keyword === "format" && typeof value === "string" && !FORMATS.has(value)) {
    const near = nearestWord(value, [...FORMATS.keys()]);
    const hint = near === null ? `known are ${[...FORMATS.keys()].join(", ")}` : `did you mean '${near}'?`;
    report(`format '${value}' is not asserted (${hint})`);
  }
  if (keyword === "enum" && Array.isArray(value) && value.length > SCHEMA_BOUNDS.enumValues) {
    report(`it lists ${value.length} values, ${SCHEMA_BOUNDS.enumValues} are the most`);
  }
  const at = pointerTo(pointer, keyword);
  if (kind === "map" && isSchemaObject(value)) {
    for (const name of Object.keys(value)) {
      if (name === "__proto__") report("'__proto__' cannot be named here", pointerTo(at, name));
      else if (keyword === "patternProperties") {
        checkPattern(name, (message) => report(message, pointerTo(at, name)));
      }
    }
  }
  if (kind === "value") checkNumbers(value, at, report);
}

function unknownKeyword(keyword: string): string {
  if (keyword === "dependencies")
    return "'dependencies' is of an older draft: use dependentRequired or dependentSchemas";
  if (keyword === "id") return "'id' is of an older draft: use $id";
  const near = nearestWord(keyword, [...KEYWORDS.keys()]);
  return `unknown keyword '${keyword}'${near === null ? "" : ` (did you mean '${near}'?)`}`;
}

function checkPattern(pattern: string, report: (message: string) => void): void {
  const compiled = compilePattern(pattern);
  if (compiled.type === "invalid") report(`pattern '${pattern}' cannot be used: ${compiled.problem}`);
}

/** Numbers that were rounded when the schema was read are not those that somebody wrote. */
function checkNumbers(value: unknown, at: string, report: Report): void {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) report("this is no number that JSON has", at);
    else if (Math.abs(value) > Number.MAX_SAFE_INTEGER && Number.isInteger(value)) {
      report(`${value} is beyond ±(2^53-1), where numbers are rounded`, at);
    }
  } else if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) checkNumbers(one, pointerTo(at, index), report);
  } else if (isSchemaObject(value)) {
    for (const [name, one] of Object.entries(value)) {
      if (name === "__proto__") report("'__proto__' cannot be named here", pointerTo(at, name));
      checkNumbers(one, pointerTo(at, name), report);
    }
  }
}

function checkReferences(targets: Targets): Problem[] {
  const problems: Problem[] = [];
  let count = 0;
  for (const [pointer, schema] of targets.byPointer) {
    const found = isSchemaObject(schema) ? refOf(schema) : null;
    if (found === null) continue;
    count++;
    const path = pointerTo(pointer, found.keyword);
    const { ref } = found;
    if (!ref.startsWith("#")) {
      const message = `'${ref}' is not within this schema: only '#', '#/…' and '#anchor' can be followed`;
      problems.push({ path, message });
    } else if (resolveRef(targets, ref) === null) {
      problems.push({ path, message: `'${ref}' names no schema of this document` });
    } else if (leadsBack(targets, pointer)) {
      problems.push({
        path,
        message: `'${ref}' leads back here without going into the value: it would never end`,
      });
    }
  }
  if (count > SCHEMA_BOUNDS.references) {
    problems.push({
      path: "",
      message: `it has ${count} references, ${SCHEMA_BOUNDS.references} are the most`,
    });
  }
  return problems;
}

/** Whether a schema comes to be applied to the same value again. */
function leadsBack(targets: Targets, from: string): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let pointer = open.pop(); pointer !== undefined; pointer = open.pop()) {
    const schema = targets.byPointer.get(pointer);
    if (!isSchemaObject(schema)) continue;
    const next = [...subschemas(schema, pointer)]
      .filter(({ keyword }) => IN_PLACE.has(keyword))
      .map((one) => one.pointer);
    const ref = refOf(schema);
    const target = ref === null ? null : resolveRef(targets, ref.ref);
    if (target !== null) next.push(target);
    for (const one of next) {
      if (one === from) return true;
      if (!seen.has(one)) {
        seen.add(one);
        open.push(one);
      }
    }
  }
  return false;
}

/** What the meta-schema of 2020-12 has against it: types of keywords' values. */
function metaProblems(schema: SchemaObject): Problem[] {
  const ajv = new Ajv2020({ strict: false, allErrors: true, logger: false, validateFormats: false });
  // A schema may ask for `$schema` of its own; it has been looked at before.
  const { $schema: _draft, $id: _id, ...rest } = schema;
  if (ajv.validateSchema(rest) === true) return [];
  return (ajv.errors ?? [])
    .filter(({ keyword }) => keyword !== "if" && keyword !== "anyOf")
    .map(({ instancePath, message, params }) => ({
      path: instancePath,
      message: `${message ?? "is not valid"}${allowed(params)}`,
    }));
}

function allowed(params: Readonly<Record<string, unknown>>): string {
  const { allowedValues } = params;
  return Array.isArray(allowedValues) ? ` (${allowedValues.join(", ")})` : "";
}

function compileProblems(schema: SchemaObject): Problem[] {
  try {
    const targets = findTargets(schema, { most: SCHEMA_BOUNDS.schemas, deepest: SCHEMA_BOUNDS.depth });
    new Validator(prepareSchema(schema, targets));
    return [];
  } catch (thrown) {
    return [{ path: "", message: `it does not compile: ${errorText(thrown)}` }];
  }
}
