/** Keeps the members at about as many views each, by moving one tenant after the other. */
import { errorText } from "../../model/errors.ts";
import { type Choice, nextMove } from "./placement.ts";

const EVERY_MS = 1_000;

export interface BalanceOptions {
  readonly choice: () => Choice;
  /** Moves all views of a tenant to a member. */
  readonly move: (tenant: string, to: string) => Promise<void>;
  readonly log: (message: string) => void;
}

export class Balance {
  readonly #options: BalanceOptions;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #moving = false;

  constructor(options: BalanceOptions) {
    this.#options = options;
  }

  /** Moves a tenant where that is due. Call it often. */
  look(): void {
    const now = performance.now();
    if (this.#moving || now - this.#lookedAt < EVERY_MS) return;
    this.#lookedAt = now;
    const next = nextMove(this.#options.choice());
    if (next !== null) void this.#move(next.tenant, next.to);
  }

  async #move(tenant: string, to: string): Promise<void> {
    const { move, log } = this.#options;
    this.#moving = true;
    try {
      await move(tenant, to);
    } catch (error) {
      log(`the views of tenant ${tenant} do not move to member ${to}: ${errorText(error)}`);
    } finally {
      this.#moving = false;
    }
  }
}
