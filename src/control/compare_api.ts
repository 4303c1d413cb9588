/** What the API says of a candidate policy held against the one in force: by a diff over stored events, or by a shadow. */
import type { Rule } from "../model/schema/policy.ts";
import type { ComparisonReport, OutputPart, RuleChange } from "../policy/compare.ts";

/** What leaves of an event, the beginnings of headers and payload. */
export interface ShownOutput {
  readonly subject: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly data: Uint8Array;
  readonly payloadBytes: number;
  readonly redactions: number;
}

/** An event that the two treat differently. Outputs are there where they were asked for; the event itself never is. */
export interface ShownSample {
  readonly sequence: number;
  /** When it was stored, RFC 3339. */
  readonly time: string;
  readonly subject: string;
  readonly activeReason: string | null;
  readonly candidateReason: string | null;
  readonly differs: readonly OutputPart[];
  readonly active?: ShownOutput | null;
  readonly candidate?: ShownOutput | null;
}

export interface ShownComparison extends Omit<ComparisonReport, "rules" | "subjects"> {
  readonly rules: readonly (Omit<RuleChange, "samples"> & { readonly samples: readonly ShownSample[] })[];
  readonly subjects: readonly {
    readonly pattern: string;
    readonly total: number;
    readonly byKind: Readonly<Record<string, number>>;
  }[];
}

/** The two policies: their versions and how each runs. */
export interface Versions {
  readonly activeVersion: string;
  readonly candidateVersion: string;
  readonly activeKind: "native" | "view";
  readonly candidateKind: "native" | "view";
}

export interface Place {
  readonly sequence: number;
  /** RFC 3339. */
  readonly time: string;
}

export interface DiffRequest {
  readonly rules: readonly Rule[];
  /** The last so many events, or those stored within so many milliseconds. */
  readonly range: { readonly last: number } | { readonly sinceMs: number };
  /** Show what leaves of samples. */
  readonly samples: boolean;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface DiffReport extends Versions {
  readonly tenant: string;
  readonly export: string;
  readonly stream: string;
  /** First and last event that were looked at. */
  readonly first: Place | null;
  readonly last: Place | null;
  /** All that was asked for and is still stored was looked at. */
  readonly complete: boolean;
  /** What a reader must know of the range: what is gone, what was not looked at. */
  readonly notes: readonly string[];
  readonly tookMs: number;
  readonly comparison: ShownComparison;
}

export interface ShadowReport {
  readonly tenant: string;
  readonly export: string;
  readonly rules: readonly Rule[];
  /** `running`; `waiting`: for the export, the stream or the server, see `lastError`. */
  readonly state: "running" | "waiting";
  readonly lastError: string | null;
  /** Events are counted from then on: when the sidecar started, or the rules of either side changed. RFC 3339. */
  readonly since: string | null;
  /** Events that were passed over because looking at them would have cost too much. */
  readonly skipped: number;
  readonly first: Place | null;
  readonly last: Place | null;
  /** `null` until it runs. */
  readonly compared: (Versions & { readonly comparison: ShownComparison }) | null;
}
