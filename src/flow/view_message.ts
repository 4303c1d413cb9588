/** Builds what the view stores of a forwarded event. */
import type { Decision, MeshEvent } from "../model/event.ts";
import { POLICY_HEADER, POSITION_HEADER, viewSubject } from "../model/names.ts";
import type { IngestMessage } from "../nats/fast_ingest.ts";
import { findMsgId, headerLines, withoutBytes } from "./header_block.ts";
import { hashId, type IdGuard } from "./id_guard.ts";

export interface ViewMessageOptions {
  readonly site: string;
  readonly policy: string;
  readonly sourceStream: string;
  readonly sourceEpoch: string;
  /** Version of the policy; what a header cannot hold is already gone. */
  readonly version: string;
}

/** A view's message and the id it carries. */
export interface ViewMessage extends IngestMessage {
  /** Key of the producer's id; `null` when the event came without one or the guard has changed it. */
  readonly idHash: number | null;
}

/** Where the tenant's subject starts in a stored one. */
function tail(storedSubject: Uint8Array): Uint8Array {
  return storedSubject.subarray(storedSubject.indexOf(46) + 1);
}

/**
 * Our own headers come first, so they are what a reader finds even if the event brings headers of the same names.
 * The id is the producer's, or a deterministic one: never random, or a repetition could not be told from a new event.
 */
export function viewMessage(
  event: MeshEvent,
  storedSubject: Uint8Array,
  forward: Extract<Decision, { type: "forward" }>,
  guard: IdGuard,
  options: ViewMessageOptions,
): ViewMessage {
  const { site, policy, version } = options;
  const position = `${POSITION_HEADER}: ${event.sequence}\r\n${POLICY_HEADER}: ${version}\r\n`;
  const subjectHead = viewSubject(site, policy, "");
  const subjectTail = tail(storedSubject);
  const { headers, data } = forward;
  const line = headers.length === 0 ? null : findMsgId(headers);
  if (line === null) {
    const id = `${site}.${options.sourceStream}.${options.sourceEpoch}.${event.sequence}`;
    const headerHead = `${position}Nats-Msg-Id: ${id}\r\n`;
    return { subjectHead, subjectTail, headerHead, headerTail: headerLines(headers), data, idHash: null };
  }
  const idHash = hashId(headers, line.valueStart, line.valueEnd);
  if (!guard.repeats(idHash, event.timeMs)) {
    return { subjectHead, subjectTail, headerHead: position, headerTail: headerLines(headers), data, idHash };
  }
  // The same id again, and the origin says it is another event.
  const rest = headerLines(withoutBytes(headers, line.start, line.end));
  const id = headers.subarray(line.valueStart, line.valueEnd);
  const headerTail = new Uint8Array(13 + id.length + 1 + String(event.sequence).length + 2 + rest.length);
  headerTail.set(new TextEncoder().encode("Nats-Msg-Id: "));
  headerTail.set(id, 13);
  headerTail.set(new TextEncoder().encode(`~${event.sequence}\r\n`), 13 + id.length);
  headerTail.set(rest, headerTail.length - rest.length);
  return { subjectHead, subjectTail, headerHead: position, headerTail, data, idHash: null };
}
