/**
 * Shadow mode: rules that are tried beside those of an export on the events as they come. A shadow reads the export's stream
 * by itself and writes nothing, so it can neither change nor hold up what is sent; when it cannot keep up, it passes events
 * over and counts them.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { EventScan } from "../model/event_scan.ts";
import type { Rule } from "../model/schema/policy.ts";
import type { ShadowNumbers } from "../model/shadow.ts";
import { sleep } from "../nats/wait.ts";
import { Comparison } from "../policy/compare.ts";
import { type Candidacy, type CompileOptionsOf, candidacy } from "./candidate.ts";
import type { Place, ShadowReport } from "./compare_api.ts";
import { placeOf, showComparison, versionsOf } from "./compare_show.ts";

/** Shadows of a site that run; the others wait. */
export const MOST_SHADOWS = 16;
/** Share of the thread that all shadows have together, and events a second of each. */
const SHARE = 0.1;
const PER_SECOND = 5_000;
/** With more events behind it a shadow goes on at the stream's end. */
const MAX_BEHIND = 10_000;
const RETRY_MS = 1_000;

/** The rules that somebody wants to try beside an export's. */
export interface WantedShadow {
  readonly tenant: string;
  readonly name: string;
  readonly rules: readonly Rule[];
}

export interface ShadowsOptions {
  readonly mesh: JetStreamManager;
  readonly scan: EventScan;
  readonly desired: () => DesiredState;
  readonly wanted: () => readonly WantedShadow[];
  readonly optionsOf: CompileOptionsOf;
  readonly log: (level: "info" | "warn", message: string) => void;
}

export class Shadows implements AsyncDisposable {
  readonly #options: ShadowsOptions;
  readonly #running = new Map<string, Shadow>();
  /** Why a shadow does not run, by its key. */
  readonly #refused = new Map<string, string>();
  #syncing: Promise<void> | null = null;
  #again = false;
  #stopped = false;

  constructor(options: ShadowsOptions) {
    this.#options = options;
  }

