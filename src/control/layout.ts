/**
 * The version of how a site keeps its state and events: names and fields of streams, keys of the state bucket, files of the data
 * folder. It stands in the metadata of the state bucket, of every stream, and beside what is remembered in the data folder. What an
 * older version has left is migrated step by step at the start; what a newer one has left is refused before anything is touched.
 */
import type { JetStreamManager, StreamInfo } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import { parseStreamName, STATE_STREAM } from "../model/names.ts";
import { isGone } from "../nats/jetstream_errors.ts";

/** The layout that this version writes and reads. */
export const LAYOUT = 1;
/** Metadata of a stream: the layout that it was made or migrated by. None: that of before there was one, 0. */
export const LAYOUT_METADATA = "leafmesh-layout";

/** What a migration works on. */
export interface MigrationContext {
  readonly mesh: JetStreamManager;
}

/** Takes a site from one layout to the next. It may be cut short anywhere, and is then done again from its begin. */
export interface Migration {
  /** It leads to the next number. */
  readonly from: number;
  /** For the log. */
  readonly what: string;
  readonly run: (context: MigrationContext) => Promise<void>;
}

/** One row for each step between two layouts. */
export const MIGRATIONS: readonly Migration[] = [
  { from: 0, what: "streams say by which layout they are kept", run: ({ mesh }) => stampStreams(mesh, 1) },
];

/** The metadata that a new stream gets. */
export function layoutMetadata(): Record<string, string> {
  return { [LAYOUT_METADATA]: String(LAYOUT) };
}

/** @throws {LeafmeshError} `layout_newer` */
export function requireKnownLayout(where: string, layout: number, known = LAYOUT): void {
  if (layout <= known) return;
  throw new LeafmeshError(
    "layout_newer",
    `${where} was written by a newer version of Leafmesh: its layout is ${layout}, this version knows up to ${known}. Start that version again, or a newer one; nothing of it was changed`,
  );
}

/**
 * Migrates what an older version has left, one step after the other; each is noted in the state bucket when it is done.
 * @param fresh there was no state before: nothing is to migrate
 * @throws {LeafmeshError} `layout_newer` before anything is changed
 */
export async function migrateLayout(options: {
  readonly mesh: JetStreamManager;
  readonly fresh: boolean;
  readonly log: (message: string) => void;
  /** Default: those of this version. */
  readonly migrations?: readonly Migration[];
  readonly known?: number;
}): Promise<void> {
  const { mesh, log, migrations = MIGRATIONS, known = LAYOUT } = options;
  for await (const info of mesh.streams.list()) {
    const { name } = info.config;
    if (name !== STATE_STREAM && parseStreamName(name) === null) continue;
    requireKnownLayout(`The stream ${name}`, layoutOf(info), known);
  }
  const bucket = await mesh.streams.info(STATE_STREAM);
  let layout = options.fresh ? known : layoutOf(bucket);
  if (options.fresh && layoutOf(bucket) !== known) await stamp(mesh, STATE_STREAM, known);
  while (layout < known) {
    const step = migrations.find(({ from }) => from === layout);
    if (step === undefined) throw new LeafmeshError("internal", `Nothing migrates layout ${layout}`);
    log(`layout ${layout} becomes ${layout + 1}: ${step.what}`);
    await step.run({ mesh });
    layout++;
    await stamp(mesh, STATE_STREAM, layout);
  }
}

function layoutOf({ config }: StreamInfo): number {
  const text = config.metadata?.[LAYOUT_METADATA];
  if (text === undefined) return 0;
  const layout = Number(text);
  // What this version cannot read is not of its making.
  return Number.isSafeInteger(layout) && layout >= 0 ? layout : Number.POSITIVE_INFINITY;
}

async function stampStreams(mesh: JetStreamManager, layout: number): Promise<void> {
  const names: string[] = [];
  for await (const { config } of mesh.streams.list()) {
    if (parseStreamName(config.name) !== null) names.push(config.name);
  }
  for (const name of names) await stamp(mesh, name, layout);
}

async function stamp(mesh: JetStreamManager, stream: string, layout: number): Promise<void> {
  try {
    const { config } = await mesh.streams.info(stream);
    const metadata = { ...config.metadata, [LAYOUT_METADATA]: String(layout) };
    await mesh.streams.update(stream, { ...config, metadata });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}
