/** Where a source goes on that was taken out of a stream: after the last of it that is stored, where that can be told. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { POSITION_HEADER, parseStreamName, storedSubject } from "../model/names.ts";
import { unlessGone } from "../nats/jetstream_errors.ts";
import { rewoundOf } from "./rollback/rewound.ts";
import { storedHeader } from "./stored_header.ts";

/** Header that the server gives a sourced message: `<stream>:<hashes> <sequence> <filter> <transform> <subject> <identity>` */
const SOURCE_HEADER = "Nats-Stream-Source";

/** A stream that holds what another one gave it. */
export interface Place {
  readonly manager: JetStreamManager;
  readonly stream: string;
}

/** What is looked for in it: events of one origin that came from `stream`. */
export interface SourceAsk {
  readonly origin: string;
  readonly tenant: string;
  readonly stream: string;
}

interface StoredEvent {
  /** Where it is. */
  readonly at: number;
  /** Its sequence in the stream that it came from; 0: it came from another one. */
  readonly sequence: number;
  /** Of the stream that it came from: another one when that was made anew. Empty: not known. */
  readonly identity: string;
  /** In the stream that it was published to. */
  readonly position: number | undefined;
}

/**
 * Sequence, in the stream that it came from, of the last message of an origin, 0 when there is none any more; and its position in
 * the stream that it was published to, whichever stream of the exporter it came from.
 */
export async function lastOfOrigin(
  manager: JetStreamManager,
  stream: string,
  ask: SourceAsk,
): Promise<{ readonly sequence: number; readonly position?: number | undefined }> {
  const last = await lastEvent({ manager, stream }, ask);
  return { sequence: last?.sequence ?? 0, position: last?.position };
}

/**
 * The sequence after which a source goes on; `null` where its own consumer knows better: nothing of it is stored, the stream was
 * made anew and counts from the begin, or events after the last one were erased, which must not come again.
 * @param identity asks what the stream is now that `asks` name
 */
export async function goOnAfter(
  places: readonly Place[],
  asks: readonly SourceAsk[],
  identity: () => Promise<string>,
): Promise<number | null> {
  const taken = await takenOf(places, asks);
  if (taken.type !== "stored") return null;
  return isSameStream(taken.identity, await identity()) ? taken.sequence : null;
}

/** Whether two identities may be of one stream; an empty one is not known. */
export function isSameStream(one: string, other: string): boolean {
  return one === "" || other === "" || one === other;
}

/** What is stored of a source. */
export type Taken =
  /** Up to this sequence of the stream with this identity. `position`: of the last event, see {@link lastOfOrigin}. */
  | ({ readonly type: "stored" } & Pick<StoredEvent, "sequence" | "identity" | "position">)
  /** Nothing, while the last event of its origins has this position: it came by another stream. `null`: there is none of them. */
  | { readonly type: "none"; readonly position: number | null }
  /** That does not tell: events after the last one were erased. */
  | { readonly type: "erased" };

/** How far a source has come by what is stored of it. */
export async function takenOf(places: readonly Place[], asks: readonly SourceAsk[]): Promise<Taken> {
  let last: StoredEvent | null = null;
  let position: number | null = null;
  for (const place of places) {
    const found = (await Promise.all(asks.map((ask) => lastEvent(place, ask)))).filter((one) => one !== null);
    const events = found.filter(({ sequence }) => sequence > 0);
    const at = Math.max(0, ...(events.length > 0 ? events : found).map((event) => event.at));
    if (await isErasedAfter(place, at)) return { type: "erased" };
    for (const event of events) if (event.sequence > (last?.sequence ?? 0)) last = event;
    for (const event of found) position = Math.max(position ?? 0, event.position ?? 0);
  }
  return last === null ? { type: "none", position } : { type: "stored", ...last };
}

/**
 * The sequence after which a source goes on in an older copy, where less may be stored than was acknowledged, 0: where its consumer
 * begins; `null`: where its consumer is, as what is stored does not tell.
 */
export async function goesOnInCopy(
  places: readonly Place[],
  asks: readonly SourceAsk[],
  taken: Taken,
): Promise<number | null> {
  if (taken.type === "stored") return taken.sequence;
  if (taken.type === "erased") return null;
  return taken.position !== null || (await neverHad(places, asks)) ? 0 : null;
}

/** Whether nothing of a source was ever stored: not where retention or somebody may have taken it. */
async function neverHad(places: readonly Place[], asks: readonly SourceAsk[]): Promise<boolean> {
  for (const place of places) {
    const info = await unlessGone(place.manager.streams.info(place.stream), null);
    if (info === null) continue;
    const { first_seq: first = 1 } = info.config as { readonly first_seq?: number };
    const { last_seq, messages } = info.state;
    if (messages !== Math.max(0, last_seq - Math.max(first, 1) + 1)) return false;
    for (const ask of asks) if (((await lastEvent(place, ask))?.sequence ?? 0) > 0) return false;
  }
  return true;
}

async function lastEvent({ manager, stream }: Place, ask: SourceAsk): Promise<StoredEvent | null> {
  const query = { last_by_subj: storedSubject(ask.origin, `${ask.tenant}.>`) };
  const message = await unlessGone(manager.streams.getMessage(stream, query), null);
  if (message === null) return null;
  const [source, sequence, , , , identity = ""] = storedHeader(message, SOURCE_HEADER).split(" ");
  const [from = ""] = source?.split(":") ?? [];
  const isOf = from === ask.stream;
  const found = { at: message.seq, identity };
  const { config } = await manager.streams.info(stream);
  const rewound = rewoundOf(config, { origin: ask.origin, stream: from });
  if (rewound !== null && message.seq <= rewound.at) {
    // It is of what the exporter has lost: nothing has come since.
    return { ...found, sequence: isOf ? rewound.after : 0, position: rewound.position };
  }
  // A view stamps each event with its position, whatever header an app has given it; on what crosses natively an app may have set one.
  const isStamped = parseStreamName(from)?.type === "view";
  const position = Number(isStamped ? storedHeader(message, POSITION_HEADER) : sequence);
  return {
    ...found,
    sequence: isOf ? Number(sequence) || 0 : 0,
    position: Number.isSafeInteger(position) && position > 0 ? position : undefined,
  };
}

/** Whether messages behind `sequence` were deleted. Retention takes the oldest: those do not count. */
async function isErasedAfter({ manager, stream }: Place, sequence: number): Promise<boolean> {
  const info = await unlessGone(manager.streams.info(stream), null);
  if (info === null) return false;
  const { first_seq, last_seq, messages } = info.state;
  if (messages === 0 || messages === last_seq - first_seq + 1) return false;
  const whole = await unlessGone(manager.streams.info(stream, { deleted_details: true }), null);
  return (whole?.state.deleted ?? []).some((deleted) => deleted > Math.max(sequence, first_seq));
}
