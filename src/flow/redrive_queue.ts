/**
 * Dead letters on their way through a session: they wait for their turn, then for the view to have them.
 *
 * How a redriven event fits into a view. A view's record of where it stands is the position of its last event, and all
 * who read it (the worker's next session, peers that move, a new version of the policy) rely on two things: positions
 * never go back, and all up to a position is dealt with. So only the session that writes the view redrives, between two
 * events of its own; the event takes the position at which the view stands then, not the one that it had. To
 * everybody it reads as "still at this position". The mark ({@link REDRIVEN_HEADER}) says which dead letter it was. Its id,
 * subject, headers and payload are what they would have been in its own time; it comes later than newer events of its
 * subject, which cannot be otherwise.
 *
 * The current policy decides it as it decides any event: what it does not forward does not get into the view.
 */
import { LeafmeshError } from "../model/errors.ts";
import type { MeshEvent, QuarantineReason } from "../model/event.ts";

/** A dead letter to decide again. */
export interface RedriveLetter {
  /** Its sequence in the dead-letter stream. */
  readonly letter: number;
  /** The event as it came; its sequence is that of the stream that the policy reads. */
  readonly event: MeshEvent;
  /** Life of that stream. */
  readonly epoch: string;
}

/** What has become of a dead letter, or would. */
export type Redriven =
  /** The view has stored it. */
  | { readonly type: "forwarded" }
  /** The policy denies it, or has no rule for it. */
  | { readonly type: "dropped"; readonly reason: "denied" | "no_rule" }
  /**
   * It stays a dead letter: the policy cannot decide it, it is not all there (`incomplete`), or its policy has no view
   * (`no_view`).
   */
  | {
      readonly type: "kept";
      readonly reason: QuarantineReason | "incomplete" | "no_view";
      readonly error: string;
    }
  /** There is no such dead letter any more: dropped by somebody, or redriven before. */
  | { readonly type: "gone" };

/** One letter in the queue. */
export interface RedriveItem extends RedriveLetter {
  readonly sinceMs: number;
  /** Decide only: nothing is stored. */
  readonly dryRun: boolean;
  readonly done: (result: Redriven) => void;
  readonly failed: (error: Error) => void;
}

/** Well below what a thread of views may take to answer. */
const MAX_WAIT_MS = 10_000;

export class RedriveQueue {
  #waiting: RedriveItem[] = [];
  #sent: { readonly item: RedriveItem; readonly ordinal: number }[] = [];
  #ended = false;
  /** When the first of those that wait may be decided. */
  #notBefore = 0;

  /** Whether a letter waits to be decided. */
  get waiting(): boolean {
    return this.#waiting.length > 0 && (this.#notBefore === 0 || performance.now() >= this.#notBefore);
  }

  /** Milliseconds until the first letter that waits for a limit may be decided; `null`: none does. */
  get dueInMs(): number | null {
    if (this.#waiting.length === 0 || this.#notBefore === 0) return null;
    return Math.max(0, this.#notBefore - performance.now());
  }

  /** Queues a letter. @throws LeafmeshError `conflict` when the session ends before the view has it: it may have it */
  add(letter: RedriveLetter, dryRun: boolean): Promise<Redriven> {
    return new Promise((resolve, reject) => {
      const item = { ...letter, sinceMs: performance.now(), dryRun, done: resolve, failed: reject };
      if (this.#ended) item.failed(ended());
      else this.#waiting.push(item);
    });
  }

  take(): RedriveItem | undefined {
    this.#notBefore = 0;
    return this.#waiting.shift();
  }

  /**
   * A letter must wait, for a limit or until the session has come to its event: it is the next one again, after this long. Events of now go on meanwhile. What has waited
   * for long goes back to who asked, undecided: it is to ask again.
   */
  putBack(item: RedriveItem, ms: number): void {
    const now = performance.now();
    this.#waiting.unshift(item);
    this.#notBefore = now + ms;
    if (now - item.sinceMs < MAX_WAIT_MS) return;
    const error = new LeafmeshError(
      "timeout",
      "The policy's limits let nothing more through yet, or the view has not come to their events",
    );
    for (const one of this.#waiting.splice(0)) one.failed(error);
  }

  /** A letter is message number `ordinal` of the view's writer. */
  sent(item: RedriveItem, ordinal: number): void {
    this.#sent.push({ item, ordinal });
  }

  /** The first `ordinal` messages are stored. */
  stored(ordinal: number): void {
    let first = this.#sent[0];
    while (first !== undefined && first.ordinal <= ordinal) {
      this.#sent.shift();
      first.item.done({ type: "forwarded" });
      first = this.#sent[0];
    }
  }

  /** Decides no more letters; those that are sent may still be stored. */
  stop(): void {
    this.#ended = true;
    for (const item of this.#waiting.splice(0)) item.failed(ended());
  }

  /** Whether those that are sent are stored is not known here any more. */
  end(): void {
    this.stop();
    for (const { item } of this.#sent.splice(0)) item.failed(ended());
  }
}

function ended(): LeafmeshError {
  return new LeafmeshError("conflict", "The view's worker started again meanwhile");
}
