/** What would become of an event, as the API is asked and answers. */

/** An event to explain: nothing is published. */
export interface ExplainRequest {
  readonly subject: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly data: Uint8Array;
  /** Default: this site. */
  readonly origin?: string;
}

/** What would become of the event on its way to one peer. */
export interface ExplainPeer {
  readonly peer: string;
  readonly policy: string | null;
  readonly kind: "native" | "view" | null;
  readonly outcome: "forward" | "drop" | "quarantine";
  readonly rule: string | null;
  readonly reason: string;
  /** Rule by rule, what was found until one decided. */
  readonly steps: readonly { readonly rule: string; readonly outcome: string }[];
  /** What the peer would get; `null` unless forwarded. Payload bytes as they would cross. */
  readonly result: {
    readonly subject: string;
    readonly headers: Readonly<Record<string, readonly string[]>>;
    readonly data: Uint8Array;
    readonly redactions: number;
  } | null;
  /** Whether the peer accepts the subject: `yes`, `no`, `unknown` (it has not said yet). */
  readonly accepted: "yes" | "no" | "unknown";
}

/** What would become of the event, peer by peer. */
export interface ExplainReport {
  readonly tenant: string;
  readonly subject: string;
  readonly peers: readonly ExplainPeer[];
  /** What is shown otherwise than peers would get it. */
  readonly notes: readonly string[];
}
