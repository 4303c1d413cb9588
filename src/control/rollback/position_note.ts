/**
 * How far each stream of MESH was, noted beside the store every second: a store that is put back from an older copy has less
 * than the note says, and cannot know it by itself.
 */
import { join } from "node:path";
import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import { z } from "zod";
import { errorText, LeafmeshError } from "../../model/errors.ts";
import { parseStreamName } from "../../model/names.ts";
import { type MayChange, readTextFile, writeSecretFile } from "../../nats/files.ts";

const FILE = "positions.json";

const Noted = z.object({
  /** When the stream was made, as the server says it: another one of its name was made at another time. */
  created: z.string(),
  last: z.int().nonnegative(),
});
const Positions = z.object({
  /** When it was written, RFC 3339. */
  at: z.string(),
  streams: z.record(z.string(), Noted),
});
/** Streams by name, as they were. */
export type Positions = z.infer<typeof Positions>;

/** A stream that has less than was noted. */
export type Setback = {
  readonly stream: string;
  /** What the note says was there and is not: sequences, first and last. */
  readonly first: number;
  readonly last: number;
  /** When that was noted; what came after it is not known. */
  readonly at: string;
} & (
  | { readonly type: "rolled-back" }
  /** It is not there any more, or another one is. */
  | { readonly type: "made-anew" }
);

/** Reads the note; `null`: there is none. @throws {LeafmeshError} `data_folder_unusable` */
export async function readPositions(folder: string): Promise<Positions | null> {
  const path = join(folder, FILE);
  const text = await readTextFile(path);
  if (text === null) return null;
  try {
    return Positions.parse(JSON.parse(text));
  } catch (error) {
    throw new LeafmeshError(
      "data_folder_unusable",
      `${path} is not what was written there: ${errorText(error)}. Remove it to start without it: whether the store is an older copy is not known then`,
      { cause: error },
    );
  }
}

/** Replaces the note as a whole. @throws {LeafmeshError} `data_folder_unusable` */
export async function writePositions(
  folder: string,
  positions: Positions,
  mayChange?: MayChange,
): Promise<void> {
  await writeSecretFile(join(folder, FILE), `${JSON.stringify(positions)}\n`, "replace", mayChange);
}

/** What the streams are now. */
export async function positionsNow(mesh: JetStreamManager, now: Date): Promise<Positions> {
  const streams: Record<string, z.infer<typeof Noted>> = {};
  for await (const { config, created, state } of mesh.streams.list() as AsyncIterable<StreamInfo>) {
    if (parseStreamName(config.name) === null) continue;
    streams[config.name] = { created: String(created), last: state.last_seq };
  }
  return { at: now.toISOString(), streams };
}

/** What is missing of what was noted. Pure. */
export function setbacks(noted: Positions, now: Positions): Setback[] {
  return Object.entries(noted.streams).flatMap(([stream, before]): Setback[] => {
    const there = now.streams[stream];
    const common = { stream, last: before.last, at: noted.at };
    if (before.last === 0) return [];
    if (there === undefined || there.created !== before.created) {
      return [{ type: "made-anew", ...common, first: 1 }];
    }
    return there.last >= before.last ? [] : [{ type: "rolled-back", ...common, first: there.last + 1 }];
  });
}
