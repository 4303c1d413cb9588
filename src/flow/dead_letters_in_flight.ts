/** The dead letters of a session that are being stored: a few at once, and nothing may overtake them. */
import type { NatsConnection } from "@nats-io/transport-node";
import { errorText } from "../model/errors.ts";
import { type DeadLetterEntry, writeDeadLetter } from "./dead_letter_writer.ts";

const AT_ONCE = 64;
const TIMEOUT_MS = 5_000;

export class DeadLettersInFlight {
  readonly #nc: NatsConnection;
  readonly #onFailed: (message: string) => void;
  #count = 0;
  #whenNone: Array<() => void> = [];

  /** @param onFailed a dead letter is not stored */
  constructor(nc: NatsConnection, onFailed: (message: string) => void) {
    this.#nc = nc;
    this.#onFailed = onFailed;
  }

  /** Whether one is on its way: a later position in the view would hide it. */
  get any(): boolean {
    return this.#count > 0;
  }

  /** Whether the next one must wait. */
  get full(): boolean {
    return this.#count >= AT_ONCE;
  }

  /** Stores one, and says when it is stored. */
  put(letter: DeadLetterEntry, onStored: () => void): void {
    this.#count++;
    writeDeadLetter(this.#nc, letter, { timeoutMs: TIMEOUT_MS }).then(
      () => {
        this.#count--;
        onStored();
        if (this.#count === 0) this.release();
      },
      (error: unknown) => {
        this.#count--;
        this.#onFailed(errorText(error));
      },
    );
  }

  /** Resolves when all are stored, or at `release`. */
  async none(): Promise<void> {
    if (this.any) await new Promise<void>((resolve) => this.#whenNone.push(resolve));
  }

  /** Nobody is to wait for them any more. */
  release(): void {
    for (const resolve of this.#whenNone.splice(0)) resolve();
  }
}
