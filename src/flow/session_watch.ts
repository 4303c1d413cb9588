/**
 * Watches the session of a view: ends it when the durable consumer has other filters, when another way of reading costs less, and
 * when it should move and does not. The worker then begins the next one.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { MissedEvents } from "./missed_events.ts";
import { filtersOf } from "./source_reader.ts";
import { Standstill } from "./standstill.ts";
import type { ViewPosition, ViewStreams } from "./view_position.ts";
import type { ViewSession } from "./view_session.ts";
import { startsWide, turnsWide } from "./wide_reading.ts";
import type { WriteLease } from "./write_lease.ts";

/** Where fewer events went by between two looks, it does not matter how they were read. */
const LEAST_READ = 1_000;

export interface SessionWatchOptions {
  readonly jsm: JetStreamManager;
  readonly streams: ViewStreams;
  readonly mayWrite: WriteLease;
  readonly missed: MissedEvents;
  /** The session that runs now. */
  readonly session: () => ViewSession | null;
}

/** What is watched of one session after the other. */
export class SessionWatch {
  readonly #options: SessionWatchOptions;
  readonly #standstill = new Standstill(() => performance.now());
  /** Sessions that have begun. */
  #begun = 0;
  /** Filters of the running session's reader, as text; `null`: none runs. */
  #filters: string | null = null;
  /** What the running session had read at the last look, and whether it reads without filters. */
  #read = { wanted: 0, sequence: 0 } as ViewSession["read"];
  #wide = false;
  /** How the next session is to read; `null`: as its backlog is. */
  #turnedWide: boolean | null = null;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
  }

  /** Whether a session runs that is watched. */
  get watching(): boolean {
    return this.#options.session() !== null && this.#filters !== null;
  }

  /** Whether the session that is to begin reads without filters; said once for each. */
  readsWide(start: ViewPosition): boolean {
    this.#wide = start.filters.length > 0 && (this.#turnedWide ?? startsWide(start));
    this.#turnedWide = null;
    return this.#wide;
  }

  /** A session has begun. @param filters those of the durable consumer when it did */
  began({ read }: ViewSession, filters: readonly string[]): void {
    this.#begun++;
    this.#filters = JSON.stringify(filters);
    this.#read = read;
  }

  /** It has ended. */
  ended(): void {
    this.#filters = null;
  }

  /** Looks once; ends the session where another one would do better. */
  async look(): Promise<void> {
    const { jsm, streams } = this.#options;
    const session = this.#options.session();
    if (session === null || this.#filters === null) return;
    try {
      const { config } = await jsm.consumers.info(streams.sourceStream, streams.consumer);
      if (!this.#runs(session)) return;
      await this.#checkStanding(session);
      await this.#checkMoving(session);
      const filters = filtersOf(config);
      if (JSON.stringify(filters) === this.#filters) {
        if (!(await this.#readsBadly(session, filters))) return;
        this.#turnedWide = !this.#wide;
      }
      await session.stop();
    } catch {
      // The session meets what is wrong by itself.
    }
  }

  #runs(session: ViewSession): boolean {
    return session === this.#options.session();
  }

  /** Counts what goes while a session stands still. */
  async #checkStanding(session: ViewSession): Promise<void> {
    const standsAt = session.standsAt;
    if (standsAt === null) return;
    const { missed } = this.#options;
    const first = await missed.firstSequence();
    if (!this.#runs(session) || session.standsAt !== standsAt) return;
    missed.add({ position: standsAt, missed: Math.max(0, first - 1 - standsAt) });
  }

  /** Ends a session that should go on and does not. */
  async #checkMoving(session: ViewSession): Promise<void> {
    const { jsm, streams, mayWrite } = this.#options;
    const place = `${this.#begun} ${session.decidedPosition} ${session.read.sequence} ${session.stored} ${session.waiting}`;
    const held = session.deferral !== null || !mayWrite.open();
    const stands = await this.#standstill.look({ place, held }, async () => {
      if (session.waiting > 0) return true;
      const { num_pending } = await jsm.consumers.info(streams.sourceStream, session.reader);
      return num_pending > 0;
    });
    if (stands && this.#runs(session)) {
      session.fail({ type: "reader", message: "events wait and nothing moved for half a minute" });
    }
  }

  /** Whether the share of wanted events has become one that another way of reading is better for. */
  async #readsBadly(session: ViewSession, filters: readonly string[]): Promise<boolean> {
    const { read } = session;
    const all = read.sequence - this.#read.sequence;
    const wanted = read.wanted - this.#read.wanted;
    if (all < LEAST_READ) return false;
    this.#read = read;
    const { jsm, streams } = this.#options;
    const { num_subjects: subjects = 0 } = (await jsm.streams.info(streams.sourceStream)).state;
    return this.#runs(session) && turnsWide(this.#wide, wanted / all, { filters, subjects });
  }
}
