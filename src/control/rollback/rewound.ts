/**
 * Sources that an exporter has told to go back: its store is an older copy, and the sequences behind its end are used again.
 * nats-server knows how far it was by the headers of what is stored, under a name that the source's transforms are part of:
 * a source with another transform, which nothing matches, is one that it knows nothing of, and it goes on where the
 * exporter's consumer says. Source: nats-server `server/stream.go`, composeIName and startingSequenceForSources.
 */
import type { StreamConfig, StreamSource } from "@nats-io/jetstream";
import { z } from "zod";

/** Metadata of a stream of remote events: {@link Rewound} of each of its sources that were told to go back, as JSON. */
export const REWOUND = "leafmesh-rewound";

const Rewound = z.object({
  /** How often. */
  generation: z.int().positive(),
  /** Last sequence of the stream of remote events then: what is behind it came later. */
  at: z.int().nonnegative(),
  /** The sequence of the exporter's stream that it goes on after. */
  after: z.int().nonnegative(),
});
export type Rewound = z.infer<typeof Rewound>;
const All = z.record(z.string(), Rewound);

/** A source by what its events are told by. */
export interface SourceName {
  readonly origin: string;
  /** The exporter's stream. */
  readonly stream: string;
}

const keyOf = ({ origin, stream }: SourceName): string => `${origin} ${stream}`;

/** How a source of a stream was told to go back last; `null`: never. */
export function rewoundOf({ metadata }: Pick<StreamConfig, "metadata">, source: SourceName): Rewound | null {
  return read(metadata)[keyOf(source)] ?? null;
}

/** The metadata that says that a source was told to go back once more. */
export function rewoundMetadata(
  { metadata }: Pick<StreamConfig, "metadata">,
  source: SourceName,
  to: Pick<Rewound, "at" | "after">,
): Record<string, string> {
  const all = read(metadata);
  const generation = (all[keyOf(source)]?.generation ?? 0) + 1;
  return { [REWOUND]: JSON.stringify({ ...all, [keyOf(source)]: { generation, ...to } }) };
}

/** What tells a source from the one before it went back. Nothing matches it: stored subjects have three tokens and more. */
export function rewoundTransforms(rewound: Rewound | null): NonNullable<StreamSource["subject_transforms"]> {
  return rewound === null
    ? []
    : [{ src: `rewound.${rewound.generation}`, dest: `_rewound.${rewound.generation}` }];
}

function read(metadata: StreamConfig["metadata"]): Record<string, Rewound> {
  const text = metadata?.[REWOUND] ?? "";
  return text === "" ? {} : All.parse(JSON.parse(text));
}
