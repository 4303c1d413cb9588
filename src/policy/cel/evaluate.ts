/**
 * Turns the syntax tree of a condition into functions that evaluate it. What stands here is all that a condition can do: a tree
 * with anything else does not compile. Each evaluation has a budget of steps, so it ends whatever the event holds.
 */
import type { ASTNode } from "@marcbachmann/cel-js";
import { fail } from "./failure.ts";
import { FUNCTIONS, METHODS } from "./functions.ts";
import { compileLoop, isLoop } from "./loops.ts";
import { BINARY, hasMember, index, makeMap, member, negate, not } from "./operators.ts";
import { absorbable, type Evaluate, NotSupported, type Scope, truth } from "./run.ts";
import { compilePattern } from "./text.ts";
import { zoneOffset } from "./time.ts";
import { MAX_INT, type Meter, MIN_INT, readable, type Value } from "./values.ts";

/** Compiles trees; hands out the places of loop variables. */
export class Compiler {
  #slots: number;

  /** @param variables how many places the variables take */
  constructor(variables: number) {
    this.#slots = variables;
  }

  /** The place of a new loop variable. */
  newSlot(): number {
    return this.#slots++;
  }

  /** @throws {NotSupported} */
  compile(node: ASTNode, scope: Scope): Evaluate {
    switch (node.op) {
      case "value":
        return literal(node.args);
      case "id":
        return variable(node.args, scope);
      case ".": {
        const [of, name] = node.args;
        const value = this.compile(of, scope);
        return (run) => member(value(run), name);
      }
      case "[]": {
        const [of, key] = node.args;
        const value = this.compile(of, scope);
        const at = this.compile(key, scope);
        return (run) => index(value(run), at(run));
      }
      case "list": {
        const literals = node.args.map((one) => (one.op === "value" ? literalValue(one.args) : undefined));
        if (!literals.includes(undefined)) return () => literals;
        const parts = node.args.map((one) => this.compile(one, scope));
        return (run) => parts.map((part) => part(run));
      }
      case "map": {
        const parts = node.args.map(
          ([key, value]) => [this.compile(key, scope), this.compile(value, scope)] as const,
        );
        return (run) => makeMap(parts.map(([key, value]) => [key(run), value(run)]));
      }
      case "?:": {
        const [when, left, right] = node.args.map((one) => this.compile(one, scope)) as [
          Evaluate,
          Evaluate,
          Evaluate,
        ];
        return (run) => (truth(when(run)) ? left(run) : right(run));
      }
      case "&&":
      case "||": {
        const [left, right] = node.args.map((one) => this.compile(one, scope)) as [Evaluate, Evaluate];
        return either(left, right, node.op === "||");
      }
      case "!_": {
        const value = this.compile(node.args, scope);
        return (run) => not(value(run));
      }
      case "-_": {
        // The one int whose positive is none.
        if (node.args.op === "value" && node.args.args === -MIN_INT) return () => MIN_INT;
        const value = this.compile(node.args, scope);
        return (run) => negate(value(run));
      }
      case "call":
        return this.#call(node.args[0], node.args[1], scope);
      case "rcall":
        return this.#method(node.args[0], node.args[1], node.args[2], scope);
      case ".?":
      case "[?]":
        throw new NotSupported(`optional access '${node.op}' is not supported`);
      default: {
        const operator = BINARY[node.op];
        if (operator === undefined) throw new NotSupported(`operator '${String(node.op)}' is not supported`);
        const [left, right] = node.args.map((one) => this.compile(one, scope)) as [Evaluate, Evaluate];
        return (run) => operator(left(run), right(run), run);
      }
    }
  }

