/** Redrives dead letters through a view's running session, each exactly once whatever ends the session meanwhile. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import { readRedriveLetter, removeDeadLetter } from "./dead_letters.ts";
import { RedriveJournal, type RedriveJournalOptions } from "./redrive_journal.ts";
import type { RedriveLetter, Redriven } from "./redrive_queue.ts";

/** What a redrive needs of a session. */
export interface RedriveSession {
  /** Last sequence of the view when the session began. */
  readonly viewStart: number;
  /** Last sequence of the view once all that was sent to it is stored. */
  readonly viewSequence: number;
  /** Messages of this session that the view has stored: with one of them, no other writer's can follow. */
  readonly stored: number;
  redrive(
    letters: readonly RedriveLetter[],
    dryRun: boolean,
  ): Promise<readonly PromiseSettledResult<Redriven>[]>;
}

export interface ViewRedriverOptions extends RedriveJournalOptions {
  /** The session that runs; `null` when none does. */
  readonly session: () => RedriveSession | null;
  /** Why none does. */
  readonly why: () => string;
}

export class ViewRedriver {
  readonly #options: ViewRedriverOptions;
  readonly #jsm: JetStreamManager;
  readonly #journal: RedriveJournal;
  /** The session whose predecessors have left nothing unsettled. */
  #settled: RedriveSession | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ViewRedriverOptions) {
    this.#options = options;
    this.#jsm = options.jsm;
    this.#journal = new RedriveJournal(options);
  }

  /**
   * Decides dead letters again, in this order, and removes those that the view has stored or the policy drops. A dry run
   * only says what would become of them.
   * @returns what has become of each; `null` where it is not known: ask again, it is not sent twice
   * @throws LeafmeshError `conflict` while the view is not running
   */
  redrive(sequences: readonly number[], dryRun: boolean): Promise<readonly (Redriven | null)[]> {
    return this.#serial(() => (dryRun ? this.#tryOut(sequences) : this.#redrive(sequences)));
  }

  /**
   * Settles what sessions before the running one have left, and forgets it once no late message of them can be stored.
   * Cheap when there is nothing: call it when a session starts, and now and then.
   */
  settle(): Promise<void> {
    const session = this.#options.session();
    if (session === null) return Promise.resolve();
    if (session === this.#settled && !(this.#journal.open && session.stored > 0)) return Promise.resolve();
    return this.#serial(() => this.#settle(session));
  }

  /** One thing at a time: each builds on the revision of the journal that the one before has left. */
  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {
      // Whether the journal has what was to be written is not known: look first.
      this.#settled = null;
    });
    return result;
  }

  async #settle(session: RedriveSession): Promise<void> {
    if (session !== this.#settled) {
      await this.#journal.recover(session.viewStart);
      this.#settled = session;
    }
    if (session.stored > 0 && session === this.#options.session()) await this.#journal.forget();
  }

  async #tryOut(sequences: readonly number[]): Promise<readonly (Redriven | null)[]> {
    const session = this.#running();
    const { read, letters } = await this.#read(sequences);
    return merge(read, results(await session.redrive(letters, true)));
  }

  async #redrive(sequences: readonly number[]): Promise<readonly (Redriven | null)[]> {
    const session = this.#running();
    await this.#settle(session);
    // Read only now: what was on its way when a session ended may be gone.
    const { read, letters } = await this.#read(sequences);
    if (letters.length === 0) return merge(read, []);
    await this.#journal.note(
      session.viewSequence,
      letters.map(({ letter }) => letter),
    );
    if (session !== this.#options.session()) return merge(read, []);
    const found = results(await session.redrive(letters, false));
    await Promise.all(
      letters.map(async ({ letter }, index) => {
        const type = found[index]?.type;
        if (type !== "forwarded" && type !== "dropped") return;
        this.#journal.requireWritable();
        await removeDeadLetter(this.#jsm, this.#options.tenant, letter);
      }),
    );
    // As long as the session runs, what is not known was not sent.
    if (!found.includes(null) || session === this.#options.session()) await this.#journal.close();
    return merge(read, found);
  }

  #running(): RedriveSession {
    const session = this.#options.session();
    if (session !== null) return session;
    throw new LeafmeshError("conflict", `View '${this.#options.policy}' ${this.#options.why()}`);
  }

  async #read(sequences: readonly number[]) {
    const read = await Promise.all(
      sequences.map((sequence) => readRedriveLetter(this.#jsm, this.#options.tenant, sequence)),
    );
    return { read, letters: read.flatMap((one) => (one.type === "whole" ? [one.letter] : [])) };
  }
}

type Read = Awaited<ReturnType<typeof readRedriveLetter>>;

/** The results in the order of what was read. */
function merge(read: readonly Read[], found: readonly (Redriven | null)[]): (Redriven | null)[] {
  const rest = [...found];
  return read.map((one) => (one.type === "whole" ? (rest.shift() ?? null) : one));
}

function results(settled: readonly PromiseSettledResult<Redriven>[]): (Redriven | null)[] {
  return settled.map((one) => (one.status === "fulfilled" ? one.value : null));
}
