/** Counts the events that retention has dropped from a view's source before they were decided; an upper bound. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { RetentionGaps } from "./retention_gaps.ts";

export interface MissedEventsOptions {
  readonly jsm: JetStreamManager;
  readonly policy: string;
  readonly sourceStream: string;
  readonly log: ((message: string) => void) | undefined;
}

/** What a view's worker has missed since it started. */
export class MissedEvents {
  readonly #options: MissedEventsOptions;
  readonly #gaps: RetentionGaps;
  #count = 0;
  /** Source sequence up to which `#count` counts. */
  #upTo = 0;

  constructor(options: MissedEventsOptions) {
    this.#options = options;
    this.#gaps = new RetentionGaps({
      firstSequence: () => this.firstSequence(),
      onMissed: (position, missed) => this.add({ position, missed }),
    });
  }

  get count(): number {
    return this.#count;
  }

  /** Counts `missed` sequences right after `position`; what is counted already is not counted again. */
  add({ position, missed }: { readonly position: number; readonly missed: number }): void {
    const upTo = position + missed;
    const more = Math.min(missed, upTo - this.#upTo);
    if (more <= 0) return;
    this.#count += more;
    this.#upTo = upTo;
    const { policy, sourceStream, log } = this.#options;
    log?.(
      `View '${policy}': retention of '${sourceStream}' dropped up to ${more} events after ${position} before they were decided`,
    );
  }

  /** Reading stood still behind `after` and went on with `next`, source sequences: looks whether something went between them. */
  resumed(after: number, next: number): void {
    this.#gaps.found(after, next);
  }

  /** First sequence that the source still holds. */
  async firstSequence(): Promise<number> {
    const { jsm, sourceStream } = this.#options;
    return (await jsm.streams.info(sourceStream)).state.first_seq;
  }
}
