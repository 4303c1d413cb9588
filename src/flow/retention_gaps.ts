/**
 * Counts what retention drops from a source while a session stands still, waiting for a limit or for the view: its reader goes on
 * behind that, and nothing else would say that it ever was there.
 */

/** Where reading stood still and where it went on: source sequences of the messages before and after. */
interface Gap {
  readonly after: number;
  readonly next: number;
}

export interface RetentionGapsOptions {
  /** First sequence that the source still holds. */
  readonly firstSequence: () => Promise<number>;
  /** Retention has dropped `missed` sequences right after `after`. */
  readonly onMissed: (after: number, missed: number) => void;
}

/** Gaps that are looked at together; of more the later ones are not counted. */
const MOST = 1_024;

export class RetentionGaps {
  readonly #options: RetentionGapsOptions;
  #found: Gap[] = [];
  #looking = false;

  constructor(options: RetentionGapsOptions) {
    this.#options = options;
  }

  /** Reading stood still behind `after`, and went on with `next`: what is between may be gone, or may not have been wanted. */
  found(after: number, next: number): void {
    if (next <= after + 1 || this.#found.length >= MOST) return;
    this.#found.push({ after, next });
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    while (this.#found.length > 0) {
      const gaps = this.#found;
      this.#found = [];
      try {
        const first = await this.#options.firstSequence();
        for (const { after, next } of gaps) {
          const missed = Math.min(first, next) - 1 - after;
          if (missed > 0) this.#options.onMissed(after, missed);
        }
      } catch {
        // The session meets by itself what is wrong with the source.
      }
    }
    this.#looking = false;
  }
}
