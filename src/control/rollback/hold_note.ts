/**
 * Where routes are held, noted beside the store. A hold that stands in an older copy of the store may have ended since: the peer
 * has gone back already, and got what came then. Only one that the note knows too is still to be heard of by the peer.
 */
import { join } from "node:path";
import { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../../nats/files.ts";

const FILE = "held.json";
const Held = z.record(z.string(), z.int().nonnegative());
const keyOf = (stream: string, consumer: string): string => `${stream} ${consumer}`;

export class HoldNote {
  readonly #path: string;
  readonly #mayChange: MayChange | undefined;
  /** By stream and consumer: the last sequence of the stream when it was held. `null`: there was no note. */
  #held: Readonly<Record<string, number>> | null;
  /** One writes at a time. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    path: string,
    held: Readonly<Record<string, number>> | null,
    mayChange: MayChange | undefined,
  ) {
    this.#path = path;
    this.#mayChange = mayChange;
    this.#held = held;
  }

  /**
   * Reads the note.
   * @param mayChange asked before it is replaced; default: it always may be
   * @throws {LeafmeshError} `data_folder_unusable`
   */
  static async open(folder: string, mayChange?: MayChange): Promise<HoldNote> {
    const path = join(folder, FILE);
    const text = await readTextFile(path);
    if (text === null) return new HoldNote(path, null, mayChange);
    try {
      return new HoldNote(path, Held.parse(JSON.parse(text)), mayChange);
    } catch (error) {
      throw new LeafmeshError(
        "data_folder_unusable",
        `${path} is not what was written there: ${errorText(error)}. Remove it to start without it`,
        { cause: error },
      );
    }
  }

  /** Whether a hold that a consumer says it has is still the one that it has. Without a note it is believed. */
  knows(stream: string, consumer: string, last: number): boolean {
    return this.#held === null || this.#held[keyOf(stream, consumer)] === last;
  }

  /** Notes all holds that there are. */
  async replace(
    holds: readonly { readonly stream: string; readonly consumer: string; readonly last: number }[],
  ): Promise<void> {
    await this.#write(
      Object.fromEntries(holds.map(({ stream, consumer, last }) => [keyOf(stream, consumer), last])),
    );
  }

  /** Notes one hold; `null`: it has ended. To be called before the consumer says so. */
  async put(stream: string, consumer: string, last: number | null): Promise<void> {
    const { [keyOf(stream, consumer)]: _, ...others } = this.#held ?? {};
    await this.#write(last === null ? others : { ...others, [keyOf(stream, consumer)]: last });
  }

  async #write(held: Readonly<Record<string, number>>): Promise<void> {
    this.#held = held;
    const write = async () => {
      await writeSecretFile(this.#path, `${JSON.stringify(this.#held)}\n`, "replace", this.#mayChange);
    };
    const written = this.#writing.then(write, write);
    this.#writing = written.catch(() => undefined);
    await written;
  }
}
