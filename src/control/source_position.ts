/** Where a source goes on that was taken out of a stream: after the last of it that is stored, where that can be told. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { storedSubject } from "../model/names.ts";
import { isGone, isMessageNotFound } from "./observe.ts";
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
}

/** Sequence, in the stream that it came from, of the last message of an origin; 0 when there is none any more. */
export async function lastOfOrigin(
  manager: JetStreamManager,
  stream: string,
  ask: SourceAsk,
): Promise<number> {
  return (await lastEvent({ manager, stream }, ask))?.sequence ?? 0;
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
  let last: StoredEvent | null = null;
  for (const place of places) {
    const found = await Promise.all(asks.map((ask) => lastEvent(place, ask)));
    const events = found.filter((event) => event !== null && event.sequence > 0) as StoredEvent[];
    if (await isErasedAfter(place, Math.max(0, ...events.map(({ at }) => at)))) return null;
    for (const event of events) if (event.sequence > (last?.sequence ?? 0)) last = event;
  }
  if (last === null) return null;
  const now = await identity();
  return last.identity !== "" && now !== "" && last.identity !== now ? null : last.sequence;
}

async function lastEvent({ manager, stream }: Place, ask: SourceAsk): Promise<StoredEvent | null> {
  try {
    const message = await manager.streams.getMessage(stream, {
      last_by_subj: storedSubject(ask.origin, `${ask.tenant}.>`),
    });
    if (message === null) return null;
    const [source, sequence, , , , identity = ""] = storedHeader(message, SOURCE_HEADER).split(" ");
    const isOf = source?.split(":")[0] === ask.stream;
    return { at: message.seq, sequence: isOf ? Number(sequence) || 0 : 0, identity };
  } catch (error) {
    if (isMessageNotFound(error) || isGone(error)) return null;
    throw error;
  }
}

/** Whether messages behind `sequence` were deleted. Retention takes the oldest: those do not count. */
async function isErasedAfter({ manager, stream }: Place, sequence: number): Promise<boolean> {
  try {
    const { state } = await manager.streams.info(stream);
    const { first_seq, last_seq, messages } = state;
    if (messages === 0 || messages === last_seq - first_seq + 1) return false;
    const { state: whole } = await manager.streams.info(stream, { deleted_details: true });
    return (whole.deleted ?? []).some((deleted) => deleted > Math.max(sequence, first_seq));
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}
