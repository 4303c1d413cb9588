/** Reads conditions: syntax, types, cost, and then the functions that evaluate them. */
import { type ASTNode, Environment, type ParseResult } from "@marcbachmann/cel-js";
import { errorText } from "../../model/errors.ts";
import { costProblem } from "./cost.ts";
import { Compiler } from "./evaluate.ts";
import { type Evaluate, NotSupported } from "./run.ts";

const MAX_NODES = 512;
/** The language asks for 32; the library counts the leaf too. */
const MAX_DEPTH = 33;

/** The library that parses and checks types names functions that it does not know; none of these is ever called. */
const FURTHER_FUNCTIONS = [
  "string.charAt(int): string",
  "string.replace(string, string): string",
  "string.replace(string, string, int): string",
  "int(google.protobuf.Timestamp): int",
  "int(google.protobuf.Duration): int",
  "string(google.protobuf.Timestamp): string",
  "string(google.protobuf.Duration): string",
  "timestamp(google.protobuf.Timestamp): google.protobuf.Timestamp",
  "duration(google.protobuf.Duration): google.protobuf.Duration",
] as const;

/** What all conditions share; it never changes. */
const BASE = FURTHER_FUNCTIONS.reduce(
  (environment, signature) => environment.registerFunction(signature, neverCalled),
  new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH },
  }),
);

/** A variable and its type. */
export type Variables = readonly (readonly [name: string, type: string])[];

/** A condition that can be evaluated. */
export interface CompiledExpression {
  readonly type: "ok";
  readonly evaluate: Evaluate;
  /** The variables that it reads. */
  readonly uses: ReadonlySet<string>;
}

export type Compilation = CompiledExpression | { readonly type: "invalid"; readonly problem: string };

export interface ExpressionOptions {
  readonly variables: Variables;
  /** The type that the result must have; any when left out. */
  readonly result?: "bool";
  /** Whether types that are known not to fit are problems. Default true. */
  readonly checkTypes?: boolean;
  /** Whether loops in loops are bounded when written. Default true. */
  readonly checkCost?: boolean;
}

/** Compiles an expression; a variable's value is expected in the slot of its place in `variables`. Never throws. */
export function compileExpression(text: string, options: ExpressionOptions): Compilation {
  try {
    const environment = BASE.clone();
    for (const [name, type] of options.variables) environment.registerVariable(name, type);
    const parsed = environment.parse(text);
    const problem =
      (options.checkTypes === false ? null : typeProblem(parsed, options.result)) ??
      (options.checkCost === false ? null : costProblem(parsed.ast));
    if (problem !== null) return { type: "invalid", problem };
    const scope = new Map(options.variables.map(([name], slot) => [name, slot]));
    const evaluate = new Compiler(options.variables.length).compile(parsed.ast, scope);
    return { type: "ok", evaluate, uses: namesIn(parsed.ast) };
  } catch (thrown) {
    return { type: "invalid", problem: thrown instanceof NotSupported ? thrown.message : summary(thrown) };
  }
}

function typeProblem(parsed: ParseResult, wanted: "bool" | undefined): string | null {
  const checked = parsed.check();
  if (!checked.valid) return summary(checked.error);
  if (wanted === undefined || checked.type === wanted || checked.type === "dyn") return null;
  return `its result is a ${checked.type}, and must be true or false`;
}

function neverCalled(): never {
  throw new NotSupported("functions are our own");
}

function namesIn(node: ASTNode): Set<string> {
  const names = new Set<string>();
  const open: unknown[] = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (Array.isArray(next)) open.push(...next);
    else if (typeof next === "object" && next !== null && "op" in next) {
      const { op, args } = next as ASTNode;
      if (op === "id") names.add(args as string);
      else open.push(args);
    }
  }
  return names;
}

/** What the library says of an expression, without its drawing of the place. */
function summary(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null && "summary" in thrown) return String(thrown.summary);
  return errorText(thrown);
}
