/**
 * Lossless redaction of JSON payloads: what no path selects stays byte for byte, and a payload in which anything is doubtful
 * is not let through.
 */
import { LeafmeshError, type Problem } from "../../model/errors.ts";
import type { QuarantineReason } from "../../model/event.ts";
import type { PolicyKeys } from "../../model/keys.ts";
import type { Redaction } from "../../model/schema/policy.ts";
import type { CustomDetector, DetectorName } from "../../model/schema/redaction.ts";
import { buildAutomaton, type PathTarget } from "./automaton.ts";
import { patternProblem } from "./detect/custom.ts";
import { DetectorSet } from "./detect/mod.ts";
import { RedactionEditor } from "./edit.ts";
import { FAULT, failure } from "./limits.ts";
import { parsePath } from "./path.ts";
import { compileAction, compileText, missingKey, strengthOf } from "./replace.ts";
import { Scanner } from "./scan.ts";
import { Workspace } from "./workspace.ts";

export interface RedactorOptions {
  /** What `pseudonym` and `encrypt` write with. */
  readonly keys?: PolicyKeys | undefined;
  /** What `encrypt` binds values to. */
  readonly tenant?: string;
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

/**
 * What is wrong with redactions: paths that do not parse, patterns that do not compile. Paths of problems begin with the index of
 * the redaction, for example `[1].detect[0].pattern`.
 */
export function redactionProblems(redactions: readonly Redaction[]): Problem[] {
  const problems = redactions.flatMap((redaction, index) => [
    ...pathProblems(redaction, `[${index}]`),
    ...keepProblems(redaction, `[${index}]`),
    ...detectProblems(redaction, `[${index}]`),
  ]);
  if (problems.length > 0) return problems;
  const automaton = buildAutomaton(redactions.map(targetOf));
  return automaton.type === "ok"
    ? []
    : [{ path: "", message: `Redactions cannot be compiled: ${automaton.problem}` }];
}

function pathProblems(redaction: Redaction, at: string): Problem[] {
  const { path } = redaction;
  if (path === undefined) return [];
  const problem = (text: string) => [{ path: `${at}.path`, message: `Path '${path}' ${text}` }];
  const parsed = parsePath(path);
  if (parsed.type === "invalid") return problem(parsed.problem);
  if (redaction.with === "remove" && redaction.detect === undefined && parsed.segments.length === 0) {
    return problem("removes the whole payload, and nothing is no JSON: mask it, or deny the event");
  }
  return [];
}

function keepProblems(redaction: Redaction, at: string): Problem[] {
  const keep = redaction.with === "mask" ? redaction.keep : undefined;
  if (typeof keep !== "object" || keep.first !== undefined || keep.last !== undefined) return [];
  return [{ path: `${at}.keep`, message: "Keeps nothing: name 'first' or 'last', or leave it out" }];
}

function detectProblems(redaction: Redaction, at: string): Problem[] {
  return detectorsOf(redaction).flatMap((detector, index) => {
    if (typeof detector === "string") return [];
    const problem = patternProblem(detector);
    return problem === null ? [] : [{ path: `${at}.detect[${index}].pattern`, message: problem }];
  });
}

function detectorsOf(redaction: Redaction): readonly (DetectorName | CustomDetector)[] {
  return ("detect" in redaction ? redaction.detect : undefined) ?? [];
}

function targetOf(redaction: Redaction): PathTarget {
  const parsed = parsePath(redaction.path ?? "$");
  const detects = detectorsOf(redaction).length > 0;
  return {
    segments: parsed.type === "ok" ? parsed.segments : [],
    strength: strengthOf(redaction),
    removes: redaction.with === "remove" && !detects,
    detects,
  };
}

/**
 * Compiles redactions to one pass. When several select one value the strictest wins: remove, mask and replace, pseudonym, encrypt,
 * mask that keeps the length, mask that keeps a part, truncate; of equals the first. Of nested selections the outermost counts.
 * Detectors look through every text that is in none of them, and through what truncate leaves.
 * @throws {LeafmeshError} `policy_invalid` with all problems
 */
export function compileRedactor(redactions: readonly Redaction[], options: RedactorOptions = {}): Redactor {
  const problems = redactionProblems(redactions);
  const { keys = {}, tenant = "" } = options;
  for (const [index, redaction] of redactions.entries()) {
    const missing = missingKey(redaction, keys);
    if (missing === null) continue;
    problems.push({ path: `[${index}].with`, message: `${missing} needs a key, and none was given` });
  }
  const automaton = buildAutomaton(redactions.map(targetOf));
  if (problems.length > 0 || automaton.type === "invalid") {
    throw new LeafmeshError("policy_invalid", "Redactions cannot be compiled", { problems });
  }
  const workspace = options.workspace ?? new Workspace();
  const context = { keys, tenant };
  const compiled = redactions.map((redaction) => ({
    action: compileAction(redaction, context),
    write: compileText(redaction, context),
    strength: strengthOf(redaction),
  }));
  const strengths = compiled.map((one) => one.strength);
  const keepsPart = redactions.map((one) => one.with === "mask" && one.keep !== undefined);
  const sets = automaton.detects.map(
    (set) =>
      new DetectorSet(
        set.map((owner) => ({ owner, detectors: detectorsOf(redactions[owner] as Redaction) })),
        { strengths, keepsPart },
      ),
  );
  const editor = new RedactionEditor(workspace, compiled, sets);
  const { maxBytes } = options;
  const scanner = new Scanner(workspace, {
    root: automaton.root,
    editor,
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  return new CompiledRedactor(editor, scanner, workspace);
}

class CompiledRedactor implements Redactor {
  readonly #workspace: Workspace;
  readonly #scanner: Scanner;
  readonly #editor: RedactionEditor;

  constructor(editor: RedactionEditor, scanner: Scanner, workspace: Workspace) {
    this.#workspace = workspace;
    this.#scanner = scanner;
    this.#editor = editor;
  }

  apply(data: Uint8Array): Redacted {
    try {
      this.#editor.start();
      const fault = this.#scanner.scan(data);
      if (fault !== FAULT.ok) return failure(fault, this.#scanner.at);
      const count = this.#workspace.edits;
      return { type: "ok", data: count === 0 ? data : this.#workspace.finish(), count };
    } catch (thrown) {
      // Its message might repeat what it works on.
      const kind = thrown instanceof Error ? thrown.name : "unknown";
      return { type: "failed", reason: "redaction_failed", error: `Redaction failed unexpectedly (${kind})` };
    }
  }
}
