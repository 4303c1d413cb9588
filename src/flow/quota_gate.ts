/** Where a session's events wait for their limits: asks the quotas, wakes the session, and measures how long it waits. */
import type { RuleRef } from "../model/event.ts";
import type { Quotas } from "./quota.ts";

export interface QuotaGateOptions {
  readonly quotas: Quotas;
  /** Something may pass now. */
  readonly wake: () => void;
  /** The session has waited this long. */
  readonly onWaited: (ms: number) => void;
}

/** A timer of more than 2^31 ms would fire at once; who is woken too early asks again. */
const MOST_MS = 3_600_000;

export class QuotaGate {
  readonly #options: QuotaGateOptions;
  /** The head of the queue waits, since then. */
  #waits: { readonly sinceMs: number; readonly why: string } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = 0;

  constructor(options: QuotaGateOptions) {
    this.#options = options;
  }

  /** The limit that the head of the queue waits for, and how long it has so far; `null` when it does not. */
  get deferral(): { readonly why: string; readonly ms: number } | null {
    if (this.#waits === null) return null;
    return { why: this.#waits.why, ms: performance.now() - this.#waits.sinceMs };
  }

  /** Whether the event at the head of the queue may pass; if not now, the session is woken when it may. */
  admit(rule: RuleRef, bytes: number): "pass" | "wait" | "drop" {
    const { quotas } = this.#options;
    if (!quotas.any) return "pass";
    const admission = quotas.admit(rule, bytes);
    if (admission.type === "wait") {
      this.#waits = { sinceMs: this.#waits?.sinceMs ?? performance.now(), why: admission.why };
      this.wakeIn(admission.ms);
    }
    return admission.type;
  }

  /** Milliseconds that a redriven event must wait, even where events of now would be dropped; 0 when it may pass. */
  redriveIn(rule: RuleRef, bytes: number): number {
    const admission = this.#options.quotas.admit(rule, bytes, false);
    if (admission.type !== "wait") return 0;
    this.wakeIn(admission.ms);
    return admission.ms;
  }

  /** The head of the queue waits no more. */
  passed(): void {
    if (this.#waits === null) return;
    this.#options.onWaited(performance.now() - this.#waits.sinceMs);
    this.#waits = null;
  }

  /** Wakes nobody any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.passed();
  }

  /**
   * Wakes the session, perhaps sooner, and once: who still waits then asks again. What waits for another limit may have to look sooner
   * than what waits already.
   */
  wakeIn(waitMs: number): void {
    const ms = Math.min(waitMs, MOST_MS);
    const at = performance.now() + ms;
    if (this.#timer !== undefined && this.#timerAtMs <= at) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = at;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#options.wake();
    }, Math.ceil(ms));
  }
}
