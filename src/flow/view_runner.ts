/** Runs the workers of all views of a site: starts, re-decides and stops them as the plan says. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Decision, MeshEvent } from "../model/event.ts";
import { startView, type View, type ViewStats } from "./view_worker.ts";

/** One view: which policy of which tenant fills it from which stream. */
export interface ViewTarget {
  /** `<tenant>/<policy>`. */
  readonly key: string;
  readonly tenant: string;
  readonly policy: string;
  readonly sourceStream: string;
  readonly viewStream: string;
}

export interface ViewRunnerOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly site: string;
  readonly log: (message: string) => void;
}

export class ViewWorkers implements AsyncDisposable {
  readonly #options: ViewRunnerOptions;
  readonly #views = new Map<string, { readonly view: View; version: string }>();

  constructor(options: ViewRunnerOptions) {
    this.#options = options;
  }

  /** Version of the policy that each running view decides by. */
  running(): ReadonlyMap<string, string> {
    return new Map([...this.#views].map(([key, { version }]) => [key, version]));
  }

  /** What each running view has done since it started. */
  stats(): ReadonlyMap<string, ViewStats> {
    return new Map([...this.#views].map(([key, { view }]) => [key, view.stats()]));
  }

  /** Starts a view's worker; one that runs decides by the new policy from now on. */
  set(target: ViewTarget, version: string, decide: (event: MeshEvent) => Decision): void {
    const running = this.#views.get(target.key);
    if (running !== undefined) {
      running.view.setDecider(decide, version);
      running.version = version;
      return;
    }
    const { nc, jsm, site, log } = this.#options;
    const { tenant, policy, sourceStream, viewStream } = target;
    const view = startView({ nc, jsm, site, tenant, policy, sourceStream, viewStream, decide, version, log });
    this.#views.set(target.key, { view, version });
  }

  /** Stops a view's worker when what it has in hand is stored and acknowledged. */
  async stop(key: string): Promise<void> {
    const running = this.#views.get(key);
    if (running === undefined) return;
    await running.view.stop();
    this.#views.delete(key);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#views.keys()].map((key) => this.stop(key)));
  }
}
