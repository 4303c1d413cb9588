/** Answers the RESETs of peers that attach to our streams, see {@link passReset}. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { routeResetSubject } from "../model/names.ts";
import { BEGIN_HEADER, type LeastReset, leastReset, resetBody } from "../nats/consumer_reset.ts";
import type { Attachments } from "./attachments.ts";
import type { GhostInterest } from "./ghost_interest.ts";
import { filledFrom } from "./observe.ts";
import { passReset } from "./pass_reset.ts";
import { positionAt } from "./position.ts";
import { Turns } from "./turns.ts";

/** Requests for one consumer that wait for one another; more are dropped: who asked asks again. */
const MOST_WAITING = 3;
/** A request is a number at most. */
const MOST_BYTES = 256;

export interface RouteGateOptions {
  readonly site: string;
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly attachments: Attachments;
  readonly ghosts: GhostInterest;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class RouteGate implements Disposable {
  readonly #options: RouteGateOptions;
  readonly #subscription: Subscription;
  /** By stream and peer: whose turn it is, and how many there are. */
  readonly #queues = new Map<string, { readonly turns: Turns; count: number }>();
  #open = true;

  constructor(options: RouteGateOptions) {
    this.#options = options;
    this.#subscription = options.nc.subscribe(routeResetSubject(options.site, "*", "*"), {
      queue: "route-gate",
      callback: (error, message) => {
        if (error === null) void this.#asked(message);
      },
    });
  }

  [Symbol.dispose](): void {
    this.#open = false;
    this.#subscription.unsubscribe();
  }

  async #asked(message: Msg): Promise<void> {
    const [, , , , stream = "", peer = ""] = message.subject.split(".");
    const key = `${stream} ${peer}`;
    const queue = this.#queues.get(key) ?? { turns: new Turns(1), count: 0 };
    if (message.data.length > MOST_BYTES || queue.count >= MOST_WAITING) return;
    this.#queues.set(key, queue);
    queue.count++;
    await queue.turns.take(() => this.#pass(message, stream, peer));
    queue.count--;
    if (queue.count === 0) this.#queues.delete(key);
  }

  async #pass(message: Msg, stream: string, peer: string): Promise<void> {
    const { nc, mesh, log, attachments, ghosts } = this.#options;
    if (!this.#open) return;
    try {
      const least = leastReset(message.string());
      const passed = least === null ? { body: message.data } : await afterLeast(mesh, stream, peer, least);
      const came = await passReset({ nc, mesh, stream, consumer: peer, attachments }, message, passed);
      if (came === "passed") {
        ghosts.passed(stream, peer);
        return;
      }
      log("info", `${peer} asks to attach to ${stream} again, which still delivers to it: it will ask again`);
      if (came === "bound") await ghosts.refused(stream, peer);
    } catch {
      // Who asked has heard nothing, and asks again.
    }
  }
}

/** What a server is asked for, so that a consumer goes on after a sequence, or where it began; and what its peer is told of that. */
async function afterLeast(mesh: JetStreamManager, stream: string, consumer: string, { least }: LeastReset) {
  const { config } = await mesh.consumers.info(stream, consumer);
  const source = filledFrom((await mesh.streams.info(stream)).config);
  const begin = config.opt_start_seq ?? 1;
  const position = await positionAt(mesh, stream, source, begin - 1);
  return {
    body: new TextEncoder().encode(resetBody(Math.max(begin, least + 1))),
    answered: { [BEGIN_HEADER]: String(position) },
  };
}
