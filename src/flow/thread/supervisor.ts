/**
 * The main thread's side of one thread of views: starts it, asks it, and starts it again, after a pause and with a line in
 * the log, when it has failed. What a thread had in hand is not lost by that: its views go on from what they hold.
 */
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { sleep } from "../../nats/wait.ts";
import { Backoff } from "../backoff.ts";
import { type FlowCounts, newFlowCounts, sumFlowCounts } from "../ledger.ts";
import type { Redriven } from "../redrive_queue.ts";
import type { ViewStats } from "../view_worker.ts";
import type {
  AskedRequest,
  ThreadAnswers,
  ThreadConnection,
  ThreadReport,
  ThreadRequest,
  ViewPolicy,
  ViewTarget,
} from "./messages.ts";

/** A thread as this file uses it; the standard `Worker` is one. */
export interface Thread {
  postMessage(request: ThreadRequest): void;
  terminate(): void;
  onReport(report: (report: ThreadReport) => void): void;
  /** The thread has ended by itself. */
  onFailure(failed: (message: string) => void): void;
}

export interface ViewThreadOptions {
  readonly connection: ThreadConnection;
  readonly log: (message: string) => void;
  /** Default: a `Worker` that runs `entry.ts`. */
  readonly spawn?: () => Thread;
  /** A thread that says nothing for so long, though it is asked, is ended. Default 30 s. */
  readonly hangMs?: number;
  /** Milliseconds for which the views may be written. Default: always. */
  readonly mayWriteMs?: () => number;
}

const ANSWER_MS: Readonly<Record<AskedRequest["type"], number>> = {
  change: 15_000,
  stop: 15_000,
  // As long as the server may take for each letter.
  redrive: 60_000,
};
/** A thread that has run this long has not failed at once. */
const STEADY_MS = 30_000;
const HANG_MS = 30_000;
/** How often it is asked within that. Counted, not timed: where the process itself stood still, nothing is late. */
const PINGS = 6;

/** What only ever grows. */
export type Totals = FlowCounts & { readonly restarts: number; readonly missed: number };

interface Supervised {
  readonly target: ViewTarget;
  policy: ViewPolicy;
  /** What the threads before this one have counted. */
  before: Totals;
  stats: ViewStats;
}

interface Pending {
  readonly request: AskedRequest;
  readonly done: (answer: unknown) => void;
  readonly failed: (error: Error) => void;
}

export class ViewThread implements AsyncDisposable {
  readonly #options: ViewThreadOptions;
  readonly #views = new Map<string, Supervised>();
  readonly #pending = new Map<number, Pending>();
  readonly #backoff = new Backoff();
  readonly #end = new AbortController();
  #thread: Thread | null = null;
  #startedAt = 0;
  /** Pings since the thread was heard. */
  #unanswered = 0;
  readonly #watch: ReturnType<typeof setInterval>;
  #requests = 0;

  constructor(options: ViewThreadOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#ping(), (options.hangMs ?? HANG_MS) / PINGS);
    this.#spawn();
  }

  /** How many views run here. */
  get size(): number {
    return this.#views.size;
  }

  /** What a view has done since it was started, through all threads; at most a moment old. */
  stats(key: string): ViewStats | null {
    const view = this.#views.get(key);
    return view === undefined ? null : { ...view.stats, ...sumTotals(view.before, view.stats) };
  }

  /** Starts a view. */
  start(target: ViewTarget, policy: ViewPolicy): void {
    const stats = startingStats(policy.version, null, 0);
    this.#views.set(target.key, { target, policy, before: stats, stats });
    this.#thread?.postMessage({ type: "start", target, policy });
  }

