/**
 * CloudEvents 1.0 as an envelope of events, in both modes of the NATS binding: binary, with the attributes as `ce-` headers,
 * and structured, with attributes and data as one JSON object. A rule with an envelope sees the data as the payload and the
 * attributes as `ce-` headers, however the event came.
 */
import type { MeshEvent } from "../../model/event.ts";
import type { Envelope as EnvelopeRule } from "../../model/schema/policy.ts";
import { type HeaderCursor, messageId } from "../header_block.ts";
import type { PayloadFailure } from "../payload.ts";
import type { Workspace } from "../redact/workspace.ts";
import { attributeProblem, decodeValue, invalid, isJsonType } from "./attributes.ts";
import { changeBlock, type EnvelopeHeaders, readEnvelopeHeaders } from "./binary.ts";
import { type Sealed, type SealOptions, sealBinary, sealStructured } from "./seal.ts";
import { dataChange, type StructuredEvent, StructuredReader, splice } from "./structured.ts";

export interface EnvelopeOptions {
  readonly in: "auto" | "structured" | "binary" | "none";
  readonly out: "same" | "binary" | "structured";
  readonly type: string | null;
  readonly source: string | null;
}

/** The envelope of a rule with its defaults. */
export function envelopeOptions(rule: EnvelopeRule): EnvelopeOptions {
  if (rule === "cloudevents") return { in: "auto", out: "binary", type: null, source: null };
  if (rule === "cloudevents-structured") return { in: "auto", out: "structured", type: null, source: null };
  return {
    in: rule.in ?? "auto",
    out: rule.out ?? "same",
    type: rule.type ?? null,
    source: rule.source ?? null,
  };
}

/** An event whose envelope was read. */
export interface Opened {
  readonly type: "opened";
  readonly mode: "plain" | "binary" | "structured";
  /** The event as conditions, contracts and redactions see it: its data, and its attributes as headers. */
  readonly event: MeshEvent;
  readonly headers: EnvelopeHeaders;
  /** Only of a structured event. */
  readonly structured: StructuredEvent | null;
}

export interface EnvelopeCompileOptions {
  readonly tenant: string;
  readonly workspace: Workspace;
  readonly cursor: HeaderCursor;
  /** The rule keeps the event's own id back. */
  readonly hidesMessageId: boolean;
  /** The rule keeps the value of a header back: the envelope does not say it either. */
  readonly hides: (name: string) => boolean;
}

/** The envelope of one rule. */
export class Envelope {
  readonly #options: EnvelopeOptions;
  readonly #compile: EnvelopeCompileOptions;
  readonly #reader: StructuredReader;

  constructor(rule: EnvelopeRule, compile: EnvelopeCompileOptions) {
    this.#options = envelopeOptions(rule);
    this.#compile = compile;
    this.#reader = new StructuredReader(compile.workspace);
  }