  /** Starts, restarts and stops shadows as the state now wants it. */
  sync(): void {
    this.#again = true;
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = null;
      if (this.#again && !this.#stopped) this.sync();
    });
  }

  /** @throws {LeafmeshError} `not_found` when the export has no shadow */
  report(tenant: string, name: string, samples: boolean): ShadowReport {
    const wanted = this.#options.wanted().find((one) => one.tenant === tenant && one.name === name);
    if (wanted === undefined) throw new LeafmeshError("not_found", `Export ${tenant}/${name} has no shadow`);
    const running = this.#running.get(`${tenant}/${name}`);
    const common = { tenant, export: name, rules: wanted.rules };
    if (running !== undefined) return { ...common, ...running.report(samples) };
    const refused = this.#refused.get(`${tenant}/${name}`);
    const full = this.#running.size >= MOST_SHADOWS ? `${MOST_SHADOWS} shadows are the most of a site` : null;
    const lastError = refused ?? full;
    return { ...common, ...NOT_RUNNING, lastError };
  }

  /** What the running shadows have counted. */
  numbers(): ShadowNumbers[] {
    return [...this.#running.values()].flatMap((one) => one.numbers() ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#syncing;
    await Promise.all([...this.#running.values()].map((one) => one.stop()));
    this.#running.clear();
  }

  async #sync(): Promise<void> {
    const { wanted, desired, optionsOf, log } = this.#options;
    // The writer of the change is answered first.
    await sleep(0);
    while (this.#again && !this.#stopped) {
      this.#again = false;
      const all = new Map(wanted().map((one) => [`${one.tenant}/${one.name}`, one]));
      for (const key of this.#refused.keys()) if (!all.has(key)) this.#refused.delete(key);
      for (const [key, running] of this.#running) {
        if (all.has(key)) continue;
        this.#running.delete(key);
        await running.stop();
      }
      for (const [key, one] of all) {
        const running = this.#running.get(key);
        if (running === undefined && this.#running.size >= MOST_SHADOWS) continue;
        try {
          const sides = await candidacy(desired(), one.tenant, one.name, one.rules, optionsOf);
          this.#refused.delete(key);
          const identity = identityOf(sides, one);
          if (running?.identity === identity) continue;
          await running?.stop();
          this.#running.set(key, new Shadow(one, sides, identity, this.#options, () => this.#pace()));
        } catch (thrown) {
          await running?.stop();
          this.#running.delete(key);
          const why = errorText(thrown);
          if (this.#refused.get(key) === why) continue;
          this.#refused.set(key, why);
          log("warn", `Shadow of export ${key} does not run: ${why}`);
        }
      }
    }
  }

  #pace() {
    return { perSecond: PER_SECOND, share: SHARE / Math.max(1, this.#running.size) };
  }
}

const NOT_RUNNING = {
  state: "waiting",
  lastError: null,
  since: null,
  skipped: 0,
  first: null,
  last: null,
  compared: null,
} as const;

/** Two shadows of one identity count the same things. */
function identityOf(sides: Candidacy, { rules }: WantedShadow): string {
  const { stream, filter, active, candidate } = sides;
  return JSON.stringify([stream, filter, versionsOf(active, candidate), rules]);
}

/** One shadow, from when it was set or the active rules changed. */
class Shadow {
  readonly identity: string;
  readonly #wanted: WantedShadow;
  readonly #sides: Candidacy;
  readonly #options: ShadowsOptions;
  readonly #pace: () => { readonly perSecond: number; readonly share: number };
  readonly #comparison: Comparison;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  #state: "running" | "waiting" = "waiting";
  #lastError: string | null = null;
  #since: string | null = null;
  /** Sequence up to which events are looked at or passed over; `null`: nothing yet, begin at the stream's end. */
  #position: number | null = null;
  #behind = 0;
  #skipped = 0;
  #first: Place | null = null;
  #last: { sequence: number; timeMs: number } | null = null;

  constructor(
    wanted: WantedShadow,
    sides: Candidacy,
    identity: string,
    options: ShadowsOptions,
    pace: () => { readonly perSecond: number; readonly share: number },
  ) {
    this.#wanted = wanted;
    this.#sides = sides;
    this.identity = identity;
    this.#options = options;
    this.#pace = pace;
    this.#comparison = new Comparison(sides.active, sides.candidate);
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  report(samples: boolean): Omit<ShadowReport, "tenant" | "export" | "rules"> {
    const { active, candidate } = this.#sides;
    return {
      state: this.#state,
      lastError: this.#lastError,
      since: this.#since,
      skipped: this.#skipped,
      first: this.#first,
      last: this.#last === null ? null : placeOf(this.#last),
      compared:
        this.#since === null
          ? null
          : { ...versionsOf(active, candidate), comparison: showComparison(this.#comparison, samples) },
    };
  }

  numbers(): ShadowNumbers {
    const { verdicts, outputs, events } = this.#comparison.counts();
    const changes = new Map([...Object.entries(verdicts), ["output", outputs.events] as const]);
    return {
      tenant: this.#wanted.tenant,
      policy: this.#wanted.name,
      events,
      skipped: this.#skipped,
      changes,
    };
  }

  async #run(): Promise<void> {
    const { tenant, name } = this.#wanted;
    while (!this.#abort.signal.aborted) {
      try {
        await this.#scan();
      } catch (thrown) {
        this.#state = "waiting";
        const message = errorText(thrown);
        if (this.#lastError !== message) {
          this.#options.log("warn", `Shadow of export ${tenant}/${name} waits: ${message}`);
        }
        this.#lastError = message;
        await sleep(RETRY_MS, this.#abort.signal);
      }
    }
  }

  /** Looks at events until it is stopped, falls behind, or the stream cannot be read. */
  async #scan(): Promise<void> {
    const { mesh, scan } = this.#options;
    const { stream, filter } = this.#sides;
    const { state } = await mesh.streams.info(stream);
    const end = state.last_seq;
    // A stream that ends before our position was rolled back or made anew.
    if (this.#position === null || this.#position > end) this.#position = end;
    else if (end - this.#position > MAX_BEHIND) {
      this.#skipped += end - this.#position;
      this.#position = end;
    }
    this.#behind = 0;
    this.#state = "running";
    this.#lastError = null;
    this.#since ??= new Date().toISOString();
    await scan({
      stream,
      filter,
      start: { sequence: this.#position + 1 },
      end: null,
      onEvent: (event, pending) => {
        // First: an event that cannot be compared is not tried for ever.
        this.#position = event.sequence;
        this.#comparison.add(event);
        this.#behind = pending;
        this.#first ??= placeOf(event);
        this.#last = { sequence: event.sequence, timeMs: event.timeMs };
      },
      onSlice: () => this.#behind <= MAX_BEHIND,
      pace: this.#pace,
      signal: this.#abort.signal,
    });
  }
}
