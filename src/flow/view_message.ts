/** Builds what the view stores of a forwarded event. */
import type { Decision, MeshEvent } from "../model/event.ts";
import { POLICY_HEADER, POSITION_HEADER, REDRIVEN_HEADER, viewSubject } from "../model/names.ts";
import { type RawFrame, writeDigits } from "../nats/raw_frame.ts";
import { findMsgId, headerLinesStart, type IdLine, NO_HEADER_LINES, withoutBytes } from "./header_block.ts";
import { hashId, type IdGuard } from "./id_guard.ts";

export interface ViewMessageOptions {
  readonly site: string;
  readonly policy: string;
  readonly sourceStream: string;
  readonly sourceEpoch: string;
  readonly guard: IdGuard;
}

/** A view's message and the id it carries. Its bytes may be scratch memory that the next message overwrites. */
export interface ViewMessage extends RawFrame {
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

/** Encoded subjects that are kept; when there are as many, all are forgotten. */
const SUBJECTS = 4_096;
/** Longer ones are not kept. */
const MAX_KEPT_CHARACTERS = 256;
const POSITION_START = new TextEncoder().encode(`${POSITION_HEADER}: `);
const ID_NAME = new TextEncoder().encode("Nats-Msg-Id: ");

/**
 * Our own headers come first, so they are what a reader finds even if the event brings headers of the same names.
 * The id is the producer's, or a deterministic one: never random, or a repetition could not be told from a new event.
 */
export class ViewMessageBuilder {
  /** The stream that is read, in the life that it has now: with a sequence it names an event. */
  readonly stream: string;
  readonly #subjectHead: string;
  readonly #source: string;
  readonly #idHead: string;
  readonly #guard: IdGuard;
  readonly #encoder = new TextEncoder();
  /** The view's subjects of the events' subjects. */
  readonly #subjects = new Map<string, Uint8Array>();
  /** Scratch for our own header lines. */
  readonly #head = new Uint8Array(1024);
  #version = "";
  #versionLine = new Uint8Array(0);

  constructor(options: ViewMessageOptions) {
    this.#subjectHead = viewSubject(options.site, options.policy, "");
    this.#source = `${options.site}.${options.sourceStream}`;
    this.stream = this.streamOf(options.sourceEpoch);
    this.#idHead = `Nats-Msg-Id: ${this.stream}.`;
    this.#guard = options.guard;
  }

  /** The stream that is read, in the life of that epoch. */
  streamOf(epoch: string): string {
    return `${this.#source}.${epoch}`;
  }

  /**
   * @param version of the policy, safe in a header
   * @param mark for an event that was a dead letter
   */
  build(
    event: MeshEvent,
    forward: Extract<Decision, { type: "forward" }>,
    version: string,
    mark: RedriveMark | null = null,
  ): ViewMessage {
    const { headers, data } = forward;
    const subject = this.#subject(forward.subject);
    const head = this.#head;
    let headTo = this.#own(version, mark?.position ?? event.sequence);
    if (mark !== null) headTo = this.#text(headTo, `${REDRIVEN_HEADER}: ${mark.letter}\r\n`);
    const line = headers.length === 0 ? null : findMsgId(headers);
    if (line === null) {
      const idHead = mark === null ? this.#idHead : `Nats-Msg-Id: ${this.streamOf(mark.epoch)}.`;
      headTo = this.#text(headTo, `${idHead}${event.sequence}\r\n`);
      const tail = headers.length === 0 ? NO_HEADER_LINES : headers;
      const tailFrom = headers.length === 0 ? 0 : headerLinesStart(headers);
      return { subject, head, headTo, tail, tailFrom, data, idHash: null };
    }
    const idHash = hashId(headers, line.valueStart, line.valueEnd);
    if (!this.#guard.repeats(idHash, event.timeMs)) {
      return { subject, head, headTo, tail: headers, tailFrom: headerLinesStart(headers), data, idHash };
    }
    const tail = this.#renamed(headers, line, event.sequence);
    return { subject, head, headTo, tail, tailFrom: 0, data, idHash: null };
  }

  #subject(subject: string): Uint8Array {
    const known = this.#subjects.get(subject);
    if (known !== undefined) return known;
    const bytes = this.#encoder.encode(this.#subjectHead + subject);
    if (this.#subjects.size >= SUBJECTS) this.#subjects.clear();
    if (subject.length <= MAX_KEPT_CHARACTERS) this.#subjects.set(subject, bytes);
    return bytes;
  }

  /** Writes position and version at the start of the scratch. @returns where they end */
  #own(version: string, position: number): number {
    if (version !== this.#version) {
      this.#version = version;
      this.#versionLine = this.#encoder.encode(`\r\n${POLICY_HEADER}: ${version}\r\n`);
    }
    const head = this.#head;
    const line = this.#versionLine;
    for (let i = 0; i < POSITION_START.length; i++) head[i] = POSITION_START[i] as number;
    let at = writeDigits(head, POSITION_START.length, position);
    for (let i = 0; i < line.length; i++) head[at++] = line[i] as number;
    return at;
  }

  #text(at: number, text: string): number {
    return at + this.#encoder.encodeInto(text, this.#head.subarray(at)).written;
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
