/**
 * Which sources an exporter has told to go back, noted beside the store. The stream of remote events says so itself; an older copy
 * of it, from before it was told, does not, and would take the sequences of what the exporter has lost for those of what is new.
 */
import { join } from "node:path";
import type { StreamInfo } from "@nats-io/jetstream";
import { z } from "zod";
import type { MayChange } from "../../nats/files.ts";
import { NoteFile } from "./note_file.ts";
import { type Rewound, rewoundKey, rewoundOf, type SourceName, sourceOfKey } from "./rewound.ts";

const FILE = "rewound.json";
const Noted = z.record(
  z.string(),
  z.object({
    /** When the stream was made, as the server says it: another one of its name knows nothing of this one's sources. */
    created: z.string(),
    /** By source: each time that it was told. */
    sources: z.record(
      z.string(),
      z.array(
        z.object({
          generation: z.int().positive(),
          after: z.int().nonnegative(),
          position: z.int().nonnegative().optional(),
        }),
      ),
    ),
  }),
);

/** A source that was told to go back after the copy was taken that its stream is. */
export interface ForgottenRewind {
  readonly source: SourceName;
  /** How often it was told in all. */
  readonly generation: number;
  /** The least sequence that it was told to go on after, since the copy, and its position. */
  readonly after: number;
  readonly position?: number | undefined;
}

export class RewoundNote {
  readonly #file: NoteFile<z.infer<typeof Noted>>;

  private constructor(file: NoteFile<z.infer<typeof Noted>>) {
    this.#file = file;
  }

  /** Reads the note. @throws {LeafmeshError} as {@link NoteFile.open} */
  static async open(folder: string, mayChange?: MayChange): Promise<RewoundNote> {
    return new RewoundNote(await NoteFile.open(join(folder, FILE), Noted, mayChange));
  }

  /** Notes that a source is told. To be called before its stream says so. */
  async put(
    { config, created }: Pick<StreamInfo, "config" | "created">,
    source: SourceName,
    { generation, after, position }: Omit<Rewound, "at">,
  ): Promise<void> {
    const all = this.#file.value ?? {};
    const known = all[config.name];
    const sources = known?.created === String(created) ? known.sources : {};
    const key = rewoundKey(source);
    const before = (sources[key] ?? []).filter((one) => one.generation !== generation);
    await this.#file.replace({
      ...all,
      [config.name]: {
        created: String(created),
        sources: { ...sources, [key]: [...before, { generation, after, position }] },
      },
    });
  }

  /** What a stream that is an older copy does not know. */
  forgotten({ config, created }: Pick<StreamInfo, "config" | "created">): ForgottenRewind[] {
    const known = this.#file.value?.[config.name];
    if (known === undefined || known.created !== String(created)) return [];
    return Object.entries(known.sources).flatMap(([key, told]) => {
      const source = sourceOfKey(key);
      const generation = rewoundOf(config, source)?.generation ?? 0;
      const since = told.filter((one) => one.generation > generation);
      const [least] = since.toSorted((left, right) => left.after - right.after);
      if (least === undefined) return [];
      return [{ ...least, source, generation: Math.max(...since.map((one) => one.generation)) }];
    });
  }
}
