/**
 * Writes messages into one stream with fast-ingest batches (ADR-50), without gaps, fenced against a second writer.
 *
 * Every message carries `Nats-Expected-Last-Sequence`, not only the first of a batch: a batch of a writer that was only
 * paused is still open on the server, and its later messages would be let in between those of the writer that took over.
 * It also turns a message that the server skips as a duplicate, which fast ingest does not report, into a refusal of
 * the next one.
 *
 * Messages are visible to consumers as soon as they are stored; a batch is committed only to learn that its tail is
 * stored, and because the server forgets a batch after ten idle seconds.
 *
 * The client's own `startFastIngest` is not used: it builds `MsgHdrs`, makes a promise a message, and resolves what is
 * pending when the server ends a batch early, stored or not.
 */
import { createInbox, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { errorText } from "../model/errors.ts";
import { type BatchReply, type FastIngestFailure, failureOf, parseBatchReply } from "./fast_ingest_reply.ts";
import { RawPublisher, rawMessage } from "./raw.ts";

/** A message to append; its header block without the first line. */
export interface IngestMessage {
  readonly subject: string;
  /** Whether `subject` holds only ASCII characters. */
  readonly plain: boolean;
  /** Complete header lines (`Name: value\r\n`), ASCII. */
  readonly headerHead: string;
  /** More header lines and the empty line: the bytes of this block from `headerFrom` on. */
  readonly headerTail: Uint8Array;
  readonly headerFrom: number;
  readonly data: Uint8Array;
}

/** Size of a message as `max_msg_size` counts it, without the fence. */
export function ingestSize(message: IngestMessage): number {
  return message.headerHead.length + message.headerTail.length - message.headerFrom + message.data.length;
}

export interface FastIngestOptions {
  readonly nc: NatsConnection;
  /** The stream's last sequence, as the writer believes: the first message is refused when it is another one. */
  readonly lastSequence: number;
  /** Any subject of the stream: the commit goes to it. */
  readonly commitSubject: string;
  /** The first `ordinal` messages that were appended are stored, in order. */
  readonly onStored: (ordinal: number) => void;
  /** `ready` is true again. */
  readonly onReady: () => void;
  /** The writer has ended; how many of its messages are stored for certain is `stored`. */
  readonly onFailed: (failure: FastIngestFailure) => void;
  /** Acknowledgements that may be outstanding, each for up to 500 messages. Default 4. */
  readonly outstandingAcks?: number;
  /** Bytes that may be in flight. Default 4 MiB. */
  readonly maxInFlightBytes?: number;
  /** A batch is committed after this long without a message. Default 20 ms. */
  readonly idleCommitMs?: number;
  /** A batch is committed when its last acknowledgement is this old. Default 500 ms. */
  readonly maxBatchMs?: number;
  /** A server that says nothing for this long while messages are in flight has failed. Default 10 s. */
  readonly timeoutMs?: number;
}

/** Messages an acknowledgement stands for, at most: what the server caps it to. */
const ACK_EVERY = 500;
/** Bytes that an acknowledgement stands for, about: large messages are acknowledged more often. */
const ACK_BYTES = 512 * 1024;

type BatchState = "none" | "opening" | "open" | "committing" | "ended";

/** One writer. It does not reconnect nor retry: after a failure make a new one from the stream's state. */
export class FastIngest {
  readonly #options: FastIngestOptions;
  readonly #publisher: RawPublisher;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #outstanding: number;
  readonly #maxBytes: number;
  readonly #idleMs: number;
  readonly #maxBatchMs: number;
  readonly #timeoutMs: number;

  #state: BatchState = "none";
  #batch = 0;
  #replyHead = "";
  /** Messages of the running batch: sent, and acknowledged. */
  #sent = 0;
  #acked = 0;
  #every = 1;
  #bytes = 0;
  #lastSequence: number;
  #appended = 0;
  #storedBefore = 0;
  #stored = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #appendedAt = 0;
  #heardAt = 0;
  #whenIdle: Array<() => void> = [];

  constructor(options: FastIngestOptions) {
    this.#options = options;
    this.#outstanding = options.outstandingAcks ?? 4;
    this.#maxBytes = options.maxInFlightBytes ?? 4 * 1024 * 1024;
    this.#idleMs = options.idleCommitMs ?? 20;
    this.#maxBatchMs = options.maxBatchMs ?? 500;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#lastSequence = options.lastSequence;
    this.#publisher = new RawPublisher(options.nc);
    this.#inbox = createInbox();
    this.#subscription = options.nc.subscribe(`${this.#inbox}.>`, {
      callback: (error, message) => {
        if (error !== null) this.fail({ type: "connection_lost", message: errorText(error) });
        else this.#hear(message.subject, rawMessage(message));
      },
    });
  }

  /** Whether `append` may be called. */
  get ready(): boolean {
    if (this.#state === "none") return true;
    if (this.#state !== "open") return false;
    return this.#sent - this.#acked < this.#every * this.#outstanding && this.#bytes < this.#maxBytes;
  }

  /** How many messages were appended. */
  get appended(): number {
    return this.#appended;
  }

  /** How many of them are stored for certain. */
  get stored(): number {
    return this.#stored;
  }

  /** The stream's last sequence once all that was appended is stored. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Bytes that the fence adds to a message's header block, at most. */
  static readonly overheadBytes = "NATS/1.0\r\nNats-Expected-Last-Sequence: 9007199254740991\r\n".length;

  /** Sends one message; only while `ready`. Its bytes are copied before it returns. */
  append(message: IngestMessage): void {
    const size = ingestSize(message);
    if (this.#state === "none") this.#open(size);
    this.#sent++;
    const operation = this.#sent === 1 ? "0" : "1";
    this.#publisher.publish({
      subject: message.subject,
      plain: message.plain,
      reply: `${this.#replyHead}${this.#sent}.${operation}.$FI`,
      headerHead: `NATS/1.0\r\nNats-Expected-Last-Sequence: ${this.#lastSequence}\r\n${message.headerHead}`,
      headerTail: message.headerTail,
      headerFrom: message.headerFrom,
      data: message.data,
    });
    this.#lastSequence++;
    this.#appended++;
    this.#bytes += size;
    this.#appendedAt = performance.now();
    if (this.#bytes >= this.#maxBytes && this.#state === "open") this.#commit();
  }

  /** Commits what is in flight; resolves when it is stored, or the writer has failed. */
  drain(): Promise<void> {
    if (this.#state === "none" || this.#state === "ended") return Promise.resolve();
    if (this.#state === "open") this.#commit();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Ends the writer without waiting for what is in flight. */
  close(): void {
    this.#end();
  }

  /** Ends the writer as failed. */
  fail(failure: FastIngestFailure): void {
    if (this.#state === "ended") return;
    this.#end();
    this.#options.onFailed(failure);
  }

  #open(firstBytes: number): void {
    this.#batch++;
    this.#sent = 0;
    this.#acked = 0;
    this.#bytes = 0;
    this.#storedBefore = this.#appended;
    const flow = Math.max(1, Math.min(ACK_EVERY, Math.floor(ACK_BYTES / Math.max(1, firstBytes))));
    this.#replyHead = `${this.#batchInbox()}.${flow}.fail.`;
    this.#state = "opening";
    this.#heardAt = performance.now();
    this.#arm(this.#idleMs);
  }

  /** The token after the inbox is the batch's id, which the server keeps for the stream, not for the connection. */
  #batchInbox(): string {
    return `${this.#inbox}.${this.#inbox.slice(this.#inbox.lastIndexOf(".") + 1)}-${this.#batch}`;
  }

  #commit(): void {
    this.#state = "committing";
    this.#publisher.flush();
    const { nc, commitSubject } = this.#options;
    if (nc.isClosed() || nc.isDraining()) return;
    nc.publish(commitSubject, undefined, { reply: `${this.#replyHead}${this.#sent + 1}.3.$FI` });
  }

  #end(): void {
    // A batch that is left open counts against the next one's rate for ten seconds.
    if (this.#state === "opening" || this.#state === "open") this.#commit();
    this.#state = "ended";
    clearTimeout(this.#timer);
    this.#subscription.unsubscribe();
    this.#idle();
  }

  #idle(): void {
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const resolve of waiting) resolve();
  }

  #hear(subject: string, message: ReturnType<typeof rawMessage>): void {
    if (this.#state === "ended" || this.#state === "none") return;
    if (!subject.startsWith(`${this.#batchInbox()}.`)) return;
    this.#heardAt = performance.now();
    let reply: BatchReply;
    try {
      reply = parseBatchReply(message);
    } catch (error) {
      this.fail({ type: "refused", code: 0, message: errorText(error) });
      return;
    }
    switch (reply.type) {
      case "flow":
        this.#flow(reply.sequence, reply.every);
        return;
      case "ended":
        this.#ended(reply);
        return;
      case "refused":
        this.#advance(this.#acked);
        this.fail(failureOf(reply));
        return;
      case "gap":
        this.fail({
          type: "connection_lost",
          message: `batch message ${reply.expected} did not reach the server`,
        });
        return;
      default: {
        const never: never = reply;
        throw new Error(`Unhandled reply ${String(never)}`);
      }
    }
  }

  #flow(sequence: number, every: number): void {
    this.#every = every;
    if (this.#state === "opening") this.#state = "open";
    if (sequence > this.#acked) {
      this.#bytes *= (this.#sent - sequence) / Math.max(1, this.#sent - this.#acked);
      this.#advance(sequence);
    }
    if (this.#state === "open") this.#options.onReady();
  }

  #ended(reply: Extract<BatchReply, { type: "ended" }>): void {
    const whole = reply.count === this.#sent && this.#state === "committing" && !reply.duplicate;
    if (!whole || reply.streamSequence !== this.#lastSequence) {
      // A count also holds skipped duplicates, so it does not say what is stored: the stream does.
      const message = `batch ended at message ${reply.count} of ${this.#sent}, stream at ${reply.streamSequence}, expected ${this.#lastSequence}`;
      this.fail({ type: "fenced", message });
      return;
    }
    this.#state = "none";
    this.#bytes = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#advance(reply.count);
    this.#idle();
    this.#options.onReady();
  }

  #advance(sequence: number): void {
    this.#acked = sequence;
    const stored = this.#storedBefore + sequence;
    if (stored <= this.#stored) return;
    this.#stored = stored;
    this.#options.onStored(stored);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => this.#tick(), ms);
  }

  #tick(): void {
    if (this.#state === "none" || this.#state === "ended") return;
    const now = performance.now();
    if (now - this.#heardAt >= this.#timeoutMs && this.#state !== "open") {
      this.fail({ type: "timeout", message: `no answer for ${this.#timeoutMs} ms` });
      return;
    }
    const idle = now - this.#appendedAt >= this.#idleMs;
    if (this.#state === "open" && (idle || now - this.#heardAt >= this.#maxBatchMs)) this.#commit();
    this.#arm(Math.max(1, this.#idleMs));
  }
}
