/**
 * Holds a candidate policy against the active one, event by event, in bounded memory: which verdicts change, by which rules,
 * for which subjects, and where both let an event out but not the same. Serves the diff over stored events and shadow mode.
 */
import { Buffer } from "node:buffer";
import type { Decision, MeshEvent } from "../model/event.ts";
import type { CompiledPolicy } from "./compile.ts";
import { decide } from "./decide.ts";
import { asRouted } from "./explain.ts";
import { type SubjectCount, SubjectTally } from "./subject_tally.ts";

/** A policy and how it runs: on a native route the server passes events on as they are. */
export interface Contender {
  readonly policy: CompiledPolicy;
  readonly route: "native" | "view";
}

export type Verdict = Decision["type"];

/** What one policy says of an event; `rule` is `null` where none matches. */
export interface Said {
  readonly verdict: Verdict;
  readonly rule: string | null;
}

/** A part of what leaves. */
export type OutputPart = "subject" | "headers" | "payload";

/** What leaves of an event, cut short. */
export interface Output {
  readonly subject: string;
  /** The raw header block, or its beginning. */
  readonly headers: Uint8Array;
  /** The payload, or its beginning. */
  readonly data: Uint8Array;
  readonly headerBytes: number;
  readonly payloadBytes: number;
  readonly redactions: number;
}

/** One event that the two policies treat differently. Never the event itself: what leaves of it by each, if anything. */
export interface Sample {
  readonly sequence: number;
  readonly timeMs: number;
  /** The subject that it was published under. */
  readonly subject: string;
  /** Why it does not leave; `null` where it does. */
  readonly activeReason: string | null;
  readonly candidateReason: string | null;
  /** Where both let it out: what is not the same. */
  readonly differs: readonly OutputPart[];
  readonly active: Output | null;
  readonly candidate: Output | null;
}

/** Events that one rule decides now and one rule (the same or another) would decide. */
export interface RuleChange {
  readonly from: Said;
  readonly to: Said;
  readonly events: number;
  /** Those of them for which it makes a difference. */
  readonly changed: number;
  /** The last ones that changed, oldest first. */
  readonly samples: readonly Sample[];
}

export type VerdictCounts = Readonly<Record<Verdict, number>>;

export interface ComparisonReport {
  readonly events: number;
  /** Events for which the candidate makes a difference. */
  readonly changed: number;
  /** Those whose verdict changes, by `forward → drop` and the like. */
  readonly verdicts: Readonly<Record<string, number>>;
  /** Those that leave both ways, and what of them is not the same. */
  readonly outputs: Readonly<Record<OutputPart, number>> & { readonly events: number };
  readonly before: VerdictCounts;
  readonly after: VerdictCounts;
  /** Why events do not leave: drops and quarantines by reason. */
  readonly reasonsBefore: Readonly<Record<string, number>>;
  readonly reasonsAfter: Readonly<Record<string, number>>;
  /** From rule to rule; what changes most first. */
  readonly rules: readonly RuleChange[];
  /** Events of pairs of rules that are not listed. */
  readonly otherRules: number;
  /** Subjects, or patterns of them, for which something changes; the largest first. */
  readonly subjects: readonly SubjectCount[];
  /** Changed events of subjects that are not listed. */
  readonly otherSubjects: number;
}

export interface ComparisonOptions {
  /** Samples of each pair of rules. Default 3. */
  readonly samples?: number;
}

const MAX_CELLS = 2048;
const MAX_SAMPLED_CELLS = 64;
const MAX_OUTPUT_BYTES = 2048;
const LISTED_RULES = 100;
const LISTED_SUBJECTS = 20;
const NONE: readonly OutputPart[] = [];

interface Cell {
  readonly from: Said;
  readonly to: Said;
  events: number;
  changed: number;
  samples: Sample[] | null;
}

export class Comparison {
  readonly #active: Contender;
  readonly #candidate: Contender;
  readonly #samples: number;
  readonly #cells = new Map<string, Cell>();
  readonly #subjects = new SubjectTally();
  readonly #before = { forward: 0, drop: 0, quarantine: 0 };
  readonly #after = { forward: 0, drop: 0, quarantine: 0 };
  readonly #reasonsBefore: Record<string, number> = {};
  readonly #reasonsAfter: Record<string, number> = {};
  readonly #verdicts: Record<string, number> = {};
  readonly #outputs = { events: 0, subject: 0, headers: 0, payload: 0 };
  #events = 0;
  #changed = 0;
  #sampled = 0;
  #others = 0;

  constructor(active: Contender, candidate: Contender, options: ComparisonOptions = {}) {
    this.#active = active;
    this.#candidate = candidate;
    this.#samples = options.samples ?? 3;
  }

  /** Events that were looked at so far. */
  get events(): number {
    return this.#events;
  }

