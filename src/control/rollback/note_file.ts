/** A note beside the store, in the data folder: what must be known also when the store is an older copy. Replaced as a whole. */
import type { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../../nats/files.ts";

export class NoteFile<T> {
  readonly #path: string;
  readonly #mayChange: MayChange | undefined;
  #value: T | null;
  /** One writes at a time. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, value: T | null, mayChange: MayChange | undefined) {
    this.#path = path;
    this.#mayChange = mayChange;
    this.#value = value;
  }

  /**
   * Reads the note.
   * @param mayChange asked before it is replaced; default: it always may be
   * @throws {LeafmeshError} `data_folder_unusable`
   */
  static async open<T>(path: string, schema: z.ZodType<T>, mayChange?: MayChange): Promise<NoteFile<T>> {
    const text = await readTextFile(path);
    if (text === null) return new NoteFile<T>(path, null, mayChange);
    try {
      return new NoteFile(path, schema.parse(JSON.parse(text)), mayChange);
    } catch (error) {
      throw new LeafmeshError(
        "data_folder_unusable",
        `${path} is not what was written there: ${errorText(error)}. Remove it to start without it`,
        { cause: error },
      );
    }
  }

  /** What is noted; `null`: there was no note. */
  get value(): T | null {
    return this.#value;
  }

  /** Notes something else. Of several at once the last one stays. @throws {LeafmeshError} as `writeSecretFile` */
  async replace(value: T): Promise<void> {
    this.#value = value;
    const write = async () => {
      await writeSecretFile(this.#path, `${JSON.stringify(this.#value)}\n`, "replace", this.#mayChange);
    };
    const written = this.#writing.then(write, write);
    this.#writing = written.catch(() => undefined);
    await written;
  }
}
