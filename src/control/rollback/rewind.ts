/** Takes a source back to a sequence, because the exporter says that what it gave us behind it was lost there. */
import type { JetStreamManager, StreamSource } from "@nats-io/jetstream";
import { z } from "zod";
import { LeafmeshError } from "../../model/errors.ts";
import { inStream, mirrorStream, siteApiPrefix, storedSubject } from "../../model/names.ts";
import { Name } from "../../model/schema/scalars.ts";
import { importPosition } from "../import_position.ts";
import { observeMesh } from "../observe.ts";
import type { InRoute } from "../routes.ts";
import { detachedMetadata, detachedSources } from "../source_repair.ts";
import { rewoundMetadata, rewoundOf, rewoundTransforms, type SourceName } from "./rewound.ts";

/** What an exporter asks for. */
export const RewindAsk = z.strictObject({
  tenant: Name,
  origin: Name,
  stream: z.string().regex(/^[a-z0-9_-]{1,120}$/),
  /** How far we have said that we are: anything else, and nothing is done. */
  has: z.int().positive(),
  after: z.int().nonnegative(),
});
export type RewindAsk = z.infer<typeof RewindAsk>;

/**
 * Takes the source out, and notes where it is to go on: the plan puts it in again there.
 * @throws {LeafmeshError} `request_invalid` when it is not where the exporter thinks, or cannot go back
 */
export async function rewindSource(
  mesh: JetStreamManager,
  imports: readonly InRoute[],
  peer: string,
  ask: RewindAsk,
): Promise<void> {
  const { tenant, origin, stream, has, after } = ask;
  const refuse = (why: string) => new LeafmeshError("request_invalid", `${stream} does not go back: ${why}`);
  if (after >= has) throw refuse(`${after} is not before ${has}`);
  const streams = await observeMesh(mesh);
  const mirror = mirrorStream(tenant, peer);
  if (streams.get(mirror)?.info.config.mirror?.name === stream) {
    throw refuse(`it is mirrored in ${mirror}, which keeps what the exporter has lost`);
  }
  const { sequence } = await importPosition(mesh, streams, imports, { peer, tenant, stream });
  if (sequence !== has) throw refuse(`${sequence} are stored of it, not ${has}`);
  const prefix = `${storedSubject(origin, tenant)}.>`;
  for (const live of [true, false]) {
    const info = streams.get(inStream(tenant, live))?.info;
    if (info === undefined) continue;
    const { config, state } = info;
    const isIt = (source: StreamSource) =>
      source.external?.api === siteApiPrefix(peer) &&
      source.name === stream &&
      source.subject_transforms?.some(({ dest }) => dest === prefix) === true;
    const [there, out] = [config.sources ?? [], detachedSources(config)];
    const noted = rewoundMetadata(config, { origin, stream }, { at: state.last_seq, after });
    const again = [...there, ...out].filter(isIt).map((source) => renewed(source, noted, { origin, stream }));
    await mesh.streams.update(config.name, {
      ...config,
      sources: there.filter((source) => !isIt(source)),
      metadata: {
        ...config.metadata,
        ...detachedMetadata([...out.filter((source) => !isIt(source)), ...again]),
        ...noted,
      },
    });
  }
}

/** The source as one that nats-server knows nothing of. */
function renewed(
  source: StreamSource,
  metadata: Readonly<Record<string, string>>,
  name: SourceName,
): StreamSource {
  const [first] = source.subject_transforms ?? [];
  const own = first === undefined ? [] : [first];
  return { ...source, subject_transforms: [...own, ...rewoundTransforms(rewoundOf({ metadata }, name))] };
}
