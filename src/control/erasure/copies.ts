/** Finds the copies of events in the streams of a site, and erases them: overwritten in the store, not only unlinked. */
import { createHash } from "node:crypto";
import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import type { ErasedCopy } from "../../model/erasure.ts";
import {
  accountHash,
  erasedPosition,
  POSITION_HEADER,
  REDRIVEN_HEADER,
  siteApiPrefix,
  VIEW_ERASED,
} from "../../model/names.ts";
import { isMessageNotFound, isStreamNotFound, unlessGone } from "../../nats/jetstream_errors.ts";
import type { NamedTurns } from "../turns.ts";

/** Header that the server gives a sourced message: `<stream>:<hash of the API's prefix>:… <sequence> …`. */
const SOURCE_HEADER = "Nats-Stream-Source";
const BATCH = 500;

/** Where messages are read and erased: MESH, or a tenant's account through its API. */
export interface Place {
  readonly jsm: JetStreamManager;
  readonly stream: string;
  /** Only the sidecar's own account answers reads of many messages at once. */
  readonly direct: boolean;
}

/** Reads the messages of a subject, oldest first. None when there is no such stream. */
export async function* readSubject(
  { jsm, stream, direct }: Place,
  filter: string,
): AsyncGenerator<StoredMsg> {
  let next = 1;
  let end: number;
  try {
    const { state } = await jsm.streams.info(stream);
    next = Math.max(1, state.first_seq);
    end = state.last_seq;
  } catch (error) {
    if (isStreamNotFound(error)) return;
    throw error;
  }
  while (next <= end) {
    let found = 0;
    for await (const message of direct
      ? batch(jsm, stream, filter, next)
      : single(jsm, stream, filter, next)) {
      found++;
      next = message.seq + 1;
      if (message.seq > end) return;
      yield message;
    }
    if (found === 0) return;
  }
}

async function* batch(
  jsm: JetStreamManager,
  stream: string,
  filter: string,
  seq: number,
): AsyncGenerator<StoredMsg> {
  try {
    const query = { seq, next_by_subj: filter, batch: BATCH };
    yield* await jsm.direct.getBatch(stream, query as { seq: number; batch: number });
  } catch (error) {
    if (!isMessageNotFound(error)) throw error;
  }
}

async function* single(
  jsm: JetStreamManager,
  stream: string,
  filter: string,
  seq: number,
): AsyncGenerator<StoredMsg> {
  const query = { seq, next_by_subj: filter } as { seq: number };
  const message = await unlessGone(jsm.streams.getMessage(stream, query), null);
  if (message !== null) yield message;
}

/** SHA-256 of a message id, hex: erasures keep no ids. */
export function idHash(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}

/** Says of a message whether it is a copy of one of these, by what it says itself in the stream that they are of. */
export function copyMatcher(
  copies: readonly ErasedCopy[],
): (stream: string, sequence: number, message: StoredMsg) => boolean {
  const sequences = new Set<string>();
  const positions = new Set<string>();
  const ids = new Map<string, Set<string>>();
  for (const { stream, by, sequence, ids: hashes } of copies) {
    (by === "sequence" ? sequences : positions).add(`${stream} ${sequence}`);
    if (by !== "position") continue;
    const known = ids.get(stream) ?? new Set();
    for (const hash of hashes) known.add(hash);
    ids.set(stream, known);
  }
  return (stream, sequence, message) => {
    if (sequences.has(`${stream} ${sequence}`)) return true;
    if (!message.header.has(POSITION_HEADER)) return false;
    // A dead letter that was decided again has the position of whatever came before it.
    if (message.header.has(REDRIVEN_HEADER)) {
      return ids.get(stream)?.has(idHash(message.header.get("Nats-Msg-Id"))) === true;
    }
    return positions.has(`${stream} ${message.header.get(POSITION_HEADER)}`);
  };
}

/** Where a sourced message comes from: the stream, its sequence there, and the hash of the site's API prefix. */
export function sourceOf(
  message: StoredMsg,
): { readonly stream: string; readonly sequence: number; readonly api: string } | null {
  const [names = "", sequence = ""] = message.header.get(SOURCE_HEADER).split(" ");
  const [stream = "", api = ""] = names.split(":");
  return stream === "" || !/^[1-9]\d*$/.test(sequence) ? null : { stream, sequence: Number(sequence), api };
}

/** The hash by which a sourced message names a peer. */
export const apiHash = (peer: string): string => accountHash(siteApiPrefix(peer));

/** Erases a message. @returns whether it was there */
export async function eraseMessage({ jsm, stream }: Place, sequence: number): Promise<boolean> {
  return await unlessGone(jsm.streams.deleteMessage(stream, sequence, true), false);
}

/**
 * Notes in a view how far its events had got, before one is erased: its last event says where the view stands, and that may
 * be the one that goes.
 */
export async function notePosition(
  { jsm, turns }: { readonly jsm: JetStreamManager; readonly turns: NamedTurns },
  view: string,
  message: StoredMsg,
): Promise<void> {
  await turns.take(view, () => writePosition(jsm, view, message));
}

async function writePosition(jsm: JetStreamManager, view: string, message: StoredMsg): Promise<void> {
  const { config } = await jsm.streams.info(view);
  const noted = erasedPosition(config.metadata);
  if (noted !== null && noted.sequence >= message.seq) return;
  const position = message.header.get(POSITION_HEADER);
  await jsm.streams.update(view, {
    ...config,
    metadata: { ...config.metadata, [VIEW_ERASED]: `${message.seq}:${position}:${message.time.getTime()}` },
  });
}
