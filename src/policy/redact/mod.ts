/**
 * Lossless redaction of JSON payloads: what no path selects stays byte for byte, and a payload in which anything is doubtful
 * is not let through.
 */
import { isUtf8 } from "node:buffer";
import { LeafmeshError, type Problem } from "../../model/errors.ts";
import type { QuarantineReason } from "../../model/event.ts";
import type { PseudonymKey } from "../../model/keys.ts";
import type { Redaction } from "../../model/schema/policy.ts";
import { buildAutomaton, type PathState, type PathTarget } from "./automaton.ts";
import { DEFAULT_MAX_BYTES, DEFAULT_MAX_DEPTH, failure } from "./limits.ts";
import { parsePath } from "./path.ts";
import { compileReplace, type Replace, strengthOf } from "./replace.ts";
import { type Edit, Scanner } from "./scan.ts";
import { FAULT } from "./skip.ts";
import { Workspace } from "./workspace.ts";

export interface RedactorOptions {
  /** Needed for `pseudonym`. */
  readonly pseudonymKey?: PseudonymKey;
  /** Deepest nesting of objects and arrays. Default 128. */
  readonly maxDepth?: number;
  /** Largest payload, before and after redaction, in bytes. Default 8 MiB. */
  readonly maxBytes?: number;
  /** Scratch memory to share among redactors that run one after the other. */
  readonly workspace?: Workspace;
}

export type Redacted =
  | {
      readonly type: "ok";
      /** The given array itself when nothing was selected, else a new one. */
      readonly data: Uint8Array;
      /** How many values were redacted. */
      readonly count: number;
    }
  | { readonly type: "failed"; readonly reason: QuarantineReason; readonly error: string };

export interface Redactor {
  /** Redacts a payload. Never throws; errors never hold anything of the payload. */
  apply(data: Uint8Array): Redacted;
}

/** What is wrong with redactions: one problem for each path that does not parse, with `[n].path` as its path. */
export function redactionProblems(redactions: readonly Redaction[]): Problem[] {
  const problems: Problem[] = [];
  for (const [index, redaction] of redactions.entries()) {
    const problem = pathProblem(redaction);
    if (problem !== null)
      problems.push({ path: `[${index}].path`, message: `Path '${redaction.path}' ${problem}` });
  }
  if (problems.length > 0) return problems;
  const automaton = buildAutomaton(redactions.map(targetOf));
  return automaton.type === "ok"
    ? []
    : [{ path: "", message: `Redactions cannot be compiled: ${automaton.problem}` }];
}

function pathProblem(redaction: Redaction): string | null {
  const parsed = parsePath(redaction.path);
  if (parsed.type === "invalid") return parsed.problem;
  if (redaction.with === "remove" && parsed.segments.length === 0) {
    return "removes the whole payload, and nothing is no JSON: mask it, or deny the event";
  }
  return null;
}

function targetOf(redaction: Redaction): PathTarget {
  const parsed = parsePath(redaction.path);
  return {
    segments: parsed.type === "ok" ? parsed.segments : [],
    strength: strengthOf(redaction),
    removes: redaction.with === "remove",
  };
}

/**
 * Compiles redactions to one pass. When several select one value the strictest wins: remove, mask, pseudonym, mask that
 * keeps a part; of equals the first. Of nested selections the outermost counts.
 * @throws {LeafmeshError} `policy_invalid` with all problems
 */
export function compileRedactor(redactions: readonly Redaction[], options: RedactorOptions = {}): Redactor {
  const problems = redactionProblems(redactions);
  const keyless = redactions.findIndex((redaction) => redaction.with === "pseudonym");
  if (keyless >= 0 && options.pseudonymKey === undefined) {
    problems.push({ path: `[${keyless}].with`, message: "A pseudonym needs a key, and none was given" });
  }
  const automaton = buildAutomaton(redactions.map(targetOf));
  if (problems.length > 0 || automaton.type === "invalid") {
    throw new LeafmeshError("policy_invalid", "Redactions cannot be compiled", { problems });
  }
  const replaces = redactions.map((redaction) => compileReplace(redaction, options.pseudonymKey));
  return new CompiledRedactor(automaton.root, replaces, options);
}

class CompiledRedactor implements Redactor {
  readonly #root: PathState;
  readonly #workspace: Workspace;
  readonly #scanner: Scanner;
  readonly #edit: Edit;
  readonly #maxBytes: number;

  constructor(root: PathState, replaces: readonly (Replace | null)[], options: RedactorOptions) {
    const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    const workspace = options.workspace ?? new Workspace();
    this.#root = root;
    this.#maxBytes = maxBytes;
    this.#workspace = workspace;
    this.#scanner = new Scanner(workspace, { maxDepth: options.maxDepth ?? DEFAULT_MAX_DEPTH, maxBytes });
    this.#edit = (action, from, to) => {
      const replace = replaces[action];
      return replace === null || replace === undefined ? "remove" : replace(workspace, from, to);
    };
  }

  apply(data: Uint8Array): Redacted {
    try {
      if (data.length > this.#maxBytes) return failure(FAULT.tooLarge, data.length);
      const workspace = this.#workspace;
      workspace.load(data);
      const fault = this.#scanner.scan(data.length, this.#root, this.#edit);
      if (fault !== FAULT.ok) return failure(fault, this.#scanner.skipper.at);
      if (this.#scanner.skipper.special && !isUtf8(data)) return failure(FAULT.notJson, -1);
      const count = workspace.edits;
      return { type: "ok", data: count === 0 ? data : workspace.finish(), count };
    } catch (thrown) {
      // Its message might repeat what it works on.
      const kind = thrown instanceof Error ? thrown.name : "unknown";
      return { type: "failed", reason: "redaction_failed", error: `Redaction failed unexpectedly (${kind})` };
    }
  }
}
