/** Reads and removes a tenant's dead letters: events that no policy could decide, kept at their own site. */
import type { JetStreamManager, StoredMsg } from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import type { QuarantineReason } from "../model/event.ts";
import { DLQ_HEADERS, dlqStream, dlqSubject, tenantSubjectOf, tenantSubjects } from "../model/names.ts";
import { patternProblem } from "../model/subject.ts";
import { isStreamNotFound, unlessGone } from "../nats/jetstream_errors.ts";
import type { RedriveLetter, Redriven } from "./redrive_queue.ts";

export interface DeadLetter {
  /** Its sequence in the dead-letter stream: its name in the API. */
  readonly sequence: number;
  /** When it was put aside, ISO 8601. */
  readonly time: string;
  /** The event's subject, as the tenant's apps see it. */
  readonly subject: string;
  readonly origin: string;
  /** The event's sequence in the stream that the policy reads. */
  readonly position: number;
  readonly policy: string;
  readonly version: string;
  readonly rule: string;
  readonly reason: QuarantineReason;
  readonly error: string;
  /** Whether only a part of the event is here: it was too large for a dead letter. */
  readonly truncated: boolean;
  /** The event's raw header block; empty when it had none. */
  readonly headers: Uint8Array;
  /** Bytes of the payload that is kept. */
  readonly sizeBytes: number;
}

/** A dead letter with the event itself. */
export interface DeadLetterDetail extends Omit<DeadLetter, "sizeBytes"> {
  readonly data: Uint8Array;
  /** When the origin stored the event, milliseconds since 1970. */
  readonly eventTimeMs: number;
  /** Life of the stream that `position` is of. */
  readonly epoch: string;
}

/** Which dead letters; all that is given must hold. */
export interface DeadLetterFilter {
  readonly reason?: QuarantineReason;
  /** Name of the rule that could not decide the event. */
  readonly rule?: string;
  /** Name of the export policy. */
  readonly policy?: string;
  /** Pattern of the events' subjects, for example `acme.orders.>`. */
  readonly subject?: string;
  /** Only those that were put aside at this time or later, milliseconds since 1970. */
  readonly sinceMs?: number;
}

export interface DeadLetterQuery extends DeadLetterFilter {
  /** Sequence after which to read on: `next` of the page before. Default 0. */
  readonly after?: number;
  /** Letters of a page. Default 50, at most 1000. */
  readonly limit?: number;
}

export interface DeadLetterPage {
  readonly letters: readonly DeadLetter[];
  /** Pass as `after` to read on; `null` at the end. A page may hold fewer than `limit`, even none, and go on. */
  readonly next: number | null;
}

const MOST_LETTERS = 1_000;
/** Letters looked at for one page when a filter passes few. */
const MOST_SCANNED = 2_000;

/**
 * One page of a tenant's dead letters, oldest first.
 * @throws LeafmeshError `request_invalid` for a subject that is no pattern, `not_found` when the tenant has no stream of them
 */
export async function listDeadLetters(
  jsm: JetStreamManager,
  tenant: string,
  query: DeadLetterQuery = {},
): Promise<DeadLetterPage> {
  const limit = Math.min(Math.max(1, query.limit ?? 50), MOST_LETTERS);
  const letters: DeadLetter[] = [];
  let after = Math.max(0, query.after ?? 0);
  for (let scanned = 0; scanned < MOST_SCANNED && letters.length < limit; scanned++) {
    const letter = await nextDeadLetter(jsm, tenant, after, query);
    if (letter === null) return { letters, next: null };
    after = letter.sequence;
    if (matches(letter, query)) letters.push(summary(letter));
  }
  return { letters, next: after };
}

/**
 * The dead letters of a filter with their events, oldest first, up to sequence `upTo`: one at a time, each as it is when it
 * is asked for.
 * @throws LeafmeshError as {@link listDeadLetters}
 */
export async function* readDeadLetters(
  jsm: JetStreamManager,
  tenant: string,
  filter: DeadLetterFilter,
  upTo: number,
): AsyncGenerator<DeadLetterDetail> {
  for (let after = 0; after < upTo; ) {
    const letter = await nextDeadLetter(jsm, tenant, after, filter);
    if (letter === null || letter.sequence > upTo) return;
    after = letter.sequence;
    if (matches(letter, filter)) yield letter;
  }
}

/** The first dead letter after a sequence of the filter's subject. */
async function nextDeadLetter(
  jsm: JetStreamManager,
  tenant: string,
  after: number,
  filter: DeadLetterFilter,
): Promise<DeadLetterDetail | null> {
  const pattern = filter.subject ?? tenantSubjects(tenant);
  const problem = patternProblem(pattern);
  if (problem !== null) {
    throw new LeafmeshError("request_invalid", `Subject '${pattern}' ${problem}`);
  }
  const message = await read(jsm, tenant, { seq: after + 1, next_by_subj: dlqSubject(pattern) });
  return message === null ? null : decodeDeadLetter(message);
}

function matches(letter: DeadLetterDetail, filter: DeadLetterFilter): boolean {
  return (
    (filter.reason === undefined || letter.reason === filter.reason) &&
    (filter.rule === undefined || letter.rule === filter.rule) &&
    (filter.policy === undefined || letter.policy === filter.policy) &&
    (filter.sinceMs === undefined || Date.parse(letter.time) >= filter.sinceMs)
  );
}

