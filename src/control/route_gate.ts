/** Answers the RESETs of peers that attach to our streams, see {@link passReset}. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { routeResetSubject } from "../model/names.ts";
import { passReset } from "./pass_reset.ts";

/** Requests for one consumer that wait for one another; more are dropped: who asked asks again. */
const MOST_WAITING = 3;
/** A request is a number at most. */
const MOST_BYTES = 256;

export interface RouteGateOptions {
  readonly site: string;
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class RouteGate implements Disposable {
  readonly #options: RouteGateOptions;
  readonly #subscription: Subscription;
  /** By stream and peer: what is done, and how many wait for it. */
  readonly #queues = new Map<string, { readonly waiting: number; readonly last: Promise<unknown> }>();
  #open = true;

  constructor(options: RouteGateOptions) {
    this.#options = options;
    this.#subscription = options.nc.subscribe(routeResetSubject(options.site, "*", "*"), {
      queue: "route-gate",
      callback: (error, message) => {
        if (error === null) this.#asked(message);
      },
    });
  }

  [Symbol.dispose](): void {
    this.#open = false;
    this.#subscription.unsubscribe();
  }

  #asked(message: Msg): void {
    const [, , , , stream = "", peer = ""] = message.subject.split(".");
    const key = `${stream} ${peer}`;
    const before = this.#queues.get(key);
    if (message.data.length > MOST_BYTES || (before?.waiting ?? 0) >= MOST_WAITING) return;
    const last = (before?.last ?? Promise.resolve()).then(() => this.#pass(message, stream, peer));
    this.#queues.set(key, { waiting: (before?.waiting ?? 0) + 1, last });
    void last.then(() => {
      const { waiting = 0, last: latest = last } = this.#queues.get(key) ?? {};
      if (waiting <= 1) this.#queues.delete(key);
      else this.#queues.set(key, { waiting: waiting - 1, last: latest });
    });
  }

  async #pass(message: Msg, stream: string, peer: string): Promise<void> {
    const { nc, mesh, log } = this.#options;
    if (!this.#open) return;
    try {
      if (await passReset({ nc, mesh, stream, consumer: peer }, message, message.data)) return;
      log("info", `${peer} asks to attach to ${stream} again, which still delivers to it: it will ask again`);
    } catch {
      // Who asked has heard nothing, and asks again.
    }
  }
}