  /**
   * Finds the data of an event.
   * @param readsPayload the rule looks into the data, which must therefore be JSON
   */
  open(event: MeshEvent, readsPayload: boolean): Opened | PayloadFailure {
    const { cursor } = this.#compile;
    const headers = readEnvelopeHeaders(event.headers, cursor);
    if (headers.type === "failed") return headers;
    const mode = modeOf(headers, this.#options.in);
    if (typeof mode !== "string") return mode;
    if (headers.compressed && (mode === "structured" || this.#options.out === "structured")) {
      return {
        type: "failed",
        reason: "payload_compressed",
        error: "A structured event cannot hold an encoded payload",
      };
    }
    if (mode !== "structured") {
      // Receivers may look into it as into a structured event: a redaction of the rule would have looked elsewhere.
      if (mode === "plain" && this.#reader.looksStructured(event.data)) {
        return invalid(
          "Payload is a structured CloudEvent, and its headers do not say so: name it in the rule (in: structured)",
        );
      }
      if (mode === "binary") {
        const problem = attributeProblem(headers.attributes);
        if (problem !== null) return problem;
        const declared = headers.attributes.get("datacontenttype");
        if (readsPayload && declared !== undefined && !isPlainJson(decodeValue(declared) ?? "?"))
          return notJson();
      }
      return { type: "opened", mode, event, headers, structured: null };
    }
    const structured = this.#reader.read(event.data);
    if (structured.type === "failed") return structured;
    if (readsPayload) {
      if (structured.form === "base64")
        return invalid("CloudEvent has data as base64, which a rule cannot look into");
      if (!isPlainJson(structured.attributes.get("datacontenttype"))) return notJson();
    }
    const inner = { ...event, data: structured.data, headers: asHeaders(event.headers, structured, cursor) };
    return { type: "opened", mode, event: inner, headers, structured };
  }

  /**
   * Puts data into the envelope that the event leaves in.
   * @param data the event's data, redacted
   * @param subject that the event leaves under
   */
  seal(opened: Opened, event: MeshEvent, data: Uint8Array, subject: string): Sealed | PayloadFailure {
    const { out, type, source } = this.#options;
    const { tenant, cursor, hidesMessageId, hides } = this.#compile;
    if (out === "same") {
      const payload =
        opened.structured === null ? data : splice(event.data, dataChange(opened.structured, data));
      return { type: "sealed", headers: event.headers, data: payload };
    }
    const id = hidesMessageId ? null : messageId(event.headers, cursor);
    const options: SealOptions = {
      opened,
      event,
      data,
      cursor,
      hides,
      isJson: (bytes) => this.#reader.isJson(bytes),
      forced: [
        ["tenant", tenant],
        ["origin", event.origin],
      ],
      fresh: () => [
        ["specversion", "1.0"],
        ["id", id === null || id === "" ? `${event.stream ?? event.origin}.${event.sequence}` : id],
        ["source", source ?? `/${event.origin}/${tenant}`],
        ["type", type ?? subject],
        ["subject", subject],
        ["time", new Date(event.timeMs).toISOString()],
      ],
    };
    return out === "binary" ? sealBinary(options) : sealStructured(options);
  }
}

/** How an event is enveloped, by its headers; doubt is a failure. */
function modeOf(headers: EnvelopeHeaders, wanted: EnvelopeOptions["in"]): Opened["mode"] | PayloadFailure {
  const { attributes, contentType } = headers;
  const declared = /^application\/cloudevents/i.test(contentType ?? "");
  if (declared && attributes.size > 0) return invalid("Event is both a structured and a binary CloudEvent");
  if (
    declared &&
    !/^application\/cloudevents\+json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?$/i.test(
      contentType ?? "",
    )
  ) {
    return invalid(
      "CloudEvent is of a format that is not supported (expected application/cloudevents+json in UTF-8)",
    );
  }
  // Apps of older versions of the binding say of structured events no more than that they are JSON, or nothing.
  const structured =
    declared || (wanted === "structured" && attributes.size === 0 && isPlainJson(contentType));
  const mode = structured ? "structured" : attributes.size > 0 ? "binary" : "plain";
  const expected = wanted === "none" ? "plain" : wanted;
  if (expected === "auto" || expected === mode) return mode;
  const what = {
    plain: "no CloudEvent",
    binary: "a binary CloudEvent",
    structured: "a structured CloudEvent",
  };
  return invalid(`Event is ${what[mode]}, expected ${what[expected]}`);
}

function isPlainJson(type: string | undefined): boolean {
  return (
    isJsonType(type) && !/charset(?![ \t]*=[ \t]*"?(?:utf-?8|us-ascii)"?[ \t]*(?:;|$))/i.test(type ?? "")
  );
}

function notJson(): PayloadFailure {
  const error = "CloudEvent says that its data is not JSON in UTF-8";
  return { type: "failed", reason: "content_type_unsupported", error };
}

/** The headers that a structured event has in binary mode. */
function asHeaders(
  block: Uint8Array,
  { attributes, form }: StructuredEvent,
  cursor: HeaderCursor,
): Uint8Array {
  const type = attributes.get("datacontenttype") ?? (form === "none" ? null : "application/json");
  const all: (readonly [string, string])[] = [...attributes];
  if (type !== null && !attributes.has("datacontenttype")) all.push(["datacontenttype", type]);
  const change = {
    withoutAttributes: true,
    withoutContentType: true,
    attributes: all,
    contentType: type === null ? null : plainType(type),
  };
  return changeBlock(block, change, cursor);
}

/** A media type that may stand in the header Content-Type; `null` for one that would say that the message is structured. */
function plainType(type: string): string | null {
  return /^[ -~]+$/.test(type) && !/^\s*application\/cloudevents/i.test(type) ? type : null;
}
