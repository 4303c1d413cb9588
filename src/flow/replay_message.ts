/** What a replay writes of an event that the policy forwards. */
import type { Decision, MeshEvent } from "../model/event.ts";
import { POLICY_HEADER, POSITION_HEADER, REPLAY_HEADER, replaySubject } from "../model/names.ts";
import type { RawFrame } from "../nats/raw_frame.ts";
import { findMsgId, headerLinesStart, NO_HEADER_LINES, withoutBytes } from "./header_block.ts";

export interface ReplayMessageOptions {
  readonly site: string;
  /** Of the replay. */
  readonly id: string;
  /** The stream that is read, in its life of now: `<site>.<stream>.<epoch>`. */
  readonly stream: string;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/**
 * The mark comes first, so it is what a reader finds even if the event brings a header of that name. The id is the producer's,
 * or that of the event's place, and behind it `~<replay>.<sequence>`: nothing that has the event already takes it for a
 * repetition, and within the replay each is another one. Owns its bytes.
 */
export function replayMessage(
  { site, id, stream }: ReplayMessageOptions,
  { sequence }: Pick<MeshEvent, "sequence">,
  { subject, headers, data }: Pick<Extract<Decision, { type: "forward" }>, "subject" | "headers" | "data">,
  version: string,
): RawFrame {
  const line = headers.length === 0 ? null : findMsgId(headers);
  const own =
    line === null
      ? `${stream}.${sequence}`
      : DECODER.decode(headers.subarray(line.valueStart, line.valueEnd));
  const head = ENCODER.encode(
    `${REPLAY_HEADER}: ${id}\r\n${POSITION_HEADER}: ${sequence}\r\n${POLICY_HEADER}: ${version}\r\n` +
      `Nats-Msg-Id: ${own}~${id}.${sequence}\r\n`,
  );
  const rest = line === null ? headers.slice() : withoutBytes(headers, line.start, line.end);
  return {
    subject: ENCODER.encode(replaySubject(site, id, subject)),
    head,
    headTo: head.length,
    tail: headers.length === 0 ? NO_HEADER_LINES : rest,
    tailFrom: headers.length === 0 ? 0 : headerLinesStart(rest),
    data: data.slice(),
  };
}
