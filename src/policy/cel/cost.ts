/**
 * Keeps conditions cheap as they are written; what one may take on an event has a bound of its own. Tenants choose the payloads, so
 * the time of a condition may grow with the size of one, but not with its square. A loop inside a loop, and `in` inside a loop,
 * may only go over a part of what the outer loop's variable holds.
 */
import type { ASTNode } from "@marcbachmann/cel-js";

const LOOPS = new Set(["all", "exists", "exists_one", "map", "filter"]);
/** As short as a subject is. */
const SHORT = new Set(["tokens"]);

/** What makes a condition too expensive to run on every event; `null` when nothing does. */
export function costProblem(node: ASTNode, loopVariable: string | null = null): string | null {
  if (node.op === "rcall") {
    const [name, receiver, args] = node.args;
    if (name === "bind" && loopVariable !== null)
      return "'cel.bind' stands inside of a loop: bind outside of it";
    const [first] = args;
    if (LOOPS.has(name) && first?.op === "id") {
      if (loopVariable !== null && !isPartOf(receiver, loopVariable) && !isLiteral(receiver)) {
        return `'${name}' inside of a loop may only go over a part of '${loopVariable}'`;
      }
      return firstProblem([receiver], loopVariable) ?? firstProblem(args, first.args);
    }
  }
  if (node.op === "in" && loopVariable !== null) {
    const list = node.args[1];
    if (list.op !== "list" && list.op !== "map" && !isPartOf(list, loopVariable)) {
      return `'in' inside of a loop may only look in a part of '${loopVariable}', or in a literal`;
    }
  }
  return firstProblem(childrenOf(node), loopVariable);
}

function firstProblem(nodes: readonly ASTNode[], loopVariable: string | null): string | null {
  for (const node of nodes) {
    const problem = costProblem(node, loopVariable);
    if (problem !== null) return problem;
  }
  return null;
}

/** Whether a node is a list of literals: as long as it was written. */
function isLiteral(node: ASTNode): boolean {
  return node.op === "list" && node.args.every((one) => one.op === "value");
}

/** Whether a node is the variable, or a member or element of it, and so on. */
function isPartOf(node: ASTNode, variable: string): boolean {
  let at = node;
  while (at.op === "." || at.op === "[]") at = at.args[0];
  return at.op === "id" && (at.args === variable || SHORT.has(at.args));
}

/** The nodes directly below a node. */
export function childrenOf(node: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) visit(one);
    else if (typeof value === "object" && value !== null && "op" in value) found.push(value as ASTNode);
  };
  visit(node.args);
  return found;
}
