/** Looks at the site every few seconds, and keeps the alarms that follow from what it sees. */
import { errorText } from "../../model/errors.ts";
import type { Alarms } from "./alarms.ts";
import { findDangers, OF_SITE, OF_STREAMS, type Patience, type SiteFacts } from "./dangers.ts";
import { DeadLetterGrowth } from "./dead_letter_growth.ts";
import { Lasting } from "./lasting.ts";
import { type RetentionHorizon, RetentionWatch, type RetentionWatchOptions } from "./retention.ts";

const EVERY_MS = 2000;

export interface AlarmWatchOptions {
  readonly alarms: Alarms;
  readonly facts: () => Promise<SiteFacts>;
  readonly patience: Patience;
  readonly horizon: RetentionHorizon;
  readonly oldest: RetentionWatchOptions["oldest"];
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number;
}

export class AlarmWatch implements AsyncDisposable {
  readonly #options: AlarmWatchOptions;
  readonly #lasting: Lasting;
  readonly #growth: DeadLetterGrowth;
  readonly #retention: RetentionWatch;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #looking: Promise<void> = Promise.resolve();
  #ended = false;
  #failed = "";

  constructor(options: AlarmWatchOptions) {
    this.#options = options;
    this.#lasting = new Lasting(options.clock);
    this.#growth = new DeadLetterGrowth(options.clock);
    const { horizon, oldest, clock } = options;
    this.#retention = new RetentionWatch({ horizon, oldest, clock, now: Date.now });
    this.#schedule();
  }

  /** Looks once. */
  async look(): Promise<void> {
    const { alarms, facts, patience } = this.#options;
    const found = await facts();
    const dangers = findDangers(found, this.#lasting, patience);
    this.#lasting.endRound();
    const { deadLetters } = found;
    if (deadLetters === null) {
      alarms.observed(OF_SITE, dangers);
      return;
    }
    const ahead = await this.#retention.find(found.readers);
    alarms.observed([...OF_SITE, ...OF_STREAMS], [...dangers, ...ahead, ...this.#growth.find(deadLetters)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#looking;
  }

  #schedule(): void {
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.#round();
    }, EVERY_MS);
  }

  async #round(): Promise<void> {
    try {
      await this.look();
      this.#failed = "";
    } catch (error) {
      const text = errorText(error);
      if (text !== this.#failed && !this.#ended) this.#options.log("error", `alarms are not kept: ${text}`);
      this.#failed = text;
    }
    this.#schedule();
  }
}
