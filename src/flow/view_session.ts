/**
 * One attempt at moving events from a source into a view: from a position that was read to the first thing that goes
 * wrong. It retries nothing; the worker starts the next session from what the view then holds.
 */
import type { MeshEvent } from "../model/event.ts";
import { storedSubject } from "../model/names.ts";
import { FencedWriter, messageSize } from "../nats/fenced_writer.ts";
import { DeadLettersInFlight } from "./dead_letters_in_flight.ts";
import type { DeliveredMessage } from "./delivered.ts";
import { DeliveredEvents } from "./delivered_events.ts";
import { type Decided, type Decider, EventDecider, keep, type Taken } from "./event_decider.ts";
import { Fifo } from "./fifo.ts";
import { IdGuard } from "./id_guard.ts";
import { Ledger, OUTCOME, type Outcome } from "./ledger.ts";
import { PullReader } from "./pull_reader.ts";
import { QuotaGate } from "./quota_gate.ts";
import { type RedriveItem, type RedriveLetter, type Redriven, RedriveQueue } from "./redrive_queue.ts";
import { knownSubject } from "./subject_cache.ts";
import { ViewMessageBuilder } from "./view_message.ts";
import type { SessionEnd, SessionOptions } from "./view_session_options.ts";

const LEDGER = 16_384;
const SETTLE_EVENTS = 1_000;
const SETTLE_MS = 20;
/** How often it is looked whether the session has come to a letter's event. */
const AHEAD_MS = 50;

