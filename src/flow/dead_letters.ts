/** Reads a tenant's dead letters: events that no policy could decide, kept at their own site. */
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  type StoredMsg,
} from "@nats-io/jetstream";
import { LeafmeshError } from "../model/errors.ts";
import type { QuarantineReason } from "../model/event.ts";
import { DLQ_HEADERS, dlqStream, dlqSubject, tenantSubjectOf, tenantSubjects } from "../model/names.ts";
import { patternProblem } from "../model/subject.ts";

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
}

export interface DeadLetterQuery {
  /** Sequence after which to read on: `next` of the page before. Default 0. */
  readonly after?: number;
  /** Letters of a page. Default 50, at most 500. */
  readonly limit?: number;
  readonly reason?: QuarantineReason;
  /** Pattern of the events' subjects, for example `acme.orders.>`. */
  readonly subject?: string;
}

export interface DeadLetterPage {
  readonly letters: readonly DeadLetter[];
  /** Pass as `after` to read on; `null` at the end. A page may hold fewer than `limit`, even none, and go on. */
  readonly next: number | null;
}

const MOST_LETTERS = 500;
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
  const pattern = query.subject ?? tenantSubjects(tenant);
  const problem = patternProblem(pattern);
  if (problem !== null) {
    throw new LeafmeshError("request_invalid", `Subject '${pattern}' ${problem}`);
  }
  const letters: DeadLetter[] = [];
  let after = Math.max(0, query.after ?? 0);
  for (let scanned = 0; scanned < MOST_SCANNED && letters.length < limit; scanned++) {
    const message = await read(jsm, tenant, { seq: after + 1, next_by_subj: dlqSubject(pattern) });
    if (message === null) return { letters, next: null };
    after = message.seq;
    const letter = decodeDeadLetter(message);
    if (query.reason === undefined || letter.reason === query.reason) letters.push(summary(letter));
  }
  return { letters, next: after };
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

type Where = { readonly seq: number } | { readonly seq: number; readonly next_by_subj: string };

async function read(jsm: JetStreamManager, tenant: string, where: Where): Promise<StoredMsg | null> {
  try {
    return await jsm.streams.getMessage(dlqStream(tenant), where);
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) {
      throw new LeafmeshError("not_found", `Tenant '${tenant}' has no dead letters`, { cause: error });
    }
    throw error;
  }
}

function decodeDeadLetter(message: StoredMsg): DeadLetterDetail {
  const header = (name: string) => message.header.get(name);
  const encoded = header(DLQ_HEADERS.headers);
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
  };
}

function summary(letter: DeadLetterDetail): DeadLetter {
  const { data, ...rest } = letter;
  return { ...rest, sizeBytes: data.length };
}
