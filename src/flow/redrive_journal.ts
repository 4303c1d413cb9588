/**
 * Makes a redrive exactly-once across a crash. A dead letter is removed after the view has stored its event, so a crash in
 * between leaves both. Before anything is sent, the journal notes which dead letters are on their way and behind which
 * sequence of the view their events can be. What comes after a crash looks through the view from there on for their marks:
 * a letter whose mark is there is removed, one without is as it was. The notes are few and short: one for a batch.
 *
 * The view's fence is what makes this certain. A worker that was only paused cannot write to the view once its successor
 * has, and if it writes just before, the successor's first message is refused: it starts again and looks again. So the notes
 * stay until the letters are removed or the successor's own message is stored.
 *
 * Only where retention has dropped the beginning of what would have to be looked through, a letter may be sent twice, with the
 * same id both times.
 */
import { type JetStreamManager, jetstream } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import { REDRIVEN_HEADER, STATE_BUCKET, stateKey } from "../model/names.ts";
import { removeDeadLetter } from "./dead_letters.ts";
import { readHeaders } from "./read_headers.ts";

export interface RedriveJournalOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly tenant: string;
  readonly policy: string;
  readonly viewStream: string;
  readonly log?: ((message: string) => void) | undefined;
  /** Whether notes and dead letters may be changed now. Default: always. */
  readonly mayWrite?: () => boolean;
}

/** Dead letters on their way; their events are behind sequence `after` of the view, if they are there. */
interface Note {
  readonly after: number;
  readonly letters: readonly number[];
}

const NOTHING: Note = { after: 0, letters: [] };

export class RedriveJournal {
  readonly #options: RedriveJournalOptions;
  readonly #key: string;
  #kv: KV | null = null;
  #revision = 0;
  /** Letters of earlier sessions, of which a late message may still come. */
  #late: Note = NOTHING;

  constructor(options: RedriveJournalOptions) {
    this.#options = options;
    this.#key = stateKey.redrive(options.tenant, options.policy);
  }

  /** Whether letters of earlier sessions may still come into the view. */
  get open(): boolean {
    return this.#late.letters.length > 0;
  }

  /**
   * Settles what sessions before this one have left.
   * @param viewSequence last sequence of the view when the session began
   */
  async recover(viewSequence: number): Promise<void> {
    const kv = await this.#bucket();
    const entry = await kv.get(this.#key);
    this.#revision = entry?.revision ?? 0;
    const note = entry?.operation === "PUT" ? entry.json<Note>() : NOTHING;
    this.#late = NOTHING;
    if (note.letters.length === 0) return;
    const { jsm, tenant, log } = this.#options;
    const stored = await this.#marks(note, viewSequence);
    for (const letter of stored) {
      this.requireWritable();
      await removeDeadLetter(jsm, tenant, letter);
    }
    if (stored.size > 0) {
      log?.(`Removed ${stored.size} dead letters that were redriven before the worker ended`);
    }
    const letters = note.letters.filter((letter) => !stored.has(letter));
    this.#late = letters.length === 0 ? NOTHING : { after: viewSequence, letters };
    await this.#put(this.#late);
  }

  /** Notes letters, before the first of them is sent. */
  async note(viewSequence: number, letters: readonly number[]): Promise<void> {
    const late = this.#late;
    await this.#put(
      late.letters.length === 0
        ? { after: viewSequence, letters }
        : { after: late.after, letters: [...new Set([...late.letters, ...letters])] },
    );
  }

  /** What has become of the letters that were noted last is known, and done. */
  async close(): Promise<void> {
    await this.#put(this.#late);
  }

  /** The session's own first message is stored: letters of the sessions before it can come into the view no more. */
  async forget(): Promise<void> {
    if (!this.open) return;
    await this.#put(NOTHING);
    this.#late = NOTHING;
  }

  /** @throws LeafmeshError `conflict` where another sidecar may have the view */
  requireWritable(): void {
    if (this.#options.mayWrite?.() !== false) return;
    throw new LeafmeshError("conflict", "another sidecar may have the view");
  }

  async #put(note: Note): Promise<void> {
    const kv = await this.#bucket();
    this.requireWritable();
    // The worker that took over may have notes of its own: it has raised the revision.
    this.#revision = await kv.put(this.#key, JSON.stringify(note), { previousSeq: this.#revision });
  }

  async #bucket(): Promise<KV> {
    this.#kv ??= await new Kvm(jetstream(this.#options.nc)).open(STATE_BUCKET);
    return this.#kv;
  }

  /** Those of the note's letters whose marks are in the view, up to a sequence. */
  async #marks({ after, letters }: Note, upTo: number): Promise<Set<number>> {
    const found = new Set<number>();
    if (after >= upTo) return found;
    const { nc, jsm, viewStream, log } = this.#options;
    const { state } = await jsm.streams.info(viewStream);
    if (state.messages === 0) return found;
    if (state.first_seq > after + 1) {
      log?.(`Retention of '${viewStream}' dropped events among which redriven ones may have been`);
    }
    for await (const { headers } of readHeaders({ nc, jsm }, viewStream, { from: after + 1, to: upTo })) {
      const letter = Number(headers?.get(REDRIVEN_HEADER) ?? "");
      if (letters.includes(letter)) found.add(letter);
    }
    return found;
  }
}
