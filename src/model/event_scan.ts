/** What the control plane asks of the data plane to look at events: in order, at a rate that disturbs nobody. */
import type { MeshEvent } from "./event.ts";

export interface EventScanRequest {
  readonly stream: string;
  /** Pattern of stored subjects. */
  readonly filter: string;
  /** Where to begin: a sequence, or the first event stored since a time. */
  readonly start: { readonly sequence: number } | { readonly timeMs: number };
  /** Last sequence to look at; `null`: go on with what comes. */
  readonly end: number | null;
  /** Bytes are only valid during the call. `pending`: events that wait behind this one. */
  readonly onEvent: (event: MeshEvent, pending: number) => void;
  /** Called between slices of work; `false` ends the scan. */
  readonly onSlice: () => boolean;
  /** Events a second, and share of the thread's time (above 0, below 1), at most. Asked before each pause. */
  readonly pace: () => { readonly perSecond: number; readonly share: number };
  readonly signal: AbortSignal;
}

/** `end`: all was looked at; `aborted`: by the signal; `stopped`: by `onSlice`. */
export type EventScanEnd = "end" | "aborted" | "stopped";

/** @throws when the stream cannot be read */
export type EventScan = (request: EventScanRequest) => Promise<EventScanEnd>;
