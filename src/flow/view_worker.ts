/**
 * Keeps a view filled: one session after the other, each from the position that the view itself holds, with back-off in
 * between and a word about why.
 */
import { errorText } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import { outStream, viewConsumer, viewStream } from "../model/names.ts";
import { sleep } from "../nats/wait.ts";
import { Backoff, watchConnection } from "./backoff.ts";
import type { Decider } from "./event_decider.ts";
import { singleLine } from "./header_block.ts";
import { newFlowCounts } from "./ledger.ts";
import { Progress } from "./progress.ts";
import { NO_QUOTAS, Quotas } from "./quota.ts";
import type { Redriven } from "./redrive_queue.ts";
import { RetentionGaps } from "./retention_gaps.ts";
import {
  answerFor,
  createReader,
  filtersOf,
  otherReader,
  readsWide,
  recordPosition,
} from "./source_reader.ts";
import type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";
import { readViewPosition, type ViewPosition, type ViewStreams } from "./view_position.ts";
import { ViewRedriver } from "./view_redriver.ts";
import { type SessionEnd, ViewSession } from "./view_session.ts";

export type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";

/** How often a change of the durable consumer's filters is looked for. */
const FILTERS_MS = 2_000;
/** Events between two of these looks that may be skipped, whatever their share. */
const MOST_SKIPPED = 1_000;
const STOP_TIMEOUT_MS = 10_000;
/** A worker that is fenced out twice within this time looks whether it is alone. */
const CONTENTION_MS = 120_000;
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
  /** The session that has ended and has no successor yet; `null` where it is not known what it wrote. */
  #ended: ViewSession | null = null;
  /** What the running one had read at the last look. */
  #delivered = { all: 0, skipped: 0 } as ViewSession["delivered"];
  readonly #gaps: RetentionGaps;
  readonly #redriver: ViewRedriver;
  /** Why it cannot settle, as it was logged last. */
  #unsettled = "";
  /** Filters of the running session's reader. */
  #filters: string | null = null;
  #contentions = 0;
  #contendedAt = 0;
  #running: Promise<void> = Promise.resolve();
  #stopped: Promise<number> | null = null;

  constructor(options: ViewOptions) {
    this.#options = options;
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
      session: () => this.#session,
      why: () => `is ${this.#state}${this.#lastError === null ? "" : `: ${this.#lastError}`}`,
    });
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
    if (this.#contentions > 1 && (await this.#otherIsLive())) {
      this.#ended = null;
      const message = "another worker fills this view";
      return { type: "ingest", failure: { type: "fenced", message } };
    }
    const start = await readViewPosition(jsm, this.#streams);
    if (start.note !== null) log?.(start.note);
    this.#ended?.confirm(start.lastSequence, start.fromView);
    this.#miss(start);
    const wanted = readsWide(start) ? start.filters : [];
    const reader = await createReader(jsm, this.#streams, {
      after: start.position,
      filters: wanted.length > 0 ? [] : start.filters,
    });
    const progress = new Progress(start.recorded, {
      record: (position) => recordPosition(nc, this.#streams, position),
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
        pullBatch: limits?.pullBatch ?? 2_000,
        pullBytes: limits?.pullBytes ?? 4 * 1024 * 1024,
        onResumed: (after, next) => this.#gaps.found(after, next),
        onProgress: (position) => {
          this.#progress(position);
          progress.moved(position);
        },
        onEnd: (end) => {
          this.#ended = this.#session;
          this.#session = null;
          resolve(end);
        },
      });
      this.#ended = null;
      this.#filters = JSON.stringify(start.filters);
      this.#delivered = { all: 0, skipped: 0 };
      this.#state = "running";
      this.#settleRedrives();
    });
  }

  /** Starts the session anew when the durable consumer has other filters, or the reader delivers much that is not wanted. */
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
      if (JSON.stringify(filtersOf(config)) !== this.#filters || this.#skipsMuch(session))
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

  async #firstSequence(): Promise<number> {
    const { state } = await this.#options.jsm.streams.info(this.#streams.sourceStream);
    return state.first_seq;
  }

  /** Whether most of what came since the last look was not wanted. */
  #skipsMuch({ delivered }: ViewSession): boolean {
    const all = delivered.all - this.#delivered.all;
    const skipped = delivered.skipped - this.#delivered.skipped;
    this.#delivered = delivered;
    return skipped > MOST_SKIPPED && skipped > all / 2;
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
            if (!(await this.#otherWrote())) {
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

  /**
   * Whether somebody else has written to the view since the last session's own messages. If not, the server has refused one of
   * those; the first one of the next session is told why.
   */
  async #otherWrote(): Promise<boolean> {
    const ended = this.#ended;
    if (ended === null) return true;
    const { lastSequence, fromView } = await readViewPosition(this.#options.jsm, this.#streams);
    const known = lastSequence - ended.viewStart <= ended.stored;
    // Another worker's message of the same event is at the same place, and looks the same.
    if (!known && (await otherReader(this.#options.nc, this.#options.jsm, this.#streams)) !== "none") {
      this.#ended = null;
      return true;
    }
    return !ended.confirm(lastSequence, fromView);
  }

  /** The first time it may be our own past, a late frame of a lost connection: only then is the pause short. */
  #contended(message: string): number {
    const now = performance.now();
    this.#contentions = now - this.#contendedAt < CONTENTION_MS ? this.#contentions + 1 : 1;
    this.#contendedAt = now;
    if (this.#contentions === 1) {
      this.#fault("starting", message);
      return DUPLICATE_PAUSE_MS;
    }
    this.#fault("standby", `Another worker fills this view: ${message}`);
    return this.#backoff.nextMs() + DUPLICATE_PAUSE_MS;
  }

  /** Whether someone else waits for events of the source, or writes to the view. Our own session is over. */
  async #otherIsLive(): Promise<boolean> {
    const { nc, jsm } = this.#options;
    const before = await jsm.streams.info(this.#streams.viewStream);
    if ((await otherReader(nc, jsm, this.#streams)) === "none") return false;
    await sleep(500, this.#abort.signal);
    const after = await jsm.streams.info(this.#streams.viewStream);
    if (after.state.last_seq !== before.state.last_seq) return true;
    // One that waits for a limit asks for nothing for long.
    return (await otherReader(nc, jsm, this.#streams)) !== "none";
  }
}