  /** Lets both policies decide an event. Never throws; keeps nothing of the event but samples. */
  add(event: MeshEvent): void {
    const before = decideAs(this.#active, event);
    const after = decideAs(this.#candidate, event);
    this.#events++;
    this.#before[before.type]++;
    this.#after[after.type]++;
    countReason(this.#reasonsBefore, before);
    countReason(this.#reasonsAfter, after);
    const differs = before.type === "forward" && after.type === "forward" ? outputParts(before, after) : NONE;
    const changed = before.type !== after.type || differs.length > 0;
    const cell = this.#cell(before, after, changed);
    if (cell === null) this.#others++;
    else {
      cell.events++;
      if (changed) cell.changed++;
    }
    if (!changed) return;
    this.#changed++;
    this.#subjects.add(event.subject, this.#countChange(before, after, differs));
    const samples = cell?.samples ?? null;
    if (samples === null) return;
    if (samples.length >= this.#samples) samples.shift();
    if (this.#samples > 0) samples.push(sampleOf(event, before, after, differs));
  }

  /** The sums alone. */
  counts(): Pick<ComparisonReport, "events" | "changed" | "verdicts" | "outputs"> {
    return {
      events: this.#events,
      changed: this.#changed,
      verdicts: { ...this.#verdicts },
      outputs: { ...this.#outputs },
    };
  }

  /** All that was counted. */
  report(): ComparisonReport {
    const cells = [...this.#cells.values()].sort(
      (left, right) => right.changed - left.changed || right.events - left.events,
    );
    const { items, others } = this.#subjects.top(LISTED_SUBJECTS);
    return {
      ...this.counts(),
      before: { ...this.#before },
      after: { ...this.#after },
      reasonsBefore: { ...this.#reasonsBefore },
      reasonsAfter: { ...this.#reasonsAfter },
      rules: cells.slice(0, LISTED_RULES).map((cell) => ({ ...cell, samples: [...(cell.samples ?? [])] })),
      otherRules: cells.slice(LISTED_RULES).reduce((sum, cell) => sum + cell.events, this.#others),
      subjects: items.map((one) => ({ ...one, byKind: new Map(one.byKind) })),
      otherSubjects: others,
    };
  }

  /** Counts a change. @returns what kind it is */
  #countChange(before: Decision, after: Decision, differs: readonly OutputPart[]): string {
    if (before.type === after.type) {
      this.#outputs.events++;
      for (const part of differs) this.#outputs[part]++;
      return "output";
    }
    const kind = `${before.type} → ${after.type}`;
    this.#verdicts[kind] = (this.#verdicts[kind] ?? 0) + 1;
    return kind;
  }

  /** The pair's counts; `null` when there are too many pairs. Only pairs that change something have samples. */
  #cell(before: Decision, after: Decision, changed: boolean): Cell | null {
    const key = `${before.rule?.index ?? -1} ${before.type} ${after.rule?.index ?? -1} ${after.type}`;
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      if (this.#cells.size >= MAX_CELLS) return null;
      cell = { from: saidOf(before), to: saidOf(after), events: 0, changed: 0, samples: null };
      this.#cells.set(key, cell);
    }
    if (changed && cell.samples === null && this.#sampled < MAX_SAMPLED_CELLS) {
      cell.samples = [];
      this.#sampled++;
    }
    return cell;
  }
}

function decideAs({ policy, route }: Contender, event: MeshEvent): Decision {
  return asRouted(decide(policy, event), event, route);
}

function saidOf(decision: Decision): Said {
  return { verdict: decision.type, rule: decision.rule?.name ?? null };
}

function reasonOf(decision: Decision): string | null {
  if (decision.type === "forward") return null;
  return decision.type === "drop" ? decision.reason : `${decision.reason}: ${decision.error}`;
}

function countReason(counts: Record<string, number>, decision: Decision): void {
  if (decision.type === "forward") return;
  counts[decision.reason] = (counts[decision.reason] ?? 0) + 1;
}

type Forward = Extract<Decision, { type: "forward" }>;

function outputParts(before: Forward, after: Forward): readonly OutputPart[] {
  const payload = before.data !== after.data && Buffer.compare(before.data, after.data) !== 0;
  const headers = before.headers !== after.headers && Buffer.compare(before.headers, after.headers) !== 0;
  const subject = before.subject !== after.subject;
  if (!payload && !headers && !subject) return NONE;
  const parts: OutputPart[] = [];
  if (subject) parts.push("subject");
  if (headers) parts.push("headers");
  if (payload) parts.push("payload");
  return parts;
}

function sampleOf(
  event: MeshEvent,
  before: Decision,
  after: Decision,
  differs: readonly OutputPart[],
): Sample {
  return {
    sequence: event.sequence,
    timeMs: event.timeMs,
    subject: event.subject,
    activeReason: reasonOf(before),
    candidateReason: reasonOf(after),
    differs,
    active: before.type === "forward" ? outputOf(before) : null,
    candidate: after.type === "forward" ? outputOf(after) : null,
  };
}

/** A copy: what a decision hands out may be memory that the next one overwrites. */
function outputOf(decision: Forward): Output {
  return {
    subject: decision.subject,
    headers: decision.headers.slice(0, MAX_OUTPUT_BYTES),
    data: decision.data.slice(0, MAX_OUTPUT_BYTES),
    headerBytes: decision.headers.length,
    payloadBytes: decision.data.length,
    redactions: decision.redactions,
  };
}
