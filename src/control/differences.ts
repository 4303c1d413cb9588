/** Where a stream or consumer of the server differs from what is wanted, in the fields that we own. Pure. */
import type { ConsumerConfig, StreamConfig, StreamSource } from "@nats-io/jetstream";
import type { ConsumerSpec, StreamSpec } from "./assets.ts";

/** Names of the fields of a stream that must change; empty when nothing differs. */
export function streamDifferences(wanted: StreamSpec, observed: StreamConfig): string[] {
  return Object.entries(wanted)
    .filter(
      ([field, value]) =>
        !sameStreamField(field, value, (observed as unknown as Record<string, unknown>)[field]),
    )
    .map(([field]) => field);
}

function sameStreamField(field: string, wanted: unknown, observed: unknown): boolean {
  switch (field) {
    case "sources":
      return sameSet(
        (wanted as StreamSource[]).map(sourceKey),
        ((observed ?? []) as StreamSource[]).map(sourceKey),
      );
    case "mirror":
      return (
        observed !== undefined && sourceKey(wanted as StreamSource) === sourceKey(observed as StreamSource)
      );
    case "metadata": {
      // The server adds entries of its own.
      const there = (observed ?? {}) as Record<string, string>;
      return Object.entries(wanted as Record<string, string>).every(([key, value]) => there[key] === value);
    }
    case "republish":
      return sameSet(pairs(wanted, ["src", "dest"]), pairs(observed, ["src", "dest"]));
    default:
      return sameValue(wanted, observed);
  }
}

type ConsumedSource = StreamSource & {
  readonly consumer?: { readonly name: string; readonly deliver_subject: string };
};

/** What a source listens to; `null` where it has no consumer of its own. */
export function deliveredBy(source: StreamSource): string | null {
  return (source as ConsumedSource).consumer?.deliver_subject ?? null;
}

/** Identity of a source: stream, site, consumer and transforms. */
export function sourceKey(source: StreamSource): string {
  const transforms = (source.subject_transforms ?? []).map((one) => `${one.src}>${one.dest}`).join(",");
  const { consumer } = source as ConsumedSource;
  return [
    source.name,
    source.external?.api ?? "",
    consumer?.name ?? "",
    consumer?.deliver_subject ?? "",
    transforms,
  ].join("|");
}

/** Names of the fields of a consumer that must change; empty when nothing differs. */
export function consumerDifferences(wanted: ConsumerSpec, observed: ConsumerConfig): string[] {
  return Object.entries(wanted)
    .filter(([field, value]) =>
      field === "filter_subjects"
        ? !sameSet(value as string[], filtersOfConsumer(observed))
        : !sameValue(value, (observed as unknown as Record<string, unknown>)[field]),
    )
    .map(([field]) => field);
}

/** The filters of a consumer, in whichever field the server keeps them. */
export function filtersOfConsumer(config: ConsumerConfig): string[] {
  if (config.filter_subjects !== undefined && config.filter_subjects.length > 0)
    return config.filter_subjects;
  return config.filter_subject === undefined || config.filter_subject === "" ? [] : [config.filter_subject];
}

function sameSet(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && [...left].sort().join("\n") === [...right].sort().join("\n");
}

function pairs(value: unknown, fields: readonly string[]): string[] {
  const record = (value ?? {}) as Record<string, unknown>;
  return fields.map((field) => `${field}=${String(record[field])}`);
}

/** Equal, where the server leaves out what is false, 0 or empty. */
function sameValue(wanted: unknown, observed: unknown): boolean {
  if (Array.isArray(wanted)) {
    const there = observed ?? [];
    return Array.isArray(there) && sameSet(wanted.map(String), there.map(String));
  }
  if (observed === undefined || observed === null) return wanted === false || wanted === 0 || wanted === "";
  return wanted === observed;
}
