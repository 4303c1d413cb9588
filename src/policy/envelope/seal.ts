/** Writes events in the mode that they leave in. What the producer has said stays; tenant and origin are ours to say. */
import { Buffer } from "node:buffer";
import type { MeshEvent } from "../../model/event.ts";
import type { HeaderCursor } from "../header_block.ts";
import type { PayloadFailure } from "../payload.ts";
import { decodeValue, invalid, isJsonType, STRUCTURED_TYPE } from "./attributes.ts";
import { changeBlock, joined } from "./binary.ts";
import type { Opened } from "./mod.ts";
import { type Change, dataChange, splice } from "./structured.ts";

/** An event in the envelope that it leaves in. Its headers are still those of the event: rules for headers come next. */
export interface Sealed {
  readonly type: "sealed";
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

type Pair = readonly [name: string, value: string];

export interface SealOptions {
  readonly opened: Opened;
  readonly event: MeshEvent;
  /** The event's data, redacted. */
  readonly data: Uint8Array;
  readonly cursor: HeaderCursor;
  readonly isJson: (data: Uint8Array) => boolean;
  /** Whether the rule keeps back what a header says. */
  readonly hides: (name: string) => boolean;
  /** Attributes that no sender sets. */
  readonly forced: readonly Pair[];
  /** Attributes of an event that came without any. */
  readonly fresh: () => readonly Pair[];
}

/** The distributed tracing extension: the trace headers of the message, where the event does not carry its own. */
function traceOf({ opened, hides }: SealOptions): Pair[] {
  const { traceparent, tracestate, attributes } = opened.headers;
  const own = opened.structured?.attributes ?? attributes;
  if (traceparent === undefined || own.has("traceparent") || hides("traceparent")) return [];
  const pairs: Pair[] = [["traceparent", traceparent]];
  if (tracestate !== undefined && !own.has("tracestate") && !hides("tracestate"))
    pairs.push(["tracestate", tracestate]);
  return pairs;
}

/** The event as a binary one. */
export function sealBinary(options: SealOptions): Sealed {
  const { opened, data, cursor } = options;
  const added = [...options.forced, ...traceOf(options)];
  const plain = opened.mode === "plain" ? plainType(options) : null;
  const attributes =
    opened.mode === "plain" ? [...options.fresh(), ...(plain?.attribute ?? []), ...added] : added;
  const change = {
    withoutAttributes: false,
    withoutContentType: false,
    attributes,
    contentType: plain?.header ?? null,
  };
  return { type: "sealed", headers: changeBlock(opened.event.headers, change, cursor), data };
}

/** What a plain event's payload is: what its headers say, else what it looks like. */
function plainType({ opened, data, isJson, hides }: SealOptions): {
  readonly attribute: Pair[];
  readonly header: string | null;
} {
  const contentType = hides("content-type") ? undefined : opened.headers.contentType;
  if (contentType !== undefined) return { attribute: [["datacontenttype", contentType]], header: null };
  if (data.length === 0) return { attribute: [], header: null };
  const type = isJson(data) ? "application/json" : "application/octet-stream";
  return { attribute: [["datacontenttype", type]], header: type };
}

/** The event as a structured one. */
export function sealStructured(options: SealOptions): Sealed | PayloadFailure {
  const { opened, event, cursor } = options;
  const change = {
    withoutAttributes: true,
    withoutContentType: true,
    attributes: [],
    contentType: STRUCTURED_TYPE,
  };
  const headers = changeBlock(event.headers, change, cursor);
  if (opened.structured !== null) return { type: "sealed", headers, data: restructured(options) };
  const attributes = opened.mode === "plain" ? [...options.fresh()] : decoded(opened.headers.attributes);
  if (attributes === null) return invalid("A ce- header cannot be decoded");
  return { type: "sealed", headers, data: structuredOf(options, attributes) };
}

const encoder = new TextEncoder();

/** A structured payload with our attributes in place of the sender's, and the redacted data. */
function restructured(options: SealOptions): Uint8Array {
  const { opened, event, data, forced } = options;
  const { structured } = opened;
  if (structured === null) return data;
  const changes: Change[] = [];
  const added: string[] = [];
  for (const [name, value] of [...forced, ...traceOf(options)]) {
    const json = JSON.stringify(value);
    const span = structured.spans.get(name);
    if (span === undefined) added.push(`${JSON.stringify(name)}:${json},`);
    else changes.push({ ...span, bytes: encoder.encode(json) });
  }
  const { inside } = structured;
  if (added.length > 0) changes.push({ from: inside, to: inside, bytes: encoder.encode(added.join("")) });
  changes.push(...dataChange(structured, data));
  return splice(event.data, changes);
}

/** The attributes of a binary event; `null` when one of them cannot be decoded. */
function decoded(attributes: ReadonlyMap<string, string>): Pair[] | null {
  const pairs: Pair[] = [];
  for (const [name, header] of attributes) {
    const value = decodeValue(header);
    if (value === null) return null;
    pairs.push([name, value]);
  }
  return pairs;
}

function structuredOf(options: SealOptions, attributes: readonly Pair[]): Uint8Array {
  const { opened, data, isJson, forced } = options;
  const ours = [...forced, ...traceOf(options)];
  const names = new Set(ours.map(([name]) => name));
  const theirs = attributes.filter(([name]) => !names.has(name));
  const members: Pair[] = [...theirs, ...ours];
  const declared = theirs.find(([name]) => name === "datacontenttype")?.[1] ?? opened.headers.contentType;
  const json = data.length > 0 && isJsonType(declared) && isJson(data);
  const type =
    declared ?? (data.length === 0 ? null : json ? "application/json" : "application/octet-stream");
  if (type !== null && !theirs.some(([name]) => name === "datacontenttype")) {
    members.push(["datacontenttype", type]);
  }
  const text = members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
  if (data.length === 0) return encoder.encode(`{${text}}`);
  if (json) return joined([encoder.encode(`{${text},"data":`), data, encoder.encode("}")]);
  const base64 = Buffer.from(data.buffer, data.byteOffset, data.length).toString("base64");
  return encoder.encode(`{${text},"data_base64":"${base64}"}`);
}
