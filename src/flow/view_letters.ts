/** The dead letters of a view's worker, over its sessions: which events have one already, and which are not counted yet. */
import type { QuarantineReason } from "../model/event.ts";
import { type FlowCounts, OUTCOME } from "./ledger.ts";
import { type EventPlace, NO_LETTERS, type StoredLetters } from "./stored_letters.ts";

export class ViewLetters {
  #stored = NO_LETTERS;
  /** Letters that this worker has written and the ledger has not counted, by the sequences of their events, mostly ascending. */
  readonly #uncounted = new Map<number, QuarantineReason>();

  /** What was found when the last session started. */
  get stored(): StoredLetters {
    return this.#stored;
  }

  /** A session starts, and this was found. */
  begin(stored: StoredLetters): void {
    this.#stored = stored;
    for (const sequence of this.#uncounted.keys()) {
      if (!stored.hasAt(sequence)) this.#uncounted.delete(sequence);
    }
  }

  /** What the ledger enters for an event that has a letter: one of an earlier worker is not this one's to count. `null`: it has none. */
  outcomeOf(event: EventPlace): typeof OUTCOME.quarantined | typeof OUTCOME.known | null {
    if (!this.#stored.has(event)) return null;
    return this.#uncounted.has(event.sequence) ? OUTCOME.quarantined : OUTCOME.known;
  }

  /** Whether an event of that life has a letter that a session which stands at `position` has not come to. */
  isAhead(event: EventPlace, epoch: string, position: number): boolean {
    return event.sequence > position && epoch === this.#stored.epoch && this.#stored.has(event);
  }

  /** A letter is on its way. */
  written(sequence: number, reason: QuarantineReason): void {
    this.#uncounted.set(sequence, reason);
  }

  /** The ledger has counted all up to a position. */
  counted(position: number, { reasons }: FlowCounts): void {
    for (const [sequence, reason] of this.#uncounted) {
      if (sequence > position) break;
      this.#uncounted.delete(sequence);
      reasons[reason] = (reasons[reason] ?? 0) + 1;
    }
  }
}
