/**
 * Keeps a view filled: one session after the other, each from the position that the view itself holds, with back-off in
 * between and a word about why.
 */
import type { StreamState } from "@nats-io/jetstream";
import { errorText } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import { outStream, viewConsumer, viewStream } from "../model/names.ts";
import { sleep } from "../nats/wait.ts";
import { Backoff, watchConnection } from "./backoff.ts";
import { Contention } from "./contention.ts";
import type { Decider } from "./event_decider.ts";
import { singleLine } from "./header_block.ts";
import { newFlowCounts } from "./ledger.ts";
import { Progress } from "./progress.ts";
import { NO_QUOTAS, Quotas } from "./quota.ts";
import type { Redriven } from "./redrive_queue.ts";
import { RetentionGaps } from "./retention_gaps.ts";
import { answerFor, createReader, filtersOf, recordPosition } from "./source_reader.ts";
import { Standstill } from "./standstill.ts";
import type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";
import { readViewPosition, type ViewPosition, type ViewStreams } from "./view_position.ts";
import { ViewRedriver } from "./view_redriver.ts";
import { ViewSession } from "./view_session.ts";
import type { SessionEnd } from "./view_session_options.ts";
import { startsWide, turnsWide } from "./wide_reading.ts";
import { UNLIMITED, type WriteLease } from "./write_lease.ts";

export type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";

/** How often a change of the durable consumer's filters is looked for. */
const FILTERS_MS = 2_000;
/** Where fewer events went by between two of these looks, it does not matter how they were read. */
const LEAST_READ = 1_000;
/** Messages that a view asks for at least, however many share its thread. */
const LEAST_PULL = 100;
const STOP_TIMEOUT_MS = 10_000;
/** Longer than the view's duplicate window and the server's delay in purging it. */
const DUPLICATE_PAUSE_MS = 300;

/** Starts to fill a view. The streams and the consumer may come later: until then the worker is `stalled`. */
export function startView(options: ViewOptions): View {
  const worker = new ViewWorker(options);
  worker.start();
  return {
    stats: () => worker.stats(),
    setDecider: (decide, version, quotas) => worker.setDecider(decide, version, quotas),
    redrive: (sequences, dryRun) => worker.redrive(sequences, dryRun),
    stop: () => worker.stop(),
    [Symbol.asyncDispose]: async () => {
      await worker.stop();
    },
  };
}

class ViewWorker {
  readonly #options: ViewOptions;
  readonly #streams: ViewStreams;
  readonly #counts = newFlowCounts();
  readonly #backoff = new Backoff();
  readonly #abort = new AbortController();
  readonly #quotas: Quotas;
  #decider: Decider;
  #state: ViewState = "starting";
  #position = 0;
  #lastError: string | null = null;
  #restarts = 0;
  #missed = 0;
  /** Source sequence up to which `missed` counts. */
  #missedUpTo = 0;
  #session: ViewSession | null = null;
  /** What the running session had read at the last look, and whether it reads without filters. */
  #read = { wanted: 0, sequence: 0 } as ViewSession["read"];
  #wide = false;
  /** How the next session is to read; `null`: as its backlog is. */
  #turnedWide: boolean | null = null;
  readonly #gaps: RetentionGaps;
  readonly #standstill = new Standstill(() => performance.now());
  readonly #redriver: ViewRedriver;
  /** Why it cannot settle, as it was logged last. */
  #unsettled = "";
  /** Filters of the running session's reader. */
  #filters: string | null = null;
  readonly #contention: Contention;
  readonly #mayWrite: WriteLease;
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<number> | null = null;

