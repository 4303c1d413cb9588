/**
 * The conditions of rules: CEL over `subject`, `tokens`, `headers`, `data`, `origin`, `time` and `size`.
 * A condition that fails on an event, or whose result is no boolean, is never taken for "false".
 */
import { LeafmeshError } from "../model/errors.ts";
import type { MeshEvent } from "../model/event.ts";
import {
  type Compilation,
  type CompiledExpression,
  compileExpression,
  type Variables,
} from "./cel/environment.ts";
import { CelFailure } from "./cel/failure.ts";
import { Timestamp, UNREADABLE } from "./cel/values.ts";
import { HeaderCursor } from "./header_block.ts";
import { type PayloadFailure, PayloadParser } from "./payload.ts";

export type PredicateResult = { readonly type: "value"; readonly value: boolean } | PayloadFailure;

export interface Predicate {
  /** The condition reads `data`: the payload must be JSON. */
  readonly readsData: boolean;
  /** Evaluates the condition on an event. Never throws. */
  evaluate(event: MeshEvent): PredicateResult;
}

const MAX_LENGTH = 4096;
/** Steps that an event of no size may take, and how many more each byte of it allows. */
const FREE_STEPS = 20_000;
const STEPS_PER_BYTE = 64;
/** No condition takes more, whatever the event. */
export const MOST_STEPS = 50_000_000;

const TRUE: PredicateResult = { type: "value", value: true };
const FALSE: PredicateResult = { type: "value", value: false };

/** What conditions see, with its types, in the order of their slots. */
export const CONDITION_VARIABLES: Variables = [
  ["subject", "string"],
  ["origin", "string"],
  ["size", "int"],
  ["time", "google.protobuf.Timestamp"],
  ["tokens", "list<string>"],
  ["headers", "map<string, string>"],
  ["data", "dyn"],
];

function check(text: string): Compilation {
  if (text.length > MAX_LENGTH) {
    return { type: "invalid", problem: `it is longer than ${MAX_LENGTH} characters` };
  }
  return compileExpression(text, { variables: CONDITION_VARIABLES, result: "bool" });
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
  return new CelPredicate(checked, payloads);
}

/** Steps that a condition may take on an event: they grow with its size, so that time does too, and not with its square. */
export function stepsFor(event: MeshEvent): number {
  return Math.min(MOST_STEPS, FREE_STEPS + STEPS_PER_BYTE * (event.data.length + event.headers.length));
}

class CelPredicate implements Predicate {
  readonly readsData: boolean;
  readonly #expression: CompiledExpression;
  readonly #payloads: PayloadParser;
  readonly #cursor = new HeaderCursor();

  constructor(expression: CompiledExpression, payloads: PayloadParser) {
    this.#expression = expression;
    this.#payloads = payloads;
    this.readsData = expression.uses.has("data");
  }

  evaluate(event: MeshEvent): PredicateResult {
    try {
      const { uses, evaluate } = this.#expression;
      let headers: ReadonlyMap<string, unknown> | null = null;
      if (uses.has("headers")) {
        headers = headerValues(event.headers, this.#cursor);
        if (headers === null) return failed("header_invalid", "Header block is malformed");
      }
      let data: unknown = null;
      if (this.readsData) {
        const parsed = this.#payloads.parse(event.data);
        if (parsed.type === "failed") return parsed;
        data = parsed.value;
      }
      const slots = [
        event.subject,
        event.origin,
        uses.has("size") ? BigInt(event.data.length) : null,
        uses.has("time") ? new Timestamp(BigInt(event.timeMs) * 1_000_000n) : null,
        uses.has("tokens") ? event.subject.split(".") : null,
        headers,
        data,
      ];
      const result = evaluate({ slots, left: stepsFor(event) });
      if (result === true) return TRUE;
      if (result === false) return FALSE;
      return failed("predicate_failed", "Condition gave neither true nor false");
    } catch (thrown) {
      // The message of an error that we do not know may repeat a value of the event; a code does not.
      const code = thrown instanceof CelFailure ? thrown.code : "unexpected";
      return failed("predicate_failed", `Condition failed: ${code}`);
    }
  }
}

function failed(reason: PayloadFailure["reason"], error: string): PayloadFailure {
  return { type: "failed", reason, error };
}

/**
 * The value of each header; `null` when the block is malformed. Receivers differ in which of several values they take, so a
 * name with two that differ is there but cannot be read: a condition that reads it fails.
 */
function headerValues(block: Uint8Array, cursor: HeaderCursor): Map<string, unknown> | null {
  const values = new Map<string, unknown>();
  cursor.start(block);
  while (cursor.next()) {
    const name = cursor.name();
    const value = cursor.value();
    const earlier = values.get(name);
    values.set(name, earlier === undefined || earlier === value ? value : UNREADABLE.header);
  }
  return cursor.invalid ? null : values;
}