/** Sequence of a tenant's last dead letter; 0 when there has never been one. */
export async function lastDeadLetter(jsm: JetStreamManager, tenant: string): Promise<number> {
  try {
    return (await jsm.streams.info(dlqStream(tenant))).state.last_seq;
  } catch (error) {
    if (isStreamNotFound(error)) return 0;
    throw error;
  }
}

/**
 * One dead letter with its event.
 * @throws LeafmeshError `not_found` when there is none of this sequence
 */
export async function getDeadLetter(
  jsm: JetStreamManager,
  tenant: string,
  sequence: number,
): Promise<DeadLetterDetail> {
  const message = await read(jsm, tenant, { seq: sequence });
  if (message === null) {
    throw new LeafmeshError("not_found", `Tenant '${tenant}' has no dead letter ${sequence}`);
  }
  return decodeDeadLetter(message);
}

/** Removes a dead letter, its bytes too. @returns whether it was there */
export async function removeDeadLetter(
  jsm: JetStreamManager,
  tenant: string,
  sequence: number,
): Promise<boolean> {
  return await unlessGone(jsm.streams.deleteMessage(dlqStream(tenant), sequence), false);
}

/** Removes the dead letters of a filter, up to those that are there now. @returns how many */
export async function removeDeadLetters(
  jsm: JetStreamManager,
  tenant: string,
  filter: DeadLetterFilter,
  options: { readonly dryRun: boolean },
): Promise<number> {
  let count = 0;
  for await (const letter of readDeadLetters(jsm, tenant, filter, await lastDeadLetter(jsm, tenant))) {
    if (options.dryRun || (await removeDeadLetter(jsm, tenant, letter.sequence))) count++;
  }
  return count;
}

/** Reads a dead letter to decide it again. */
export async function readRedriveLetter(
  jsm: JetStreamManager,
  tenant: string,
  sequence: number,
): Promise<
  | { readonly type: "whole"; readonly letter: RedriveLetter }
  | Extract<Redriven, { readonly type: "kept" | "gone" }>
> {
  const message = await read(jsm, tenant, { seq: sequence });
  if (message === null) return { type: "gone" };
  const letter = decodeDeadLetter(message);
  const error = incomplete(tenant, letter);
  if (error !== null) return { type: "kept", reason: "incomplete", error };
  const { subject, headers, data, origin, position, epoch, eventTimeMs } = letter;
  const event = { subject, headers, data, origin, timeMs: eventTimeMs, sequence: position };
  return { type: "whole", letter: { letter: sequence, event, epoch } };
}

/** Why the event of a dead letter is not as the policy saw it; `null` when it is. */
function incomplete(tenant: string, letter: DeadLetterDetail): string | null {
  if (letter.truncated) return "Only a part of the event is kept: it was too large for a dead letter";
  // What was no UTF-8 reads as U+FFFD: it would go out under another subject than it came with.
  const problem = patternProblem(letter.subject, { wildcards: false });
  if (problem !== null || letter.subject.includes("\ufffd") || !letter.subject.startsWith(`${tenant}.`)) {
    return "The event's subject is not kept as it was";
  }
  if (letter.origin === "" || letter.position < 1 || letter.epoch === "") {
    return "The dead letter does not say which event it is";
  }
  return null;
}

type Where = { readonly seq: number } | { readonly seq: number; readonly next_by_subj: string };

async function read(jsm: JetStreamManager, tenant: string, where: Where): Promise<StoredMsg | null> {
  try {
    return await jsm.streams.getMessage(dlqStream(tenant), where);
  } catch (error) {
    if (isStreamNotFound(error)) {
      throw new LeafmeshError("not_found", `Tenant '${tenant}' has no dead letters`, { cause: error });
    }
    throw error;
  }
}

function decodeDeadLetter(message: StoredMsg): DeadLetterDetail {
  const header = (name: string) => message.header.get(name);
  const encoded = header(DLQ_HEADERS.headers);
  const timeMs = Number.parseInt(header(DLQ_HEADERS.time), 10);
  return {
    sequence: message.seq,
    time: message.time.toISOString(),
    subject: header(DLQ_HEADERS.subject) || tenantSubjectOf(message.subject),
    origin: header(DLQ_HEADERS.origin),
    position: Number.parseInt(header(DLQ_HEADERS.position), 10) || 0,
    policy: header(DLQ_HEADERS.policy),
    version: header(DLQ_HEADERS.version),
    rule: header(DLQ_HEADERS.rule),
    reason: header(DLQ_HEADERS.reason) as QuarantineReason,
    error: header(DLQ_HEADERS.error),
    truncated: header(DLQ_HEADERS.truncated) !== "",
    headers: new Uint8Array(Buffer.from(encoded, "base64")),
    data: message.data,
    eventTimeMs: Number.isSafeInteger(timeMs) ? timeMs : message.time.getTime(),
    // Those of before 0.2 have it in their id alone: `<policy>:<epoch>:<position>`.
    epoch: header(DLQ_HEADERS.epoch) || (header("Nats-Msg-Id").split(":").at(-2) ?? ""),
  };
}

function summary(letter: DeadLetterDetail): DeadLetter {
  const { data, eventTimeMs: _time, epoch: _epoch, ...rest } = letter;
  return { ...rest, sizeBytes: data.length };
}
