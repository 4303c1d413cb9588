/**
 * Where routes are held, noted beside the store. A hold that stands in an older copy of the store may have ended since: the peer
 * has gone back already, and got what came then. Only one that the note knows too is still to be heard of by the peer.
 */
import { join } from "node:path";
import { z } from "zod";
import type { MayChange } from "../../nats/files.ts";
import { NoteFile } from "./note_file.ts";

const FILE = "held.json";
/** By stream and consumer: the last sequence of the stream when it was held. */
const Held = z.record(z.string(), z.int().nonnegative());
const keyOf = (stream: string, consumer: string): string => `${stream} ${consumer}`;

export class HoldNote {
  readonly #file: NoteFile<z.infer<typeof Held>>;

  private constructor(file: NoteFile<z.infer<typeof Held>>) {
    this.#file = file;
  }

  /** Reads the note. @throws {LeafmeshError} as {@link NoteFile.open} */
  static async open(folder: string, mayChange?: MayChange): Promise<HoldNote> {
    return new HoldNote(await NoteFile.open(join(folder, FILE), Held, mayChange));
  }

  /** Whether a hold that a consumer says it has is still the one that it has. Without a note it is believed. */
  knows(stream: string, consumer: string, last: number): boolean {
    const { value } = this.#file;
    return value === null || value[keyOf(stream, consumer)] === last;
  }

  /** Notes all holds that there are. */
  async replace(
    holds: readonly { readonly stream: string; readonly consumer: string; readonly last: number }[],
  ): Promise<void> {
    await this.#file.replace(
      Object.fromEntries(holds.map(({ stream, consumer, last }) => [keyOf(stream, consumer), last])),
    );
  }

  /** Notes one hold; `null`: it has ended. To be called before the consumer says so. */
  async put(stream: string, consumer: string, last: number | null): Promise<void> {
    const { [keyOf(stream, consumer)]: _, ...others } = this.#file.value ?? {};
    await this.#file.replace(last === null ? others : { ...others, [keyOf(stream, consumer)]: last });
  }
}
