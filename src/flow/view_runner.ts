/**
 * Runs all views of a site: starts, re-decides and stops them as the plan says. Each has a thread of its own until there
 * are as many as allowed; then they share. The main thread stays free for the API and the control plane.
 */
import { LeafmeshError } from "../model/errors.ts";
import type { Redriven } from "./redrive_queue.ts";
import type { ThreadConnection, ViewPolicy, ViewTarget } from "./thread/messages.ts";
import { type Thread, ViewThread } from "./thread/supervisor.ts";
import type { ViewStats } from "./view_worker.ts";

export interface ViewRunnerOptions {
  readonly connection: ThreadConnection;
  readonly log: (message: string) => void;
  /** Threads at most, each with a connection and about ten megabytes of its own. Default 8. */
  readonly maxThreads?: number;
  /** Default: a `Worker`. */
  readonly spawn?: () => Thread;
  /** A thread that says nothing for so long is ended and started again. Default 30 s. */
  readonly hangMs?: number;
  /** Milliseconds for which this sidecar alone may write the views; 0: it must not. Default: always. */
  readonly mayWriteMs?: () => number;
}

const MAX_THREADS = 8;

export class ViewWorkers implements AsyncDisposable {
  readonly #options: ViewRunnerOptions;
  readonly #views = new Map<string, { readonly thread: ViewThread; version: string }>();
  readonly #threads = new Set<ViewThread>();
  /** A thread that waits for its first view. */
  #spare: ViewThread | null = null;

  constructor(options: ViewRunnerOptions) {
    this.#options = options;
  }

  /** Version of the policy that each running view decides by. */
  running(): ReadonlyMap<string, string> {
    return new Map([...this.#views].map(([key, { version }]) => [key, version]));
  }

  /** What each running view has done since it started. */
  stats(): ReadonlyMap<string, ViewStats> {
    const all = new Map<string, ViewStats>();
    for (const [key, { thread }] of this.#views) {
      const stats = thread.stats(key);
      if (stats !== null) all.set(key, stats);
    }
    return all;
  }

  /**
   * Starts a view's worker; one that runs decides by the new policy from now on.
   * @returns source sequence of the last event that the policy before decided; 0 for a view that starts
   */
  async set(target: ViewTarget, policy: ViewPolicy): Promise<number> {
    const running = this.#views.get(target.key);
    if (running !== undefined) {
      const position = await running.thread.change(target.key, policy);
      running.version = policy.version;
      return position;
    }
    const thread = this.#thread();
    thread.start(target, policy);
    this.#views.set(target.key, { thread, version: policy.version });
    return 0;
  }

  /**
   * Has a policy's view redrive dead letters, as `View.redrive` does.
   * @throws {LeafmeshError} `not_found` when the policy has no view, `conflict` while it does not run
   */
  async redrive(
    tenant: string,
    policy: string,
    sequences: readonly number[],
    dryRun: boolean,
  ): Promise<readonly (Redriven | null)[]> {
    const key = `${tenant}/${policy}`;
    const running = this.#views.get(key);
    if (running !== undefined) return await running.thread.redrive(key, sequences, dryRun);
    throw new LeafmeshError(
      "not_found",
      `Export '${policy}' has no view: it was removed, or it needs none any more`,
    );
  }

  /** Stops a view's worker when what it has in hand is stored and acknowledged. @returns what it has done */
  async stop(key: string): Promise<ViewStats | null> {
    const running = this.#views.get(key);
    if (running === undefined) return null;
    const { thread } = running;
    const stats = await thread.stop(key);
    if (this.#views.get(key) === running) this.#views.delete(key);
    if (thread.size > 0) return stats;
    this.#threads.delete(thread);
    await thread[Symbol.asyncDispose]();
    return stats;
  }

  /** Has a thread ready for the next view that comes. */
  warm(): void {
    const { maxThreads = MAX_THREADS } = this.#options;
    if (this.#threads.size < maxThreads) this.#spare ??= new ViewThread(this.#options);
  }

  /** Ends all at once: nothing more is written, as somebody else has the views. */
  abandon(): void {
    for (const thread of this.#threads) thread.abandon();
    this.#threads.clear();
    this.#views.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#views.keys()].map((key) => this.stop(key)));
    await this.#spare?.[Symbol.asyncDispose]();
    this.#spare = null;
  }

  /** A new thread, or the one with the fewest views. */
  #thread(): ViewThread {
    const { maxThreads = MAX_THREADS } = this.#options;
    if (this.#threads.size < maxThreads) {
      const thread = this.#spare ?? new ViewThread(this.#options);
      this.#spare = null;
      this.#threads.add(thread);
      return thread;
    }
    return [...this.#threads].reduce((least, one) => (one.size < least.size ? one : least));
  }
}
