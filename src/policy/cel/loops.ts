/** The macros of conditions that go over a list, or over the names of a map. */
import type { ASTNode } from "@marcbachmann/cel-js";
import { childrenOf } from "./cost.ts";
import { type CelFailure, fail } from "./failure.ts";
import {
  absorbable,
  type Evaluate,
  NotSupported,
  type PartCompiler,
  type Run,
  type Scope,
  truth,
} from "./run.ts";
import { charge, isMap, keysOf, type Value } from "./values.ts";

/** Names of the macros that loop, with how many arguments they take. */
const LOOPS: ReadonlyMap<string, readonly number[]> = new Map([
  ["all", [2]],
  ["exists", [2]],
  ["exists_one", [2]],
  ["filter", [2]],
  ["map", [2, 3]],
]);

/** Whether a call is one of the macros. */
export function isLoop(name: string, args: readonly ASTNode[]): boolean {
  return LOOPS.get(name)?.includes(args.length) === true && args[0]?.op === "id";
}

interface Loop {
  readonly slot: number;
  readonly weight: number;
  readonly body: Evaluate;
}

/** Compiles a macro. @throws {NotSupported} */
export function compileLoop(
  compiler: PartCompiler,
  name: string,
  receiver: ASTNode,
  args: readonly ASTNode[],
  scope: Scope,
): Evaluate {
  const variable = args[0];
  if (variable?.op !== "id") throw new NotSupported(`'${name}' needs the name of a variable`);
  const slot = compiler.newSlot();
  const over = compiler.compile(receiver, scope);
  const inner = new Map(scope).set(variable.args, slot);
  const [body, transform] = args.slice(1).map((one) => compiler.compile(one, inner)) as [Evaluate, Evaluate?];
  const items = (run: Run) => itemsOf(over(run), run);
  // What one element may take, but for what the parts of the body charge by the size of what they work on.
  const weight = args.reduce((sum, one) => sum + nodesOf(one), 0);
  switch (name) {
    case "all":
      return (run) => decide(run, { slot, weight, body }, items(run), false);
    case "exists":
      return (run) => decide(run, { slot, weight, body }, items(run), true);
    case "exists_one":
      return (run) => select(run, { slot, weight, body }, items(run)).length === 1;
    case "filter":
      return (run) => select(run, { slot, weight, body }, items(run));
    default:
      return transform === undefined
        ? (run) => transformAll(run, { slot, weight, body }, items(run))
        : (run) =>
            transformAll(
              run,
              { slot, weight, body: transform },
              select(run, { slot, weight, body }, items(run)),
            );
  }
}

function itemsOf(value: Value, run: Run): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (!isMap(value)) return fail("no_such_overload");
  const keys = keysOf(value);
  charge(run, keys.length);
  return keys;
}

/** `all` (`decisive` is false) and `exists` (true): an element that decides outweighs those that fail. */
function decide(
  run: Run,
  { slot, weight, body }: Loop,
  items: readonly unknown[],
  decisive: boolean,
): boolean {
  let failure: CelFailure | null = null;
  for (let i = 0; i < items.length; i++) {
    charge(run, weight);
    run.slots[slot] = items[i];
    try {
      if (truth(body(run)) === decisive) return decisive;
    } catch (thrown) {
      failure = absorbable(thrown);
    }
  }
  if (failure !== null) throw failure;
  return !decisive;
}

function select(run: Run, { slot, weight, body }: Loop, items: readonly unknown[]): unknown[] {
  return items.filter((item) => {
    charge(run, weight);
    run.slots[slot] = item;
    return truth(body(run));
  });
}

function transformAll(run: Run, { slot, weight, body }: Loop, items: readonly unknown[]): unknown[] {
  return items.map((item) => {
    charge(run, weight);
    run.slots[slot] = item;
    return body(run);
  });
}

function nodesOf(node: ASTNode): number {
  return childrenOf(node).reduce((sum, child) => sum + nodesOf(child), 1);
}