/** Reads, decides and writes until something ends it; `onEnd` says what, once. */
export class ViewSession {
  readonly #options: SessionOptions;
  readonly #ledger: Ledger;
  readonly #guard: IdGuard;
  readonly #builder: ViewMessageBuilder;
  readonly #events: EventDecider;
  readonly #ingest: FencedWriter;
  readonly #reader: PullReader;
  readonly #redrives = new RedriveQueue();
  readonly #gate: QuotaGate;
  readonly #deliveries: DeliveredEvents;
  /** Delivered and not yet decided. */
  readonly #queue = new Fifo<DeliveredMessage>();
  /** The head of the queue, decided but not yet passed on. */
  #held: { readonly taken: Taken; readonly decided: Decided; readonly by: Decider } | null = null;
  #decidedPosition: number;
  readonly #deadLetters: DeadLettersInFlight;
  /** Dropped since the ledger was gone through. */
  #dropped = 0;
  #settleTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #stopListening: () => void;
  #ended = false;
  #stopping = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { start, nc } = options;
    this.#decidedPosition = start.position;
    this.#ledger = new Ledger(LEDGER, start.position);
    this.#guard = new IdGuard(start.sourceWindowMs);
    const { site, policy, sourceStream } = options;
    const maxPayload = nc.info?.max_payload ?? 1024 * 1024;
    this.#builder = new ViewMessageBuilder({
      site,
      policy,
      sourceStream,
      sourceEpoch: start.sourceEpoch,
      guard: this.#guard,
    });
    this.#deliveries = new DeliveredEvents({
      after: start.position + start.missed,
      wanted: options.wanted,
      stream: this.#builder.stream,
      onFault: (message) => this.#end({ type: "reader", message }),
    });
    this.#gate = new QuotaGate({
      quotas: options.quotas,
      wake: () => this.#pump(),
      onWaited: (ms) => {
        options.counts.deferredMs += ms;
      },
    });
    this.#events = new EventDecider({
      policy,
      epoch: start.sourceEpoch,
      builder: this.#builder,
      maxMsgBytes: Math.min(start.maxMsgBytes, maxPayload) - FencedWriter.overheadBytes,
    });
    this.#stopListening = options.mayWrite.onOpen(() => this.#pump());
    this.#deadLetters = new DeadLettersInFlight(nc, (message) => this.#end({ type: "dead_letter", message }));
    this.#ingest = new FencedWriter({
      nc,
      lastSequence: start.lastSequence,
      mayWrite: options.mayWrite.open,
      onStored: (ordinal) => this.#stored(ordinal),
      onReady: () => this.#pump(),
      onFailed: (failure) => this.#end({ type: "ingest", failure }),
    });
    this.#reader = new PullReader({
      nc,
      stream: options.sourceStream,
      consumer: options.reader,
      batch: () => options.pull().messages,
      // A request that the largest message does not fit into would never be answered.
      maxBytes: () => Math.max(options.pull().bytes, maxPayload + 64 * 1024),
      buffered: () => this.#queue.length,
      onMessage: (message, resumed) => this.#take(message, resumed),
      onEnd: (message) => this.#end({ type: "reader", message }),
    });
  }

  /** Source sequence up to which all is decided. */
  get decidedPosition(): number {
    return this.#decidedPosition;
  }

  /** Wanted events that were read, and the source sequence up to which all were looked at, by the server or here. */
  get read(): { readonly wanted: number; readonly sequence: number } {
    const { wanted, sequence } = this.#deliveries;
    return { wanted, sequence };
  }

  /** The consumer that it reads with. */
  get reader(): string {
    return this.#options.reader;
  }

  /** Last sequence of the view when the session began. */
  get viewStart(): number {
    return this.#options.start.lastSequence;
  }

  /** Last sequence of the view once all that was sent to it is stored. */
  get viewSequence(): number {
    return this.#ingest.lastSequence;
  }

  /** Messages of this session that the view has stored: with one of them, no other writer's can follow. */
  get stored(): number {
    return this.#ingest.stored;
  }

  /**
   * Once the session has ended: whether the view's last message, of this sequence and position, is one of its own. If so, all up
   * to it are stored and count, though the server did not come to say so.
   */
  confirm(viewSequence: number, position: number): boolean {
    const ordinal = viewSequence - this.viewStart;
    if (ordinal <= this.#ingest.stored) return true;
    if (this.#ledger.sequenceAt(ordinal) !== position) return false;
    this.#advance(ordinal);
    return true;
  }

  /** Decides dead letters again, in this order, and forwards them as the policy of now says; see {@link RedriveQueue}. */
  redrive(letters: readonly RedriveLetter[], dryRun: boolean): Promise<PromiseSettledResult<Redriven>[]> {
    const all = Promise.allSettled(letters.map((letter) => this.#redrives.add(letter, dryRun)));
    this.#pump();
    return all;
  }

  /** Source sequence of the last event that was read, while none is asked for: what comes next may go before it is read. */
  get standsAt(): number | null {
    return this.#reader.asking ? null : this.#lastTaken;
  }

  get #lastTaken(): number {
    return this.#queue.last?.streamSequence ?? this.#deliveries.sequence;
  }

  /** The limit that the session waits for, and how long it has so far; `null` when it does not. */
  get deferral(): { readonly why: string; readonly ms: number } | null {
    return this.#gate.deferral;
  }

  /** Events that were read and not passed on. */
  get waiting(): number {
    return this.#queue.length + (this.#held === null ? 0 : 1);
  }

  /** Looks again at what waits. */
  wake(): void {
    this.#pump();
  }

  /** Decides no more and waits until what is decided is stored. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#stopping = true;
    this.#redrives.stop();
    this.#reader.stop();
    this.#queue.clear();
    this.#held = null;
    await this.#ingest.drain();
    if (!this.#ended) await this.#deadLetters.none();
    this.#end({ type: "stopped" });
  }

  /** Ends the session at once, without waiting for what is in flight. */
  fail(end: SessionEnd): void {
    this.#end(end);
  }

  #end(end: SessionEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopListening();
    this.#reader.stop();
    this.#settle();
    this.#redrives.end();
    this.#ingest.close();
    clearTimeout(this.#settleTimer);
    this.#gate.close();
    this.#queue.clear();
    this.#held = null;
    this.#deadLetters.release();
    this.#options.onEnd(end);
  }

  #take(message: DeliveredMessage, resumed: boolean): void {
    if (this.#stopping || this.#ended) return;
    if (resumed) this.#options.onResumed(this.#lastTaken, message.streamSequence);
    this.#queue.push(message);
    this.#pump();
  }

  /** Decides and passes on as much as can be passed on now. */
  #pump(): void {
    if (this.#stopping) return;
    const { open } = this.#options.mayWrite;
    while (!this.#ended && !this.#ledger.full) {
      // Asked before each event: this process may have been stopped for a while at any place.
      if (!open()) return;
      if (this.#redrives.waiting) {
        // As for any event: a position that follows would hide a dead letter that is not stored yet.
        if (this.#deadLetters.any || !this.#ingest.ready) break;
        this.#redrive(this.#redrives.take());
        continue;
      }
      if (this.#held !== null) {
        const { taken, by } = this.#held;
        // A policy that came meanwhile decides anew.
        if (by !== this.#options.decider()) this.#hold(taken);
        if (!this.#pass(taken.event, this.#held.decided)) break;
        this.#held = null;
        continue;
      }
      // Deciding waits until the outcome can be passed on: a new policy then takes effect as early as it can.
      if (!this.#ingest.ready) break;
      const message = this.#queue.shift();
      if (message === undefined) break;
      this.#decide(message);
    }
    if (this.#ended) return;
    // It may have been woken for something else, or a moment too early.
    const dueInMs = this.#redrives.dueInMs;
    if (dueInMs !== null && dueInMs > 0) this.#gate.wakeIn(dueInMs);
    this.#reader.refill();
  }

  #decide(message: DeliveredMessage): void {
    const taken = this.#deliveries.read(message);
    if (taken === null) return;
    const outcome = this.#options.letters.outcomeOf(taken.event);
    const decided: Decided =
      outcome === null ? this.#events.decide(taken, this.#options.decider()) : { type: "drop", outcome };
    if (!this.#pass(taken.event, decided)) this.#hold(taken, decided);
  }

  #hold(taken: Taken, decided = this.#events.decide(taken, this.#options.decider())): void {
    this.#held = { taken, decided: keep(decided), by: this.#options.decider() };
  }

  /** @returns whether the event went on its way; if not, it must wait for room or for dead letters before it */
  #pass(event: MeshEvent, decided: Decided): boolean {
    const { sequence } = event;
    switch (decided.type) {
      case "forward": {
        // A later position in the view would hide a dead letter that is not stored yet.
        if (this.#deadLetters.any || !this.#ingest.ready) return false;
        const admission = this.#gate.admit(decided.rule, messageSize(decided.message));
        if (admission === "wait") return false;
        if (admission === "drop") return this.#pass(event, { type: "drop", outcome: OUTCOME.limited });
        this.#send(decided, sequence, event.timeMs, OUTCOME.forwarded);
        break;
      }
      case "drop":
        this.#ledger.push(sequence, decided.outcome, 0, 0);
        break;
      case "quarantine": {
        if (this.#deadLetters.full) return false;
        const entry = this.#ledger.push(sequence, OUTCOME.quarantined, "waiting", 0);
        this.#options.letters.written(sequence, decided.entry.reason);
        this.#deadLetters.put(decided.entry, () => {
          this.#ledger.settle(entry);
          if (this.#ended) return;
          this.#settle();
          this.#pump();
        });
        break;
      }
      default: {
        const never: never = decided;
        throw new Error(`Unhandled outcome ${String(never)}`);
      }
    }
    this.#gate.passed();
    this.#decidedPosition = sequence;
    if (decided.type === "drop") this.#settleSoon();
    return true;
  }

  /** Writes an event to the view. @returns its number among the session's messages */
  #send(
    { message, redactions }: Extract<Decided, { type: "forward" }>,
    at: number,
    timeMs: number,
    outcome: Outcome,
  ): number {
    this.#ingest.append(message);
    const ordinal = this.#ingest.appended;
    if (message.idHash !== null) this.#guard.sent(message.idHash, timeMs, ordinal);
    this.#ledger.push(at, outcome, ordinal, redactions);
    return ordinal;
  }

  /** Called only when an event could be forwarded. */
  #redrive(item: RedriveItem | undefined): void {
    if (item === undefined) return;
    // Without its letter, what starts after a crash would decide its event again.
    if (!item.dryRun && this.#options.letters.isAhead(item.event, item.epoch, this.#decidedPosition)) {
      this.#redrives.putBack(item, AHEAD_MS);
      return;
    }
    const event = { ...item.event, stream: this.#builder.streamOf(item.epoch) };
    const subject = knownSubject(new TextEncoder().encode(storedSubject(event.origin, event.subject)));
    const position = this.#decidedPosition;
    const mark = { letter: item.letter, epoch: item.epoch, position };
    const decided = this.#events.decide({ event, subject }, this.#options.decider(), mark);
    switch (decided.type) {
      case "forward": {
        if (item.dryRun) {
          item.done({ type: "forwarded" });
          break;
        }
        const waitMs = this.#gate.redriveIn(decided.rule, messageSize(decided.message));
        if (waitMs > 0) {
          this.#redrives.putBack(item, waitMs);
          break;
        }
        this.#redrives.sent(item, this.#send(decided, position, event.timeMs, OUTCOME.redriven));
        break;
      }
      case "drop":
        item.done({
          type: "dropped",
          reason: decided.outcome === OUTCOME.denied ? "denied" : "no_rule",
        });
        break;
      case "quarantine":
        item.done({ type: "kept", reason: decided.entry.reason, error: decided.entry.error });
        break;
      default: {
        const never: never = decided;
        throw new Error(`Unhandled outcome ${String(never)}`);
      }
    }
  }

  #stored(ordinal: number): void {
    this.#guard.stored(ordinal);
    this.#redrives.stored(ordinal);
    this.#settle();
  }

  /** Drops bring no answer from the server that would settle them. */
  #settleSoon(): void {
    if (++this.#dropped >= SETTLE_EVENTS) this.#settle();
    else {
      this.#settleTimer ??= setTimeout(() => {
        this.#settleTimer = undefined;
        this.#settle();
        this.#pump();
      }, SETTLE_MS);
    }
  }

  #settle(): void {
    this.#dropped = 0;
    if (this.#advance(this.#ingest.stored) > 0) this.#options.onProgress(this.#ledger.position);
  }

  #advance(stored: number): number {
    const { counts, letters } = this.#options;
    const moved = this.#ledger.advance(stored, counts);
    if (moved > 0) letters.counted(this.#ledger.position, counts);
    return moved;
  }
}
