/** Follows the lease: leads the site while this sidecar has it, and ends that when it is gone. */
import type { Term } from "../control/members/guard.ts";
import type { Members } from "../control/members/members.ts";
import { errorText } from "../model/errors.ts";
import type { Log } from "../observe/log.ts";

/** After a leadership that could not begin, others get their turn before this one stands again. */
const AGAIN_MS = 3_000;
/** Longer than anything that a leadership waits for as it begins, but for room on a disk. */
const STUCK_MS = 900_000;

export interface LeadershipOptions<T extends AsyncDisposable> {
  readonly members: Members;
  readonly lead: (term: Term) => Promise<T>;
  readonly log: Log;
  /** One that has the lease for so long, and leads nothing, gives it back where others live. Default 15 minutes. */
  readonly stuckMs?: number;
}

export class Leadership<T extends AsyncDisposable> implements AsyncDisposable {
  readonly #options: LeadershipOptions<T>;
  readonly #stopListening: () => void;
  #led: { readonly epoch: number; readonly site: T } | null = null;
  #queue: Promise<void> = Promise.resolve();
  #ended = false;
  /** Hears how the first leadership begins. */
  #first:
    | ((outcome: { readonly type: "leads" } | { readonly type: "failed"; error: unknown }) => void)
    | null = null;
  #again: ReturnType<typeof setTimeout> | undefined;
  #stuck: ReturnType<typeof setTimeout> | undefined;

  constructor(options: LeadershipOptions<T>) {
    this.#options = options;
    this.#stopListening = options.members.onChange((change) => {
      if (change !== "leader") return;
      this.#watch();
      this.#follow();
    });
  }

  /** The site, while this sidecar leads it. */
  get site(): T | null {
    const { members } = this.#options;
    return this.#led !== null && members.hasLease && members.epoch === this.#led.epoch
      ? this.#led.site
      : null;
  }

  /**
   * Stands for the lease, and waits until this sidecar leads or another one does.
   * @throws what kept this one from leading
   */
  async begin(signal: AbortSignal | undefined): Promise<void> {
    const { members } = this.#options;
    let stop = () => {};
    const outcome = new Promise<{ readonly type: "leads" | "follows" } | { type: "failed"; error: unknown }>(
      (resolve) => {
        this.#first = resolve;
        const look = () => {
          if (members.leader !== null && !members.hasLease) resolve({ type: "follows" });
        };
        stop = members.onChange(look);
        signal?.addEventListener("abort", () => resolve({ type: "follows" }), { once: true });
        look();
      },
    );
    members.stand();
    const result = await outcome;
    stop();
    this.#first = null;
    if (result.type === "failed") throw result.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#again);
    clearTimeout(this.#stuck);
    this.#stopListening();
    await this.#queue;
    await this.#end();
  }

  /** A begin or an end that never comes to its end must not keep the others from leading. */
  #watch(): void {
    clearTimeout(this.#stuck);
    const { members, log, stuckMs = STUCK_MS } = this.#options;
    if (this.#ended || !members.hasLease) return;
    this.#stuck = setTimeout(() => {
      if (this.site !== null || !members.hasLease) return;
      if (!members.live().some(({ self }) => !self)) return this.#watch();
      log("error", "members", `leads nothing ${stuckMs} ms after it took the lease: gives it back`);
      void members.resign();
    }, stuckMs);
  }

  #follow(): void {
    this.#queue = this.#queue.then(() => this.#step()).catch(() => undefined);
  }

  async #step(): Promise<void> {
    const { members, lead, log } = this.#options;
    if (this.#ended) return;
    const epoch = members.hasLease ? members.epoch : null;
    if (this.#led !== null && this.#led.epoch !== epoch) await this.#end();
    if (epoch === null || this.#led !== null) return;
    const term: Term = {
      epoch,
      holds: () => members.hasLease && members.epoch === epoch,
      certain: () => members.isLeader && members.epoch === epoch,
      confirm: () => members.confirm(epoch),
    };
    try {
      const site = await lead(term);
      this.#led = { epoch, site };
      this.#first?.({ type: "leads" });
      // What has happened meanwhile is looked at next.
      if (!members.hasLease || members.epoch !== epoch) this.#follow();
    } catch (error) {
      if (this.#first !== null) this.#first({ type: "failed", error });
      else log("error", "members", `cannot lead: ${errorText(error)}`);
      await members.resign();
      if (!this.#ended) this.#again = setTimeout(() => members.stand(), AGAIN_MS);
    }
  }

  async #end(): Promise<void> {
    const led = this.#led;
    this.#led = null;
    if (led === null) return;
    try {
      await led.site[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.log("warn", "members", `the end of epoch ${led.epoch}: ${errorText(error)}`);
    }
  }
}
