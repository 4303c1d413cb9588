/**
 * Keeps a view filled: one session after the other, each from the position that the view itself holds, with back-off in
 * between and a word about why.
 */
import { errorText } from "../model/errors.ts";
import type { Decision, MeshEvent } from "../model/event.ts";
import { outStream, viewConsumer, viewStream } from "../model/names.ts";
import { sleep } from "../nats/wait.ts";
import { Backoff } from "./backoff.ts";
import { CONNECTION_LOST, ConnectionWatch } from "./connection_watch.ts";
import { Contention } from "./contention.ts";
import type { Decider } from "./event_decider.ts";
import { singleLine } from "./header_block.ts";
import { newFlowCounts } from "./ledger.ts";
import { MissedEvents } from "./missed_events.ts";
import { Progress } from "./progress.ts";
import { NO_QUOTAS, Quotas } from "./quota.ts";
import type { Redriven } from "./redrive_queue.ts";
import { SessionWatch } from "./session_watch.ts";
import { answerFor, createReader, recordPosition } from "./source_reader.ts";
import { findStoredLetters } from "./stored_letters.ts";
import type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";
import { ViewLetters } from "./view_letters.ts";
import { readViewPosition, type ViewPosition, type ViewStreams } from "./view_position.ts";
import { ViewRedriver } from "./view_redriver.ts";
import { ViewSession } from "./view_session.ts";
import type { SessionEnd } from "./view_session_options.ts";
import { UNLIMITED, type WriteLease } from "./write_lease.ts";

export type { View, ViewOptions, ViewState, ViewStats } from "./view.ts";

/** How often the session that runs is looked at. */
const LOOK_MS = 2_000;
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
  readonly #missed: MissedEvents;
  readonly #letters = new ViewLetters();
  /** Readers of sessions that have ended, to be taken away. */
  readonly #readers: string[] = [];
  #session: ViewSession | null = null;
  readonly #watch: SessionWatch;
  readonly #redriver: ViewRedriver;
  /** Why it cannot settle, as it was logged last. */
  #unsettled = "";
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
    this.#missed = new MissedEvents({ jsm, policy, sourceStream: this.#streams.sourceStream, log });
    this.#watch = new SessionWatch({
      jsm,
      streams: this.#streams,
      mayWrite: this.#mayWrite,
      missed: this.#missed,
      session: () => this.#session,
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
      missed: this.#missed.count,
    };
  }

  setDecider(decide: (event: MeshEvent) => Decision, version: string, quotas = NO_QUOTAS): number {
    const position = this.#session?.decidedPosition ?? this.#position;
    this.#decider = { decide, version: singleLine(version, 128) };
    this.#quotas.change(quotas);
    // What waits for a limit may not have to any more.
    this.#session?.wake();
    this.#look();
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
    using connection = new ConnectionWatch(nc, {
      down: () => {
        const failure = { type: "connection_lost", message: CONNECTION_LOST } as const;
        this.#session?.fail({ type: "ingest", failure });
      },
      up: () => this.#backoff.wake(),
    });
    const hurry = () => {
      this.#backoff.wake();
      connection[Symbol.dispose]();
    };
    this.#abort.signal.addEventListener("abort", hurry, { once: true });
    const watch = setInterval(() => this.#look(), LOOK_MS);
    while (!this.#stopping) {
      let pauseMs: number;
      try {
        await connection.up();
        if (this.#stopping) continue;
        const end = await this.#attempt(connection);
        if (end.type === "stopped") continue;
        pauseMs = await this.#after(end, connection);
      } catch (error) {
        this.#fault(connection.isUp ? "stalled" : "starting", errorText(error));
        pauseMs = this.#backoff.nextMs();
      }
      this.#restarts++;
      if (!this.#stopping) await this.#backoff.pause(pauseMs);
    }
    clearInterval(watch);
  }

  /** One session, from reading the position to its end. */
  async #attempt(connection: ConnectionWatch): Promise<SessionEnd> {
    const { nc, jsm, log } = this.#options;
    await this.#takeAway(connection);
    if (await this.#contention.mustStandBy(connection)) {
      const message = "another worker fills this view";
      return { type: "ingest", failure: { type: "fenced", message } };
    }
    const start = await connection.during(readViewPosition(jsm, this.#streams));
    if (start.note !== null) log?.(start.note);
    this.#contention.confirm(start.lastSequence, start.fromView);
    this.#missed.add(start);
    this.#letters.begin(
      await connection.during(
        findStoredLetters({ ...this.#options, ...this.#streams }, start, this.#letters.stored),
      ),
    );
    const wide = this.#watch.readsWide(start);
    const wanted = wide ? start.filters : [];
    const reader = await connection.during(
      createReader(jsm, this.#streams, { after: start.position, filters: wide ? [] : start.filters }),
    );
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
      this.#watch.ended();
      this.#readers.push(reader);
      await this.#takeAway(connection);
    }
  }

  /** Takes the readers of ended sessions away: the next one may take them for another worker's. Where nobody hears it, later. */
  async #takeAway(connection: ConnectionWatch): Promise<void> {
    const { jsm } = this.#options;
    while (connection.isUp && this.#readers[0] !== undefined) {
      const gone = jsm.consumers.delete(this.#streams.sourceStream, this.#readers[0]).catch(() => false);
      try {
        await connection.during(gone);
      } catch {
        return;
      }
      this.#readers.shift();
    }
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
        letters: this.#letters,
        pull: () => {
          const share = limits?.share?.() ?? 1;
          const most = limits?.pullBatch ?? 2_000;
          const messages = Math.min(most, Math.max(LEAST_PULL, Math.ceil(most * share)));
          return { messages, bytes: Math.ceil((limits?.pullBytes ?? 4 * 1024 * 1024) * share) };
        },
        mayWrite: this.#mayWrite,
        onResumed: (after, next) => this.#missed.resumed(after, next),
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
      this.#watch.began(this.#session, start.filters);
      this.#state = "running";
      this.#settleRedrives();
    });
  }

  /** Looks whether the session that runs is to begin anew, and what has become of what was redriven. */
  #look(): void {
    if (!this.#watch.watching) return;
    this.#settleRedrives();
    void this.#watch.look();
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
  async #after(end: Exclude<SessionEnd, { type: "stopped" }>, connection: ConnectionWatch): Promise<number> {
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
            if (!(await this.#contention.otherWrote(connection))) {
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
