/**
 * Tells whether a view has another worker. The view's fence keeps two from writing at once; which of them goes on and which stands
 * by is said here.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { sleep } from "../nats/wait.ts";
import type { ConnectionWatch } from "./connection_watch.ts";
import { otherReader } from "./source_reader.ts";
import { readViewPosition, type ViewStreams } from "./view_position.ts";

/** What a session that has ended says of the messages that it has sent. */
export interface EndedSession {
  /** Last sequence of the view when the session began. */
  readonly viewStart: number;
  /** Messages of the session that the view has stored. */
  readonly stored: number;
  /** Whether the view's last message, of this sequence and position, is one of its own. */
  confirm(viewSequence: number, position: number): boolean;
}

/** A worker that is fenced out twice within this time looks whether it is alone. */
const CONTENTION_MS = 120_000;
const LOOK_MS = 500;

/**
 * Waits for a request, and throws when the connection is lost before its answer is there. Each is waited for by itself: what has
 * been given up does nothing more when its answer comes after all.
 */
type Connection = Pick<ConnectionWatch, "during">;

export class Contention {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #streams: ViewStreams;
  readonly #signal: AbortSignal;
  #count = 0;
  #lastMs = 0;
  /** The session that has ended and has no successor yet; `null` where it is not known what it wrote. */
  #ended: EndedSession | null = null;

  constructor(nc: NatsConnection, jsm: JetStreamManager, streams: ViewStreams, signal: AbortSignal) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#streams = streams;
    this.#signal = signal;
  }

  /** A session has ended; `null`: another one has begun, or what it wrote is not known any more. */
  ended(session: EndedSession | null): void {
    this.#ended = session;
  }

  /** Counts what the last session has stored, up to this sequence and position of the view, if they are its own. */
  confirm(viewSequence: number, position: number): void {
    this.#ended?.confirm(viewSequence, position);
  }

  /** The worker was fenced out by another one. @returns whether for the first time: that may be its own past, a late frame of a lost connection */
  met(): boolean {
    const now = performance.now();
    this.#count = now - this.#lastMs < CONTENTION_MS ? this.#count + 1 : 1;
    this.#lastMs = now;
    return this.#count === 1;
  }

  /** Whether the worker must stand by: it was fenced out before, and the other one is still at it. */
  async mustStandBy(connection: Connection): Promise<boolean> {
    if (this.#count <= 1 || !(await this.#otherIsLive(connection))) return false;
    this.#ended = null;
    return true;
  }

  /**
   * Whether somebody else has written to the view since the last session's own messages. If not, the server has refused one of
   * those; the first one of the next session is told why.
   */
  async otherWrote(connection: Connection): Promise<boolean> {
    const ended = this.#ended;
    if (ended === null) return true;
    const { lastSequence, fromView } = await connection.during(readViewPosition(this.#jsm, this.#streams));
    const known = lastSequence - ended.viewStart <= ended.stored;
    // Another worker's message of the same event is at the same place, and looks the same.
    if (!known && (await this.#otherReader(connection)) !== "none") {
      this.#ended = null;
      return true;
    }
    return !ended.confirm(lastSequence, fromView);
  }

  /** Whether someone else waits for events of the source, or writes to the view. Our own session is over. */
  async #otherIsLive(connection: Connection): Promise<boolean> {
    const before = await this.#lastSequence(connection);
    if ((await this.#otherReader(connection)) === "none") return false;
    await sleep(LOOK_MS, this.#signal);
    if ((await this.#lastSequence(connection)) !== before) return true;
    // One that waits for a limit asks for nothing for long.
    return (await this.#otherReader(connection)) !== "none";
  }

  async #lastSequence(connection: Connection): Promise<number> {
    return (await connection.during(this.#jsm.streams.info(this.#streams.viewStream))).state.last_seq;
  }

  #otherReader(connection: Connection): ReturnType<typeof otherReader> {
    return connection.during(otherReader(this.#nc, this.#jsm, this.#streams));
  }
}
