/** Takes a source back to a sequence, because the exporter says that what it gave us behind it was lost there. */
import type { JetStreamManager, StreamConfig, StreamSource } from "@nats-io/jetstream";
import { z } from "zod";
import { LeafmeshError } from "../../model/errors.ts";
import { inStream, mirrorStream, remoteStreams, siteApiPrefix, storedSubject } from "../../model/names.ts";
import { Name } from "../../model/schema/scalars.ts";
import { unlessGone } from "../../nats/jetstream_errors.ts";
import { importPosition } from "../import_position.ts";
import { observeMesh } from "../observe.ts";
import type { InRoute } from "../routes.ts";
import { lastOfOrigin } from "../source_position.ts";
import { detachedMetadata, detachedSources } from "../source_repair.ts";
import {
  type Rewound,
  rewoundAgain,
  rewoundMetadata,
  rewoundTransforms,
  type SourceName,
} from "./rewound.ts";
import type { RewoundNote } from "./rewound_note.ts";

/** What an exporter asks for. */
export const RewindAsk = z.strictObject({
  tenant: Name,
  origin: Name,
  stream: z.string().regex(/^[a-z0-9_-]{1,120}$/),
  /** How far we have said that we are: anything else, and nothing is done. */
  has: z.int().positive(),
  after: z.int().nonnegative(),
  /** Position of what `after` is the sequence of, in the stream that it was published to. */
  position: z.int().nonnegative().optional(),
});
export type RewindAsk = z.infer<typeof RewindAsk>;

/**
 * Takes the source out, and notes where it is to go on: the plan puts it in again there.
 * @throws {LeafmeshError} `request_invalid` when it is not where the exporter thinks, or cannot go back
 */
export async function rewindSource(
  { mesh, note }: { readonly mesh: JetStreamManager; readonly note: RewoundNote },
  imports: readonly InRoute[],
  peer: string,
  ask: RewindAsk,
): Promise<void> {
  const { tenant, origin, stream, has, after, position } = ask;
  const refuse = (why: string) => new LeafmeshError("request_invalid", `${stream} does not go back: ${why}`);
  if (after >= has) throw refuse(`${after} is not before ${has}`);
  const isRoute = (one: InRoute) => one.peer === peer && one.tenant.name === tenant && one.origin === origin;
  // Sources are known by their origin: that of another peer's events is not this one's to name.
  if (!imports.some(isRoute)) throw refuse(`events of ${origin} are not imported from ${peer}`);
  const streams = await observeMesh(mesh);
  const mirror = mirrorStream(tenant, peer);
  if (streams.get(mirror)?.info.config.mirror?.name === stream) {
    throw refuse(`it is mirrored in ${mirror}, which keeps what the exporter has lost`);
  }
  const { sequence } = await importPosition(mesh, streams, imports, { peer, tenant, stream });
  if (sequence !== has) throw refuse(`${sequence} are stored of it, not ${has}`);
  const source = { origin, stream };
  const isIt = (one: StreamSource) =>
    one.external?.api === siteApiPrefix(peer) && isSourceOf(one, tenant, source);
  for (const live of [true, false]) {
    const info = streams.get(inStream(tenant, live))?.info;
    if (info === undefined) continue;
    const { config, state } = info;
    const rewound = rewoundAgain(config, source, { at: state.last_seq, after, position });
    await note.put(info, source, rewound);
    await mesh.streams.update(config.name, takenBack(config, isIt, source, rewound));
  }
}

/**
 * Tells the sources of an older copy of a stream what they were told after it was taken. All that the copy has of them is of before.
 * @returns how many
 */
export async function recallRewinds(
  mesh: JetStreamManager,
  note: RewoundNote,
  tenants: readonly string[],
): Promise<number> {
  let recalled = 0;
  for (const tenant of tenants) {
    for (const name of remoteStreams(tenant)) {
      const first = await unlessGone(mesh.streams.info(name), null);
      if (first === null) continue;
      for (const { source, generation, after, position } of note.forgotten(first)) {
        const { config, state } = await mesh.streams.info(name);
        const stored = await lastOfOrigin(mesh, name, { ...source, tenant });
        const least =
          stored.sequence > 0 && stored.sequence < after
            ? { after: stored.sequence, position: stored.position }
            : { after, position };
        const rewound = { generation, at: state.last_seq, ...least };
        const isIt = (one: StreamSource) => isSourceOf(one, tenant, source);
        await mesh.streams.update(name, takenBack(config, isIt, source, rewound));
        recalled++;
      }
    }
  }
  return recalled;
}

/** Whether a source gives the events of an origin that are in a stream of its exporter. */
function isSourceOf({ name, subject_transforms }: StreamSource, tenant: string, of: SourceName): boolean {
  const prefix = `${storedSubject(of.origin, tenant)}.>`;
  return name === of.stream && subject_transforms?.some(({ dest }) => dest === prefix) === true;
}

/** The stream with a source taken out, which is put in again as one that goes on elsewhere. */
function takenBack(
  config: StreamConfig,
  isIt: (source: StreamSource) => boolean,
  name: SourceName,
  rewound: Rewound,
): StreamConfig {
  const noted = rewoundMetadata(config, name, rewound);
  const [there, out] = [config.sources ?? [], detachedSources(config)];
  const again = [...there, ...out].filter(isIt).map((source) => renewed(source, rewound));
  return {
    ...config,
    sources: there.filter((source) => !isIt(source)),
    metadata: {
      ...config.metadata,
      ...detachedMetadata([...out.filter((source) => !isIt(source)), ...again]),
      ...noted,
    },
  };
}

/** The source as one that nats-server knows nothing of. */
function renewed(source: StreamSource, rewound: Rewound): StreamSource {
  const [first] = source.subject_transforms ?? [];
  const own = first === undefined ? [] : [first];
  return { ...source, subject_transforms: [...own, ...rewoundTransforms(rewound)] };
}
