/** What JetStream says when something is not there, or is another than expected: by its codes, never by its words where it has one. */
import { JetStreamApiCodes, JetStreamError } from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";

/** A sequence that a delete names. Source: nats-server `server/errors.json`, as the next one. */
const SEQUENCE_NOT_FOUND = 10043;
/** Any failure of a delete: what it was is in its words alone. */
const DELETE_FAILED = 10057;
/** The words of a store that has no such message. Source: nats-server `server/store.go`. */
const NOT_STORED: ReadonlySet<string> = new Set(["no message found", "stream store EOF"]);
/** Status of a direct get that finds nothing. */
const NOT_FOUND_STATUS = 404;

function apiCode(error: unknown): number | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "number" ? error.code : null;
}

/** Whether JetStream says that a stream does not exist. */
export function isStreamNotFound(error: unknown): boolean {
  return apiCode(error) === JetStreamApiCodes.StreamNotFound;
}

/** Whether nobody was there to hear a request. */
export function isNoResponders(error: unknown): boolean {
  return (
    error instanceof errors.NoRespondersError ||
    (error instanceof errors.RequestError && error.isNoResponders())
  );
}

/** Whether no JetStream was there to hear a request: what its client says of that depends on how it has asked. */
export function isUnheard(error: unknown): boolean {
  return isNoResponders(error) || (error instanceof Error && error.name === "JetStreamNotEnabled");
}

/** Whether there is no JetStream that could answer, or no such stream: nothing is kept there. */
export function isUnserved(error: unknown): boolean {
  return isStreamNotFound(error) || isUnheard(error);
}

/** Whether JetStream says that a stream or consumer does not exist: fine for a delete. */
export function isGone(error: unknown): boolean {
  const code = apiCode(error);
  return code === JetStreamApiCodes.StreamNotFound || code === JetStreamApiCodes.ConsumerNotFound;
}

/** Whether JetStream says that the last sequence is another than the one that was expected. */
export function isWrongSequence(error: unknown): boolean {
  return apiCode(error) === JetStreamApiCodes.StreamWrongLastSequence;
}

/** Whether JetStream says that a message does not exist, asked for it in whatever way, also to delete it. */
export function isMessageNotFound(error: unknown): boolean {
  const code = apiCode(error);
  if (code === DELETE_FAILED) return error instanceof Error && NOT_STORED.has(error.message);
  return (
    code === JetStreamApiCodes.NoMessageFound ||
    code === SEQUENCE_NOT_FOUND ||
    (error instanceof JetStreamError && code === NOT_FOUND_STATUS)
  );
}

/** What is asked for, or `otherwise` where its stream, consumer or message does not exist. Other errors are thrown. */
export async function unlessGone<T, U>(asked: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await asked;
  } catch (error) {
    if (isGone(error) || isMessageNotFound(error)) return otherwise;
    throw error;
  }
}