  /**
   * Decides all later events with another policy. @returns source sequence of the last event decided by the one before
   * @throws {LeafmeshError} `timeout`, `apply_failed`
   */
  async change(key: string, policy: ViewPolicy): Promise<number> {
    const view = this.#views.get(key);
    if (view === undefined) throw new LeafmeshError("internal", `View ${key} does not run`);
    view.policy = policy;
    // A thread that is being started again begins with what the view now decides by.
    if (this.#thread === null) return view.stats.position;
    return await this.#ask({ type: "change", request: ++this.#requests, key, policy });
  }

  /** Stops a view when what it has in hand is stored. @returns what it has done */
  async stop(key: string): Promise<ViewStats | null> {
    if (!this.#views.has(key)) return null;
    try {
      if (this.#thread !== null) await this.#ask({ type: "stop", request: ++this.#requests, key });
    } catch (error) {
      // A thread that does not stop one view is ended; the others go on in the next one.
      void this.#failed(errorText(error));
    }
    const stats = this.stats(key);
    this.#views.delete(key);
    return stats;
  }

  /**
   * Has a view decide dead letters again, as `View.redrive` does.
   * @throws {LeafmeshError} `conflict` while the view is not running
   */
  async redrive(
    key: string,
    sequences: readonly number[],
    dryRun: boolean,
  ): Promise<readonly (Redriven | null)[]> {
    if (this.#thread === null) throw restarting(key);
    return await this.#ask({ type: "redrive", request: ++this.#requests, key, sequences, dryRun });
  }

  /** Ends the thread at once: what its views have in hand is somebody else's now. */
  abandon(): void {
    this.#end.abort();
    clearInterval(this.#watch);
    this.#thread?.terminate();
    this.#thread = null;
    for (const { request, failed } of this.#pending.values()) failed(restarting(request.key));
    this.#views.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#views.keys()].map((key) => this.stop(key)));
    this.#end.abort();
    clearInterval(this.#watch);
    this.#thread?.terminate();
    this.#thread = null;
  }

  async #ask<R extends AskedRequest>(request: R): Promise<ThreadAnswers[R["type"]]> {
    const late = new AbortController();
    try {
      return await new Promise<ThreadAnswers[R["type"]]>((resolve, reject) => {
        const done = (answer: unknown) => resolve(answer as ThreadAnswers[R["type"]]);
        this.#pending.set(request.request, { request, done, failed: reject });
        this.#thread?.postMessage(request);
        void sleep(ANSWER_MS[request.type], late.signal).then(() => {
          reject(new LeafmeshError("timeout", `View ${request.key} does not ${request.type} in time`));
        });
      });
    } finally {
      late.abort();
      this.#pending.delete(request.request);
    }
  }

  #spawn(): void {
    const thread = (this.#options.spawn ?? spawnWorker)();
    this.#thread = thread;
    this.#startedAt = performance.now();
    this.#unanswered = 0;
    thread.onReport((report) => {
      if (thread === this.#thread) this.#hear(report);
    });
    thread.onFailure((message) => {
      if (thread === this.#thread) void this.#failed(message);
    });
    const { connection, mayWriteMs } = this.#options;
    thread.postMessage({ type: "open", connection, fenced: mayWriteMs !== undefined });
    for (const { target, policy } of this.#views.values()) {
      thread.postMessage({ type: "start", target, policy });
    }
  }

  #ping(): void {
    if (this.#thread === null) return;
    if (this.#unanswered >= PINGS) {
      void this.#failed("it answers no more");
      return;
    }
    this.#unanswered++;
    this.#thread.postMessage({ type: "ping" });
  }

  #hear(report: ThreadReport): void {
    this.#unanswered = 0;
    switch (report.type) {
      case "stats": {
        const view = this.#views.get(report.key);
        if (view !== undefined) view.stats = report.stats;
        return;
      }
      case "alive":
        return;
      case "lease": {
        const ms = this.#options.mayWriteMs?.() ?? Number.POSITIVE_INFINITY;
        this.#thread?.postMessage({ type: "lease", asked: report.asked, ms });
        return;
      }
      case "log":
        this.#options.log(report.message);
        return;
      case "done":
        this.#pending.get(report.request)?.done(report.answer);
        return;
      case "refused":
        this.#pending.get(report.request)?.failed(new LeafmeshError(report.code, report.message));
        return;
      case "failed":
        void this.#failed(report.message);
        return;
      default: {
        const never: never = report;
        throw new Error(`Unhandled report ${String(never)}`);
      }
    }
  }

  async #failed(message: string): Promise<void> {
    this.#thread?.terminate();
    this.#thread = null;
    const views = [...this.#views.values()];
    for (const view of views) {
      const { version } = view.policy;
      view.before = {
        ...sumTotals(view.before, view.stats),
        restarts: view.before.restarts + view.stats.restarts + 1,
      };
      view.stats = startingStats(version, `Thread of the view failed: ${message}`, view.stats.position);
    }
    // The next thread starts with what was asked for; a view that is being stopped needs none.
    for (const { request, done, failed } of this.#pending.values()) {
      if (request.type === "redrive") failed(restarting(request.key));
      else done(this.#views.get(request.key)?.stats.position ?? 0);
    }
    const keys = views.map(({ target }) => target.key).join(", ");
    this.#options.log(`Thread of views ${keys} failed and is started again: ${message}`);
    if (performance.now() - this.#startedAt > STEADY_MS) this.#backoff.reset();
    await sleep(this.#backoff.nextMs(), this.#end.signal);
    if (!this.#end.signal.aborted) this.#spawn();
  }
}

/** Of a view that has done nothing yet. */
export function startingStats(version: string, lastError: string | null, position: number): ViewStats {
  return {
    ...newFlowCounts(),
    state: "starting",
    position,
    lastError,
    version,
    restarts: 0,
    missed: 0,
    deferral: null,
    waiting: 0,
  };
}

/** What two workers of one view have done together. */
export function sumTotals(left: Totals, right: Totals): Totals {
  return {
    ...sumFlowCounts(left, right),
    restarts: left.restarts + right.restarts,
    missed: left.missed + right.missed,
  };
}

function restarting(key: string): LeafmeshError {
  return new LeafmeshError("conflict", `The thread of view ${key} is being started again`);
}

/** The standard `Worker` of both runtimes. */
function spawnWorker(): Thread {
  const worker = new Worker(new URL("entry.ts", import.meta.url).href, { type: "module" });
  return {
    postMessage: (request) => worker.postMessage(request),
    terminate: () => worker.terminate(),
    onReport: (report) => {
      worker.addEventListener("message", (event: MessageEvent<ThreadReport>) => report(event.data));
    },
    onFailure: (failed) => {
      worker.addEventListener("error", (event: ErrorEvent) => {
        // Deno ends the process when an error of a worker is not taken care of.
        event.preventDefault();
        // Bun's message quotes the source; what happened is its last line.
        failed(/error: (.*)/.exec(event.message)?.[1] ?? event.message);
      });
      // Bun alone says this one.
      worker.addEventListener("close", () => failed("the thread has ended"));
    },
  };
}
