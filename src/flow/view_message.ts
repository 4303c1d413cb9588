/** Builds what the view stores of a forwarded event. */
import type { Decision, MeshEvent } from "../model/event.ts";
import { POLICY_HEADER, POSITION_HEADER, REDRIVEN_HEADER, viewSubject } from "../model/names.ts";
import type { IngestMessage } from "../nats/fast_ingest.ts";
import { findMsgId, headerLinesStart, type IdLine, NO_HEADER_LINES, withoutBytes } from "./header_block.ts";
import { hashId, type IdGuard } from "./id_guard.ts";

export interface ViewMessageOptions {
  readonly site: string;
  readonly policy: string;
  readonly sourceStream: string;
  readonly sourceEpoch: string;
  readonly guard: IdGuard;
}

/** A view's message and the id it carries. */
export interface ViewMessage extends IngestMessage {
  /** Key of the producer's id; `null` when the event came without one or the guard has changed it. */
  readonly idHash: number | null;
}

/** What a view stores of an event that was a dead letter. */
export interface RedriveMark {
  /** Sequence of the dead letter. */
  readonly letter: number;
  /** Life of the source stream that the event's sequence is of. */
  readonly epoch: string;
  /** Where the view stands: positions never go back. */
  readonly position: number;
}

const ID_NAME = new TextEncoder().encode("Nats-Msg-Id: ");

/**
 * Our own headers come first, so they are what a reader finds even if the event brings headers of the same names.
 * The id is the producer's, or a deterministic one: never random, or a repetition could not be told from a new event.
 */
export class ViewMessageBuilder {
  readonly #subjectHead: string;
  readonly #idSource: string;
  readonly #idHead: string;
  readonly #guard: IdGuard;
  readonly #encoder = new TextEncoder();

  constructor(options: ViewMessageOptions) {
    this.#subjectHead = viewSubject(options.site, options.policy, "");
    this.#idSource = `Nats-Msg-Id: ${options.site}.${options.sourceStream}.`;
    this.#idHead = `${this.#idSource}${options.sourceEpoch}.`;
    this.#guard = options.guard;
  }

  /**
   * @param version of the policy, safe in a header
   * @param plain whether the subject that it leaves under holds only ASCII characters
   * @param mark for an event that was a dead letter
   */
  build(
    event: MeshEvent,
    forward: Extract<Decision, { type: "forward" }>,
    version: string,
    plain: boolean,
    mark: RedriveMark | null = null,
  ): ViewMessage {
    const { headers, data } = forward;
    const subject = this.#subjectHead + forward.subject;
    const headerHead =
      mark === null
        ? `${POSITION_HEADER}: ${event.sequence}\r\n${POLICY_HEADER}: ${version}\r\n`
        : `${POSITION_HEADER}: ${mark.position}\r\n${POLICY_HEADER}: ${version}\r\n${REDRIVEN_HEADER}: ${mark.letter}\r\n`;
    const idHead = mark === null ? this.#idHead : `${this.#idSource}${mark.epoch}.`;
    const line = headers.length === 0 ? null : findMsgId(headers);
    if (line === null) {
      const lines = headers.length === 0 ? NO_HEADER_LINES : headers;
      return {
        subject,
        plain,
        headerHead: `${headerHead}${idHead}${event.sequence}\r\n`,
        headerTail: lines,
        headerFrom: headers.length === 0 ? 0 : headerLinesStart(headers),
        data,
        idHash: null,
      };
    }
    const idHash = hashId(headers, line.valueStart, line.valueEnd);
    const repeats = this.#guard.repeats(idHash, event.timeMs);
    return {
      subject,
      plain,
      headerHead,
      headerTail: repeats ? this.#renamed(headers, line, event.sequence) : headers,
      headerFrom: repeats ? 0 : headerLinesStart(headers),
      data,
      idHash: repeats ? null : idHash,
    };
  }

  /** The header lines with `<id>~<sequence>`: the same id again, of which the origin says that it is another event. */
  #renamed(headers: Uint8Array, line: IdLine, sequence: number): Uint8Array {
    const rest = withoutBytes(headers, line.start, line.end);
    const from = headerLinesStart(rest);
    const id = headers.subarray(line.valueStart, line.valueEnd);
    const suffix = this.#encoder.encode(`~${sequence}\r\n`);
    const lines = new Uint8Array(ID_NAME.length + id.length + suffix.length + rest.length - from);
    lines.set(ID_NAME);
    lines.set(id, ID_NAME.length);
    lines.set(suffix, ID_NAME.length + id.length);
    lines.set(rest.subarray(from), lines.length - (rest.length - from));
    return lines;
  }
}
