/**
 * Whether a connection is up. What is sent while it is not, its client throws away: a request would wait for an answer to the end of
 * its time, and whoever waits for it would stand still long after the server is back.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { sleep } from "../nats/wait.ts";

/** How the end of a session or request says that the connection has ended it. */
export const CONNECTION_LOST = "connection to the server was lost";

/** Follows a connection from its making on, until it is disposed of. */
export class ConnectionWatch implements Disposable {
  readonly #statuses: ReturnType<NatsConnection["status"]>;
  readonly #on: { readonly down: () => void; readonly up: () => void };
  /** Resolves when the connection is up, or closed for good. */
  #up = Promise.withResolvers<void>();
  /** What the requests on their way are told when the connection goes down. */
  readonly #pending = new Set<(reason: Error) => void>();
  #isUp = true;
  /** Whether a status has told more than what is asked at the beginning, or nobody is to be told any more. */
  #heard = false;
  /** Resolves when it is known whether the connection was up when this was made. */
  readonly #begun: Promise<void>;

  /** @param on.down called when the connection is lost or closed @param on.up called when it is back */
  constructor(nc: NatsConnection, on: { readonly down: () => void; readonly up: () => void }) {
    this.#on = on;
    this.#up.resolve();
    this.#statuses = nc.status();
    void this.#follow();
    // Of a connection that is down already no status tells. A client that is not connected refuses this at once.
    nc.rtt().catch(() => {
      if (nc.isClosed()) this.#closed();
      else if (!this.#heard) this.#lost();
    });
    this.#begun = sleep(0);
  }

  /** Whether a server hears what is sent now. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Waits until the connection is up; no longer when it is closed, or when this is disposed of. */
  async up(): Promise<void> {
    await this.#begun;
    await this.#up.promise;
  }

  /** The outcome of a request. @throws Error when the connection is lost before it is there, or was when the request was sent */
  async during<T>(request: Promise<T>): Promise<T> {
    if (!this.#isUp) {
      request.catch(() => {});
      throw new Error(CONNECTION_LOST);
    }
    const lost = Promise.withResolvers<never>();
    this.#pending.add(lost.reject);
    try {
      return await Promise.race([request, lost.promise]);
    } finally {
      this.#pending.delete(lost.reject);
    }
  }

  [Symbol.dispose](): void {
    this.#heard = true;
    if ("stop" in this.#statuses && typeof this.#statuses.stop === "function") this.#statuses.stop();
    this.#up.resolve();
  }

  async #follow(): Promise<void> {
    for await (const { type } of this.#statuses) {
      this.#heard = true;
      if (type === "disconnect") this.#lost();
      else if (type === "reconnect") this.#back();
      else if (type === "close") this.#closed();
    }
  }

  #closed(): void {
    this.#lost();
    this.#up.resolve();
  }

  #lost(): void {
    if (this.#isUp) {
      this.#isUp = false;
      this.#up = Promise.withResolvers();
      for (const reject of this.#pending) reject(new Error(CONNECTION_LOST));
    }
    this.#on.down();
  }

  #back(): void {
    if (!this.#isUp) {
      this.#isUp = true;
      this.#up.resolve();
    }
    this.#on.up();
  }
}
