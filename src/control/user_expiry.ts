/** Users of tenants that are nobody any more: their time is over, or they were removed. */
import type { DesiredState } from "../model/desired.ts";
import { errorText } from "../model/errors.ts";
import type { SiteControlOptions } from "./site_options.ts";

/** Timers of the runtimes take no more than 2^31 ms; a day is soon enough to look again. */
const LONGEST_MS = 86_400_000;
/** A timer may fire a little early: then the user would not have expired yet. */
const SLACK_MS = 5;

/** Wakes when the time of a tenant's user is over. */
export class UserExpiry implements Disposable {
  readonly #now: () => Date;
  readonly #expired: () => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(expired: () => void, now: () => Date = () => new Date()) {
    this.#now = now;
    this.#expired = expired;
  }

  /** Sets the timer for the user of `state` whose time is over next. */
  sync(state: DesiredState): void {
    this[Symbol.dispose]();
    const now = this.#now().getTime();
    const times = state.tenants
      .flatMap(({ users }) => users.map(({ expires }) => Date.parse(expires ?? "")))
      .filter((time) => time > now);
    if (times.length === 0) return;
    this.#timer = setTimeout(
      () => {
        this.#expired();
        this.sync(state);
      },
      Math.min(Math.min(...times) - now + SLACK_MS, LONGEST_MS),
    );
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Closes the connections of users that are gone now; where that fails, the next pass tries it again. Never throws. */
export async function revokeUsers(
  { server, log }: Pick<SiteControlOptions, "server" | "log">,
  state: DesiredState,
): Promise<void> {
  try {
    const gone = await server.revoke(state);
    for (const user of gone) log("info", `user ${user} is no longer let in; its connections are closed`);
  } catch (error) {
    log("error", `users that are gone may still be connected: ${errorText(error)}`);
  }
}
