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
  /** The position of that in the stream that it was published to; not there: not known. */
  position: z.int().nonnegative().optional(),
});
export type Rewound = z.infer<typeof Rewound>;
const All = z.record(z.string(), Rewound);

/** A source by what its events are told by. */
export interface SourceName {
  readonly origin: string;
  /** The exporter's stream. */
  readonly stream: string;
}

/** How a source is named where there are several. */
export const rewoundKey = ({ origin, stream }: SourceName): string => `${origin} ${stream}`;

/** The source of a {@link rewoundKey}. */
export function sourceOfKey(key: string): SourceName {
  const [origin = "", stream = ""] = key.split(" ");
  return { origin, stream };
}

/** How a source of a stream was told to go back last; `null`: never. */
export function rewoundOf({ metadata }: Pick<StreamConfig, "metadata">, source: SourceName): Rewound | null {
  return read(metadata)[rewoundKey(source)] ?? null;
}

/** How a source is that is told to go back once more. */
export function rewoundAgain(
  { metadata }: Pick<StreamConfig, "metadata">,
  source: SourceName,
  to: Omit<Rewound, "generation">,
): Rewound {
  return { generation: (read(metadata)[rewoundKey(source)]?.generation ?? 0) + 1, ...to };
}

/** The metadata that says how a source was told to go back last. */
export function rewoundMetadata(
  { metadata }: Pick<StreamConfig, "metadata">,
  source: SourceName,
  rewound: Rewound,
): Record<string, string> {
  return { [REWOUND]: JSON.stringify({ ...read(metadata), [rewoundKey(source)]: rewound }) };
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
