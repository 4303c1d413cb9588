/** A thread's side: runs the views that the main thread asks for, on a connection of the thread's own. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { compileDecider } from "../decider.ts";
import { startView, type View } from "../view_worker.ts";
import { UNLIMITED, type WriteLease } from "../write_lease.ts";
import type {
  AskedRequest,
  ThreadAnswers,
  ThreadReport,
  ThreadRequest,
  ViewPolicy,
  ViewTarget,
} from "./messages.ts";

export interface ViewHostOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly site: string;
  readonly post: (report: ThreadReport) => void;
  /** Whether the views may be written. Default: always. */
  readonly mayWrite?: WriteLease;
}

/** Numbers of a view that moves are told this often. */
const STATS_MS = 100;

interface Hosted {
  readonly view: View;
  /** What was told last, to tell only what has changed. */
  told: string;
}

export class ViewHost {
  readonly #options: ViewHostOptions;
  readonly #views = new Map<string, Hosted>();

  constructor(options: ViewHostOptions) {
    this.#options = options;
    setInterval(() => this.#tellAll(), STATS_MS);
  }

  /** Does what the main thread asks for; failures go back as reports. */
  async handle(request: Exclude<ThreadRequest, { type: "open" | "ping" | "lease" }>): Promise<void> {
    if (request.type === "start") {
      this.#start(request.target, request.policy);
      return;
    }
    const { post } = this.#options;
    try {
      post({ type: "done", request: request.request, answer: await this.#answer(request) });
    } catch (error) {
      const code = error instanceof LeafmeshError ? error.code : "apply_failed";
      post({ type: "refused", request: request.request, code, message: errorText(error) });
    }
  }

  async #answer(request: AskedRequest): Promise<ThreadAnswers[keyof ThreadAnswers]> {
    switch (request.type) {
      case "change":
        return this.#change(request.key, request.policy);
      case "stop":
        return await this.#stop(request.key);
      case "redrive":
        return await this.#view(request.key).redrive(request.sequences, request.dryRun);
      default: {
        const never: never = request;
        throw new Error(`Unhandled request ${String(never)}`);
      }
    }
  }

  #start(target: ViewTarget, policy: ViewPolicy): void {
    const { nc, jsm, site, post, mayWrite = UNLIMITED } = this.#options;
    const { key, ...names } = target;
    const log = (message: string) => post({ type: "log", message });
    // However many views a thread has, they hold no more of what they read than one would.
    const limits = { share: () => 1 / Math.max(1, this.#views.size) };
    const view = startView({ nc, jsm, site, ...names, ...compileDecider(policy), limits, log, mayWrite });
    this.#views.set(key, { view, told: "" });
    this.#tell(key);
  }

  #change(key: string, policy: ViewPolicy): number {
    const { decide, version, quotas } = compileDecider(policy);
    const position = this.#view(key).setDecider(decide, version, quotas);
    this.#tell(key);
    return position;
  }

  async #stop(key: string): Promise<number> {
    const position = await this.#view(key).stop();
    this.#tell(key);
    this.#views.delete(key);
    return position;
  }

  #view(key: string): View {
    const hosted = this.#views.get(key);
    if (hosted === undefined) throw new Error(`No view ${key} runs here`);
    return hosted.view;
  }

  #tellAll(): void {
    for (const key of this.#views.keys()) this.#tell(key);
  }

  #tell(key: string): void {
    const hosted = this.#views.get(key);
    if (hosted === undefined) return;
    const stats = hosted.view.stats();
    const text = JSON.stringify(stats);
    if (text === hosted.told) return;
    hosted.told = text;
    this.#options.post({ type: "stats", key, stats });
  }
}
