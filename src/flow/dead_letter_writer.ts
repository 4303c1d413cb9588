/** Puts events that no policy could decide into the tenant's dead-letter stream, awaited. */
import type { NatsConnection } from "@nats-io/transport-node";
import { LeafmeshError } from "../model/errors.ts";
import type { MeshEvent, QuarantineReason, RuleRef } from "../model/event.ts";
import { DLQ_HEADERS, dlqSubject } from "../model/names.ts";
import { rawHeaders } from "../nats/raw.ts";
import { singleLine } from "./header_block.ts";

/** An event to put aside, and why. */
export interface DeadLetterEntry {
  readonly event: MeshEvent;
  readonly rule: RuleRef;
  readonly reason: QuarantineReason;
  readonly error: string;
  /** Version of the policy. */
  readonly version: string;
  /** Tells one life of the source stream from the next: its sequences start again. */
  readonly epoch: string;
}

/** nats-server refuses header blocks over 64 KiB; this leaves room for the other headers. */
const MAX_HEADERS_BASE64 = 56 * 1024;
/** Characters: a longer subject could be more than nats-server reads in one line, which ends the connection. */
const MAX_SUBJECT = 1024;

/** The header block of a dead letter; `payloadRoom` is how many bytes of `max_payload` are left for the event's payload. */
export function deadLetterFrame(
  entry: DeadLetterEntry,
  maxPayload: number,
): { readonly headers: Uint8Array; readonly data: Uint8Array } {
  const { event, rule } = entry;
  const encoded = Buffer.from(event.headers.buffer, event.headers.byteOffset, event.headers.length).toString(
    "base64",
  );
  const headersFit = encoded.length <= Math.min(MAX_HEADERS_BASE64, Math.floor(maxPayload / 2));
  const lines: Array<readonly [string, string]> = [
    ["Nats-Msg-Id", `${rule.policy}:${entry.epoch}:${event.sequence}`],
    [DLQ_HEADERS.reason, entry.reason],
    [DLQ_HEADERS.rule, singleLine(rule.name, 128)],
    [DLQ_HEADERS.policy, singleLine(rule.policy, 128)],
    [DLQ_HEADERS.version, singleLine(entry.version, 128)],
    [DLQ_HEADERS.error, singleLine(entry.error)],
    // A subject holds no white space, so it fits a header as it is.
    [DLQ_HEADERS.subject, event.subject.slice(0, MAX_SUBJECT)],
    [DLQ_HEADERS.origin, event.origin],
    [DLQ_HEADERS.position, String(event.sequence)],
    [DLQ_HEADERS.time, String(event.timeMs)],
    [DLQ_HEADERS.epoch, entry.epoch],
  ];
  if (event.headers.length > 0 && headersFit) lines.push([DLQ_HEADERS.headers, encoded]);
  const block = (all: ReadonlyArray<readonly [string, string]>) =>
    new TextEncoder().encode(
      `NATS/1.0\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
    );
  const whole = block(lines);
  const wholeSubject = event.subject.length <= MAX_SUBJECT;
  if (wholeSubject && headersFit && whole.length + event.data.length <= maxPayload)
    return { headers: whole, data: event.data };
  lines.push([DLQ_HEADERS.truncated, `${event.headers.length} ${event.data.length}`]);
  const cut = block(lines);
  return { headers: cut, data: event.data.subarray(0, Math.max(0, maxPayload - cut.length)) };
}

/** Where the dead letter of an event is stored: under the event's own subject, or the first part of it. */
export function deadLetterSubject(subject: string): string {
  return dlqSubject(subject.slice(0, MAX_SUBJECT).replace(/\.$/, ""));
}

/**
 * Writes one dead letter and waits until it is stored. Repeating it within the stream's duplicate window stores nothing.
 * @throws LeafmeshError `apply_failed` when the stream refuses it, `timeout` when nothing answers
 */
export async function writeDeadLetter(
  nc: NatsConnection,
  entry: DeadLetterEntry,
  options: { readonly timeoutMs: number },
): Promise<void> {
  const maxPayload = nc.info?.max_payload ?? 1024 * 1024;
  const { headers, data } = deadLetterFrame(entry, maxPayload);
  const subject = deadLetterSubject(entry.event.subject);
  const answer = await nc.request(subject, data, {
    headers: rawHeaders(headers),
    timeout: options.timeoutMs,
  });
  const body: unknown = answer.data.length === 0 ? null : answer.json();
  if (typeof body === "object" && body !== null) {
    if ("seq" in body && !("error" in body)) return;
    if ("error" in body) {
      const error: unknown = body.error;
      const text =
        typeof error === "object" && error !== null && "description" in error
          ? String(error.description)
          : "refused";
      throw new LeafmeshError("apply_failed", `Dead letter for '${subject}' was refused: ${text}`);
    }
  }
  throw new LeafmeshError("apply_failed", `Dead letter for '${subject}' was not stored: no stream answered`);
}
