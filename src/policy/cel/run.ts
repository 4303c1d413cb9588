/** One evaluation of a condition, and what its parts share. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { CelFailure, fail } from "./failure.ts";
import type { Meter, Value } from "./values.ts";

/** The state of one evaluation: values of variables and loop variables, and what is left of the budget. */
export interface Run extends Meter {
  readonly slots: unknown[];
}

/** Evaluates a part of a condition. @throws {CelFailure} */
export type Evaluate = (run: Run) => Value;

/** Where a name's value is. */
export type Scope = ReadonlyMap<string, number>;

/** Why a condition cannot be compiled. */
export class NotSupported extends Error {}

/** Compiles the parts of a condition. */
export interface PartCompiler {
  /** @throws {NotSupported} */
  compile(node: ASTNode, scope: Scope): Evaluate;
  /** The place of a new loop variable. */
  newSlot(): number;
}

/** A boolean, or a failure. */
export function truth(value: Value): boolean {
  return typeof value === "boolean" ? value : fail("no_such_overload");
}

/** A failure that the other side of `&&` and `||`, or another element, may outweigh. @throws what is none */
export function absorbable(thrown: unknown): CelFailure {
  if (thrown instanceof CelFailure && thrown.code !== "too_expensive") return thrown;
  throw thrown;
}