  #call(name: string, args: readonly ASTNode[], scope: Scope): Evaluate {
    const [first] = args;
    if (name === "has" && args.length === 1 && first?.op === ".") {
      const [of, wanted] = first.args;
      const value = this.compile(of, scope);
      return (run) => hasMember(value(run), wanted);
    }
    return this.#apply(FUNCTIONS.get(`${name}/${args.length}`), name, args, scope);
  }

  #method(name: string, receiver: ASTNode, args: readonly ASTNode[], scope: Scope): Evaluate {
    if (name === "bind" && receiver.op === "id" && receiver.args === "cel") return this.#bind(args, scope);
    if (isLoop(name, args)) return compileLoop(this, name, receiver, args, scope);
    if (name === "matches" && args.length === 1) return this.#matches(receiver, args[0] as ASTNode, scope);
    const [zone] = args;
    if (name.startsWith("get") && zone?.op === "value" && typeof zone.args === "string") {
      if (zoneOffset(zone.args) === null) {
        throw new NotSupported(
          `zone '${zone.args}' is not supported: give an offset such as '+02:00', the same on every site at any time`,
        );
      }
    }
    const all = [receiver, ...args];
    return this.#apply(METHODS.get(`${name}/${all.length}`), name, all, scope);
  }

  #apply(
    run: ((args: readonly Value[], meter: Meter) => Value) | undefined,
    name: string,
    args: readonly ASTNode[],
    scope: Scope,
  ): Evaluate {
    if (run === undefined) throw new NotSupported(`'${name}' is not supported`);
    const parts = args.map((one) => this.compile(one, scope));
    const [first, second] = parts;
    // Most calls have one or two arguments: no call more for each of them.
    if (first !== undefined && parts.length === 1) return (state) => run([first(state)], state);
    if (first !== undefined && second !== undefined && parts.length === 2) {
      return (state) => run([first(state), second(state)], state);
    }
    return (state) =>
      run(
        parts.map((part) => part(state)),
        state,
      );
  }

  #matches(receiver: ASTNode, pattern: ASTNode, scope: Scope): Evaluate {
    if (pattern.op !== "value" || typeof pattern.args !== "string") {
      throw new NotSupported("the pattern of 'matches' must be a literal");
    }
    const compiled = compilePattern(pattern.args);
    if (compiled.type === "invalid") throw new NotSupported(compiled.problem);
    const text = this.compile(receiver, scope);
    return (run) => {
      const value = text(run);
      return typeof value === "string" ? compiled.test(value, run) : fail("no_such_overload");
    };
  }

  #bind(args: readonly ASTNode[], scope: Scope): Evaluate {
    const [name, value, body] = args;
    if (name?.op !== "id" || value === undefined || body === undefined) {
      throw new NotSupported("'cel.bind' takes a name, a value and an expression");
    }
    const slot = this.newSlot();
    const bound = this.compile(value, scope);
    const inner = this.compile(body, new Map(scope).set(name.args, slot));
    return (run) => {
      run.slots[slot] = bound(run);
      return inner(run);
    };
  }
}

function literal(value: unknown): Evaluate {
  const checked = literalValue(value);
  return () => checked;
}

function literalValue(value: unknown): Value {
  if (value !== null && typeof value === "object") {
    throw new NotSupported("unsigned integers and bytes are not supported");
  }
  if (typeof value === "bigint" && (value < MIN_INT || value > MAX_INT)) {
    throw new NotSupported(`${value} is no int of 64 bits`);
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new NotSupported("a number is larger than a double can be");
  }
  return value as Value;
}

function variable(name: string, scope: Scope): Evaluate {
  const slot = scope.get(name);
  if (slot === undefined) throw new NotSupported(`'${name}' is not supported here`);
  return (run) => readable(run.slots[slot]);
}

/** `&&` and `||`: the side that decides, decides, even where the other one fails. */
function either(left: Evaluate, right: Evaluate, decisive: boolean): Evaluate {
  return (run) => {
    let failure: unknown = null;
    try {
      if (truth(left(run)) === decisive) return decisive;
    } catch (thrown) {
      failure = absorbable(thrown);
    }
    if (truth(right(run)) === decisive) return decisive;
    if (failure !== null) throw failure;
    return !decisive;
  };
}
