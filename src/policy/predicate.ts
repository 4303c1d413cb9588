/**
 * The conditions of rules: CEL over `subject`, `tokens`, `headers`, `data`, `origin`, `time` and `size`.
 * A condition that fails on an event, or whose result is no boolean, is never taken for "false".
 */
import { type ASTNode, Environment, EvaluationError, type ParseResult } from "@marcbachmann/cel-js";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { MeshEvent } from "../model/event.ts";
import { HeaderCursor } from "./header_block.ts";
import { type PayloadFailure, PayloadParser } from "./payload.ts";
import { childrenOf, costProblem } from "./predicate_cost.ts";

export type PredicateResult = { readonly type: "value"; readonly value: boolean } | PayloadFailure;

export interface Predicate {
  /** The condition reads `data`: the payload must be JSON. */
  readonly readsData: boolean;
  /** Evaluates the condition on an event. Never throws. */
  evaluate(event: MeshEvent): PredicateResult;
}

const MAX_LENGTH = 4096;
const MAX_NODES = 512;
const MAX_DEPTH = 32;

const TRUE: PredicateResult = { type: "value", value: true };
const FALSE: PredicateResult = { type: "value", value: false };

function environment(): Environment {
  return new Environment({
    unlistedVariablesAreDyn: false,
    limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH },
  })
    .registerVariable("subject", "string")
    .registerVariable("tokens", "list<string>")
    .registerVariable("headers", "map<string, string>")
    .registerVariable("data", "dyn")
    .registerVariable("origin", "string")
    .registerVariable("time", "google.protobuf.Timestamp")
    .registerVariable("size", "int");
}

type Checked =
  | { readonly type: "ok"; readonly parsed: ParseResult }
  | { readonly type: "invalid"; readonly problem: string };

function check(text: string): Checked {
  if (text.length > MAX_LENGTH) {
    return { type: "invalid", problem: `it is longer than ${MAX_LENGTH} characters` };
  }
  try {
    const parsed = environment().parse(text);
    const checked = parsed.check();
    if (!checked.valid) return { type: "invalid", problem: summary(checked.error) };
    if (checked.type !== "bool" && checked.type !== "dyn") {
      return { type: "invalid", problem: `its result is a ${checked.type}, and must be true or false` };
    }
    const problem = costProblem(parsed.ast);
    return problem === null ? { type: "ok", parsed } : { type: "invalid", problem };
  } catch (thrown) {
    return { type: "invalid", problem: summary(thrown) };
  }
}

/** Why a condition does not compile; `null` when it does. */
export function predicateProblem(text: string): string | null {
  const checked = check(text);
  return checked.type === "ok" ? null : checked.problem;
}

/**
 * Compiles a condition.
 * @throws {LeafmeshError} `policy_invalid` with what CEL says of it
 */
export function compilePredicate(text: string, payloads: PayloadParser = new PayloadParser()): Predicate {
  const checked = check(text);
  if (checked.type === "invalid") {
    const message = `Condition '${text}' does not compile: ${checked.problem}`;
    throw new LeafmeshError("policy_invalid", message, { problems: [{ path: "", message }] });
  }
  return new CelPredicate(checked.parsed, payloads);
}

class CelPredicate implements Predicate {
  readonly readsData: boolean;
  readonly #evaluate: (context: Record<string, unknown>) => unknown;
  readonly #uses: ReadonlySet<string>;
  readonly #payloads: PayloadParser;
  readonly #cursor = new HeaderCursor();

  constructor(parsed: ParseResult, payloads: PayloadParser) {
    this.#evaluate = parsed;
    this.#uses = new Set([...nodes(parsed.ast)].flatMap((node) => (node.op === "id" ? [node.args] : [])));
    this.#payloads = payloads;
    this.readsData = this.#uses.has("data");
  }

  evaluate(event: MeshEvent): PredicateResult {
    try {
      const uses = this.#uses;
      const context: Record<string, unknown> = { subject: event.subject, origin: event.origin };
      if (uses.has("size")) context.size = BigInt(event.data.length);
      if (uses.has("time")) context.time = new Date(event.timeMs);
      if (uses.has("tokens")) context.tokens = event.subject.split(".");
      if (uses.has("headers")) {
        const headers = headerValues(event.headers, this.#cursor);
        if (headers === null) return failed("header_invalid", "Header block is malformed");
        context.headers = headers;
      }
      if (this.readsData) {
        const parsed = this.#payloads.parse(event.data);
        if (parsed.type === "failed") return parsed;
        context.data = parsed.value;
      }
      const result = this.#evaluate(context);
      if (result === true) return TRUE;
      if (result === false) return FALSE;
      return failed("predicate_failed", "Condition gave neither true nor false");
    } catch (thrown) {
      // The message may repeat a value of the event; the code does not.
      const code = thrown instanceof EvaluationError ? thrown.code : "unexpected";
      return failed("predicate_failed", `Condition failed: ${code}`);
    }
  }
}

function failed(reason: PayloadFailure["reason"], error: string): PayloadFailure {
  return { type: "failed", reason, error };
}

/**
 * The value of each header; `null` when the block is malformed. Receivers differ in which of several values they take, so a
 * name with two that differ is there but has no text: a condition that reads it fails.
 */
function headerValues(block: Uint8Array, cursor: HeaderCursor): Map<string, string | null> | null {
  const values = new Map<string, string | null>();
  cursor.start(block);
  while (cursor.next()) {
    const name = cursor.name();
    const value = cursor.value();
    const earlier = values.get(name);
    values.set(name, earlier === undefined || earlier === value ? value : null);
  }
  return cursor.invalid ? null : values;
}

function* nodes(root: ASTNode): Generator<ASTNode> {
  yield root;
  for (const child of childrenOf(root)) yield* nodes(child);
}

/** What the library says of an expression, without its drawing of the place. */
function summary(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null && "summary" in thrown) return String(thrown.summary);
  return errorText(thrown);
}