  constructor(options: ViewOptions) {
    this.#options = options;
    this.#mayWrite = options.mayWrite ?? UNLIMITED;
    this.#streams = {
      sourceStream: options.sourceStream ?? outStream(options.tenant),
      viewStream: options.viewStream ?? viewStream(options.tenant, options.policy),
      consumer: options.consumer ?? viewConsumer(options.policy),
    };
    const { nc, jsm, tenant, policy, log } = options;
    this.#redriver = new ViewRedriver({
      nc,
      jsm,
      tenant,
      policy,
      viewStream: this.#streams.viewStream,
      log,
      mayWrite: this.#mayWrite.open,
      session: () => this.#session,
      why: () => `is ${this.#state}${this.#lastError === null ? "" : `: ${this.#lastError}`}`,
    });
    this.#contention = new Contention(nc, jsm, this.#streams, this.#abort.signal);
    this.#gaps = new RetentionGaps({
      firstSequence: () => this.#firstSequence(),
      onMissed: (position, missed) => this.#miss({ position, missed }),
    });
    this.#quotas = new Quotas(options.quotas ?? NO_QUOTAS);
    this.#decider = { decide: options.decide, version: singleLine(options.version, 128) };
  }

  start(): void {
    const { signal } = this.#options;
    const stop = () => void this.stop();
    if (signal?.aborted === true) stop();
    else signal?.addEventListener("abort", stop, { once: true, signal: this.#abort.signal });
    if (!this.#abort.signal.aborted) this.#running = this.#run();
  }

  stats(): ViewStats {
    return {
      ...this.#counts,
      reasons: { ...this.#counts.reasons },
      deferredMs: this.#counts.deferredMs + (this.#session?.deferral?.ms ?? 0),
      deferral: this.#session?.deferral?.why ?? null,
      waiting: this.#session?.waiting ?? 0,
      state: this.#state,
      position: this.#position,
      lastError: this.#lastError,
      version: this.#decider.version,
      restarts: this.#restarts,
      missed: this.#missed,
    };
  }

  setDecider(decide: (event: MeshEvent) => Decision, version: string, quotas = NO_QUOTAS): number {
    const position = this.#session?.decidedPosition ?? this.#position;
    this.#decider = { decide, version: singleLine(version, 128) };
    this.#quotas.change(quotas);
    // What waits for a limit may not have to any more.
    this.#session?.wake();
    void this.#checkFilters();
    return position;
  }

  redrive(sequences: readonly number[], dryRun: boolean): Promise<readonly (Redriven | null)[]> {
    return this.#redriver.redrive(sequences, dryRun);
  }

  stop(): Promise<number> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<number> {
    const session = this.#session;
    if (session !== null) {
      const late = sleep(STOP_TIMEOUT_MS, this.#abort.signal).then(() => session.fail({ type: "stopped" }));
      await Promise.race([session.stop(), late]);
    }
    this.#abort.abort();
    await this.#running;
    this.#state = "stopped";
    const { nc } = this.#options;
    if (!nc.isClosed()) await Promise.race([nc.flush().catch(() => {}), sleep(1_000)]);
    return this.#position;
  }

  get #stopping(): boolean {
    return this.#stopped !== null;
  }

  async #run(): Promise<void> {
    const { nc } = this.#options;
    const connection = watchConnection(nc, {
      onDisconnect: () => {
        const failure = { type: "connection_lost", message: "connection to the server was lost" } as const;
        this.#session?.fail({ type: "ingest", failure });
      },
      onReconnect: () => this.#backoff.wake(),
    });
    this.#abort.signal.addEventListener("abort", () => this.#backoff.wake(), { once: true });
    const watch = setInterval(() => void this.#checkFilters(), FILTERS_MS);
    while (!this.#stopping) {
      let pauseMs: number;
      try {
        const end = await this.#attempt();
        if (end.type === "stopped") continue;
        pauseMs = await this.#after(end);
      } catch (error) {
        this.#fault(nc.isClosed() ? "starting" : "stalled", errorText(error));
        pauseMs = this.#backoff.nextMs();
      }
      this.#restarts++;
      if (!this.#stopping) await this.#backoff.pause(pauseMs);
    }
    clearInterval(watch);
    connection.stop();
  }

  /** One session, from reading the position to its end. */
  async #attempt(): Promise<SessionEnd> {
    const { nc, jsm, log } = this.#options;
    if (await this.#contention.mustStandBy()) {
      const message = "another worker fills this view";
      return { type: "ingest", failure: { type: "fenced", message } };
    }
    const start = await readViewPosition(jsm, this.#streams);
    if (start.note !== null) log?.(start.note);
    this.#contention.confirm(start.lastSequence, start.fromView);
    this.#miss(start);
    this.#wide = start.filters.length > 0 && (this.#turnedWide ?? startsWide(start));
    this.#turnedWide = null;
    const wanted = this.#wide ? start.filters : [];
    const reader = await createReader(jsm, this.#streams, {
      after: start.position,
      filters: this.#wide ? [] : start.filters,
    });
    const progress = new Progress(start.recorded, {
      record: async (position) => {
        // Whoever has the view now records its own.
        if (this.#mayWrite.open()) await recordPosition(nc, this.#streams, position);
      },
      onError: (error) => log?.(`View '${this.#options.policy}': ${errorText(error)}`),
    });
    using _alive = answerFor(nc, reader);
    try {
      if (this.#stopping) return { type: "stopped" };
      if (start.position > start.recorded) progress.moved(start.position);
      this.#position = start.position;
      const end = await this.#runSession(start, { reader, wanted }, progress);
      if (end.type === "stopped") await progress.flush();
      return end;
    } finally {
      progress.stop();
      this.#filters = null;
      if (!nc.isClosed()) await jsm.consumers.delete(this.#streams.sourceStream, reader).catch(() => false);
    }
  }

  /** Counts what the source has dropped before it was read; what is counted already is not counted again. */
  #miss({ position, missed }: Pick<ViewPosition, "position" | "missed">): void {
    const upTo = position + missed;
    const more = Math.min(missed, upTo - this.#missedUpTo);
    if (more <= 0) return;
    this.#missed += more;
    this.#missedUpTo = upTo;
    const { policy, log } = this.#options;
    const { sourceStream } = this.#streams;
    log?.(
      `View '${policy}': retention of '${sourceStream}' dropped up to ${more} events after ${position} before they were decided`,
    );
  }

  #runSession(
    start: ViewPosition,
    source: { readonly reader: string; readonly wanted: readonly string[] },
    progress: Progress,
  ): Promise<SessionEnd> {
    const { nc, site, tenant, policy, limits } = this.#options;
    return new Promise<SessionEnd>((resolve) => {
      this.#session = new ViewSession({
        ...this.#streams,
        nc,
        site,
        tenant,
        policy,
        start,
        ...source,
        decider: () => this.#decider,
        quotas: this.#quotas,
        counts: this.#counts,
        pull: () => {
          const share = limits?.share?.() ?? 1;
          const most = limits?.pullBatch ?? 2_000;
          const messages = Math.min(most, Math.max(LEAST_PULL, Math.ceil(most * share)));
          return { messages, bytes: Math.ceil((limits?.pullBytes ?? 4 * 1024 * 1024) * share) };
        },
        mayWrite: this.#mayWrite,
        onResumed: (after, next) => this.#gaps.found(after, next),
        onProgress: (position) => {
          this.#progress(position);
          progress.moved(position);
        },
        onEnd: (end) => {
          this.#contention.ended(this.#session);
          this.#session = null;
          resolve(end);
        },
      });
      this.#contention.ended(null);
      this.#filters = JSON.stringify(start.filters);
      this.#read = this.#session.read;
      this.#state = "running";
      this.#settleRedrives();
    });
  }

  /** Starts the session anew when the durable consumer has other filters, or another way of reading costs less. */
  async #checkFilters(): Promise<void> {
    const { jsm } = this.#options;
    const { sourceStream, consumer } = this.#streams;
    const session = this.#session;
    if (session === null || this.#filters === null) return;
    this.#settleRedrives();
    try {
      const { config } = await jsm.consumers.info(sourceStream, consumer);
      if (session !== this.#session) return;
      await this.#checkStanding(session);
      await this.#checkMoving(session);
      const filters = filtersOf(config);
      if (JSON.stringify(filters) === this.#filters) {
        if (!(await this.#readsBadly(session, filters))) return;
        this.#turnedWide = !this.#wide;
      }
      await session.stop();
    } catch {
      // The session meets what is wrong by itself.
    }
  }

  /** Counts what goes while a session stands still. */
  async #checkStanding(session: ViewSession): Promise<void> {
    const standsAt = session.standsAt;
    if (standsAt === null) return;
    const first = await this.#firstSequence();
    if (session !== this.#session || session.standsAt !== standsAt) return;
    this.#miss({ position: standsAt, missed: Math.max(0, first - 1 - standsAt) });
  }

  /** Ends a session that should go on and does not. */
  async #checkMoving(session: ViewSession): Promise<void> {
    const { jsm } = this.#options;
    const place = `${this.#restarts} ${session.decidedPosition} ${session.read.sequence} ${session.stored} ${session.waiting}`;
    const held = session.deferral !== null || !this.#mayWrite.open();
    const stands = await this.#standstill.look({ place, held }, async () => {
      if (session.waiting > 0) return true;
      const { num_pending } = await jsm.consumers.info(this.#streams.sourceStream, session.reader);
      return num_pending > 0;
    });
    if (stands && session === this.#session) {
      session.fail({ type: "reader", message: "events wait and nothing moved for half a minute" });
    }
  }

  async #firstSequence(): Promise<number> {
    return (await this.#source()).first_seq;
  }

  async #source(): Promise<StreamState> {
    return (await this.#options.jsm.streams.info(this.#streams.sourceStream)).state;
  }

  /** Whether the share of wanted events has become one that another way of reading is better for. */
  async #readsBadly(session: ViewSession, filters: readonly string[]): Promise<boolean> {
    const { read } = session;
    const all = read.sequence - this.#read.sequence;
    const wanted = read.wanted - this.#read.wanted;
    if (all < LEAST_READ) return false;
    this.#read = read;
    const { num_subjects: subjects = 0 } = await this.#source();
    return session === this.#session && turnsWide(this.#wide, wanted / all, { filters, subjects });
  }

  #settleRedrives(): void {
    this.#redriver.settle().catch((error: unknown) => {
      const message = `View '${this.#options.policy}': what was redriven is not settled: ${errorText(error)}`;
      if (message !== this.#unsettled) this.#options.log?.(message);
      this.#unsettled = message;
    });
  }

  #progress(position: number): void {
    this.#position = position;
    if (this.#lastError === null) return;
    this.#lastError = null;
    this.#backoff.reset();
  }

  #fault(state: ViewState, message: string): void {
    this.#state = state;
    if (this.#lastError !== message) this.#options.log?.(`View '${this.#options.policy}': ${message}`);
    this.#lastError = message;
  }

  /** What a session's end means for the worker. @returns milliseconds to wait */
  async #after(end: Exclude<SessionEnd, { type: "stopped" }>): Promise<number> {
    switch (end.type) {
      case "dead_letter":
        this.#fault("stalled", `Dead letter is not stored: ${end.message}`);
        return this.#backoff.nextMs();
      case "reader":
        this.#fault("starting", `Source is not read: ${end.message}`);
        return this.#backoff.nextMs();
      case "ingest":
        switch (end.failure.type) {
          case "fenced":
            if (!(await this.#contention.otherWrote())) {
              this.#fault("stalled", `View has not stored an event: ${end.failure.message}`);
              return this.#backoff.nextMs();
            }
            return this.#contended(`View was written by another worker: ${end.failure.message}`);
          case "connection_lost":
            this.#fault("starting", end.failure.message);
            return this.#backoff.nextMs();
          default:
            this.#fault("stalled", `View is not written (${end.failure.type}): ${end.failure.message}`);
            return this.#backoff.nextMs();
        }
      default: {
        const never: never = end;
        throw new Error(`Unhandled end ${String(never)}`);
      }
    }
  }

  #contended(message: string): number {
    if (this.#contention.met()) {
      this.#fault("starting", message);
      return DUPLICATE_PAUSE_MS;
    }
    this.#fault("standby", `Another worker fills this view: ${message}`);
    return this.#backoff.nextMs() + DUPLICATE_PAUSE_MS;
  }
}
