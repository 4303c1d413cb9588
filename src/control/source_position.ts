/** Where a source goes on that was taken out of a stream: after the last of it that is stored, where that can be told. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { POSITION_HEADER, storedSubject } from "../model/names.ts";
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
  const last = await lastTaken(places, asks);
  if (last === null) return null;
  return isSameStream(last.identity, await identity()) ? last.sequence : null;
}

/** Whether two identities may be of one stream; an empty one is not known. */
export function isSameStream(one: string, other: string): boolean {
  return one === "" || other === "" || one === other;
}

/**
 * The sequence after which a source goes on by what is stored of it, and of which stream it is; `null` where that does not tell: nothing
 * of it is stored, or events after the last one were erased.
 */
export async function lastTaken(
  places: readonly Place[],
  asks: readonly SourceAsk[],
): Promise<{ readonly sequence: number; readonly identity: string } | null> {
  let last: StoredEvent | null = null;
  for (const place of places) {
    const found = await Promise.all(asks.map((ask) => lastEvent(place, ask)));
    const events = found.filter((event) => event !== null && event.sequence > 0) as StoredEvent[];
    if (await isErasedAfter(place, Math.max(0, ...events.map(({ at }) => at)))) return null;
    for (const event of events) if (event.sequence > (last?.sequence ?? 0)) last = event;
  }
  return last;
}

/** Whether nothing of a source was ever stored: not where retention or somebody may have taken it. */
export async function neverHad(places: readonly Place[], asks: readonly SourceAsk[]): Promise<boolean> {
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
  const isOf = source?.split(":")[0] === ask.stream;
  // A view's event carries its position.
  const position = Number(storedHeader(message, POSITION_HEADER)) || Number(sequence) || undefined;
  const found = { at: message.seq, identity, position };
  if (!isOf) return { ...found, sequence: 0 };
  const rewound = rewoundOf((await manager.streams.info(stream)).config, ask);
  // It is of what the exporter has lost: nothing has come since.
  if (rewound !== null && message.seq <= rewound.at) return { ...found, sequence: rewound.after };
  return { ...found, sequence: Number(sequence) || 0 };
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
