/**
 * Who may set back the consumer that a tenant's log is fed by: the log alone, and only when it attaches.
 *
 * The log lies in the tenant's account and asks for a RESET there when it attaches. Whoever may make a consumer in that account can
 * have the server ask for the same: RESET with a sequence skips events, and even one without makes the consumer count anew, so that
 * an attached log takes new events for old ones. So RESET leads to the sidecar. It passes on that the log attaches, without a
 * sequence, when the server says that the log hears nothing; and never otherwise.
 * Source: nats-server `server/stream.go`, processInboundSourceMsg.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { LOG_CONSUMER, logResetSubject, logStream, outStream, remoteStreams } from "../model/names.ts";
import { sleep } from "../nats/wait.ts";
import type { Attachments } from "./attachments.ts";
import { sourceReports } from "./observe.ts";
import { passReset } from "./pass_reset.ts";

/** A log that is attached hears its consumer every second. */
const SILENT_MS = 4000;
/** A log that has just lost its consumer asks at once: it is waited until it is silent, within its own deadline. */
const PATIENCE_MS = 4500;
const LOOK_AGAIN_MS = 250;
/** After a RESET the log needs a moment to attach. */
const PAUSE_MS = 1000;

export interface LogGateOptions {
  /** Of MESH. */
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly attachments: Attachments;
  /** JetStream of a tenant's account. */
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  /** Somebody asked for a RESET while the log was attached: it was not done. */
  readonly refused: (tenant: string, stream: string) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** Answers the RESETs of all tenants' logs until it is disposed of. */
export class LogGate implements Disposable {
  readonly #options: LogGateOptions;
  readonly #subscription: Subscription;
  readonly #now: () => number;
  /** When each consumer was reset last. */
  readonly #resets = new Map<string, number>();
  /** Streams somebody asks about right now: one request at a time, others are dropped; the log asks again. */
  readonly #busy = new Set<string>();
  #open = true;

  constructor(options: LogGateOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#subscription = options.nc.subscribe(logResetSubject("*", "*"), {
      queue: "log-gate",
      callback: (error, message) => {
        if (error === null) void this.#asked(message).catch(() => {});
      },
    });
  }

  [Symbol.dispose](): void {
    this.#open = false;
    this.#subscription.unsubscribe();
  }

  async #asked(message: Msg): Promise<void> {
    const [, , tenant = "", , stream = ""] = message.subject.split(".");
    if (![outStream(tenant), ...remoteStreams(tenant)].includes(stream)) return;
    if (this.#busy.has(stream)) return;
    this.#busy.add(stream);
    try {
      if (!(await this.#needs(tenant, stream))) {
        this.#options.refused(tenant, stream);
        return;
      }
      const { nc, mesh, attachments } = this.#options;
      const target = { nc, mesh, stream, consumer: LOG_CONSUMER, attachments };
      if ((await passReset(target, message, { body: new Uint8Array() })) === "passed")
        this.#resets.set(stream, this.#now());
    } finally {
      this.#busy.delete(stream);
    }
  }

  /** Whether the log hears nothing of a stream. */
  async #needs(tenant: string, stream: string): Promise<boolean> {
    const manager = await this.#options.tenant(tenant);
    const end = this.#now() + PATIENCE_MS;
    while (this.#open) {
      const settled = this.#now() - (this.#resets.get(stream) ?? Number.NEGATIVE_INFINITY) > PAUSE_MS;
      if (settled && isSilent(await manager.streams.info(logStream(tenant)), stream)) return true;
      if (this.#now() > end) return false;
      await sleep(LOOK_AGAIN_MS);
    }
    return false;
  }
}

function isSilent(info: Parameters<typeof sourceReports>[0], stream: string): boolean {
  const source = sourceReports(info).find((one) => one.name === stream);
  return source !== undefined && (source.active < 0 || source.active > SILENT_MS * 1e6);
}
