/**
 * The events between decision and record, in the order of the source. The position is the end of the prefix that is dealt
 * with: stored, dropped or dead-lettered.
 */
import type { QuarantineReason } from "../model/event.ts";

/** What became of an event; its number stands in the ledger's columns. */
export const OUTCOME = {
  forwarded: 0,
  denied: 1,
  noRule: 2,
  quarantined: 3,
  redriven: 4,
  limited: 5,
  /** It has a dead letter of before: counted by who wrote that. */
  known: 6,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** Counts of one worker since it started. */
export interface FlowCounts {
  forwarded: number;
  /** Forwarded events with redactions, and the values that were redacted in them. */
  redacted: number;
  redactedValues: number;
  denied: number;
  noRule: number;
  quarantined: number;
  /** Dead letters that were decided again and forwarded. */
  redriven: number;
  /** Dropped because a limit was reached. */
  limited: number;
  /** How long the view has waited for its limits, milliseconds. */
  deferredMs: number;
  /** Dead letters written, by reason. */
  reasons: Partial<Record<QuarantineReason, number>>;
}

/** Counts at zero. */
export function newFlowCounts(): FlowCounts {
  return {
    forwarded: 0,
    redacted: 0,
    redactedValues: 0,
    denied: 0,
    noRule: 0,
    quarantined: 0,
    redriven: 0,
    limited: 0,
    deferredMs: 0,
    reasons: {},
  };
}

/** Counts of one after the other. */
export function sumFlowCounts(left: FlowCounts, right: FlowCounts): FlowCounts {
  return {
    forwarded: left.forwarded + right.forwarded,
    redacted: left.redacted + right.redacted,
    redactedValues: left.redactedValues + right.redactedValues,
    denied: left.denied + right.denied,
    noRule: left.noRule + right.noRule,
    quarantined: left.quarantined + right.quarantined,
    redriven: left.redriven + right.redriven,
    limited: left.limited + right.limited,
    deferredMs: left.deferredMs + right.deferredMs,
    reasons: sumReasons(left.reasons, right.reasons),
  };
}

function sumReasons(left: FlowCounts["reasons"], right: FlowCounts["reasons"]): FlowCounts["reasons"] {
  const sum = { ...left };
  for (const [reason, count] of Object.entries(right)) {
    const key = reason as QuarantineReason;
    sum[key] = (sum[key] ?? 0) + count;
  }
  return sum;
}

const WAITING = Number.POSITIVE_INFINITY;

export class Ledger {
  readonly #capacity: number;
  readonly #sequences: Float64Array;
  /** Number of the view message that must be stored; 0 for none; infinite while a dead letter is on its way. */
  readonly #ordinals: Float64Array;
  readonly #outcomes: Uint8Array;
  readonly #redactions: Uint32Array;
  #head = 0;
  #tail = 0;

  /** Source sequence up to which all is dealt with. */
  position: number;

  /** @param capacity events at most; a power of two */
  constructor(capacity: number, position: number) {
    this.#capacity = capacity;
    this.position = position;
    this.#sequences = new Float64Array(capacity);
    this.#ordinals = new Float64Array(capacity);
    this.#outcomes = new Uint8Array(capacity);
    this.#redactions = new Uint32Array(capacity);
  }

  get size(): number {
    return this.#head - this.#tail;
  }
  get full(): boolean {
    return this.size >= this.#capacity;
  }

  /** Enters an event. @returns its number, for `settle` */
  push(sequence: number, outcome: Outcome, ordinal: number | "waiting", redactions: number): number {
    const entry = this.#head++;
    const at = entry & (this.#capacity - 1);
    this.#sequences[at] = sequence;
    this.#ordinals[at] = ordinal === "waiting" ? WAITING : ordinal;
    this.#outcomes[at] = outcome;
    this.#redactions[at] = redactions;
    return entry;
  }

  /** Source sequence of the event that is message number `ordinal` of the view's writer; `null` when it is not here any more. */
  sequenceAt(ordinal: number): number | null {
    for (let entry = this.#tail; entry < this.#head; entry++) {
      const at = entry & (this.#capacity - 1);
      if (this.#ordinals[at] === ordinal) return this.#sequences[at] as number;
    }
    return null;
  }

  /** The dead letter of entry `entry` is stored. */
  settle(entry: number): void {
    if (entry >= this.#tail) this.#ordinals[entry & (this.#capacity - 1)] = 0;
  }

  /** Moves the position over all that is dealt with and counts it. @returns how many events that were */
  advance(storedOrdinal: number, counts: FlowCounts): number {
    const from = this.#tail;
    while (this.#tail < this.#head) {
      const at = this.#tail & (this.#capacity - 1);
      if ((this.#ordinals[at] as number) > storedOrdinal) break;
      this.#count(at, counts);
      this.position = this.#sequences[at] as number;
      this.#tail++;
    }
    return this.#tail - from;
  }

  #count(at: number, counts: FlowCounts): void {
    switch (this.#outcomes[at]) {
      case OUTCOME.forwarded: {
        counts.forwarded++;
        const values = this.#redactions[at] as number;
        if (values > 0) {
          counts.redacted++;
          counts.redactedValues += values;
        }
        break;
      }
      case OUTCOME.denied:
        counts.denied++;
        break;
      case OUTCOME.noRule:
        counts.noRule++;
        break;
      case OUTCOME.quarantined:
        counts.quarantined++;
        break;
      case OUTCOME.redriven:
        counts.redriven++;
        break;
      case OUTCOME.limited:
        counts.limited++;
        break;
      default:
        break;
    }
  }
}
