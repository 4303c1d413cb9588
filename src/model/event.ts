/** An event as the policy engine sees it, and what the engine says of it. */

export interface MeshEvent {
  /** The tenant's subject, for example `acme.orders.created` (without origin). */
  readonly subject: string;
  /** The raw header block (`NATS/1.0\r\n…\r\n\r\n`); empty when the event has no headers. */
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
  /** The site where the event was published. */
  readonly origin: string;
  /** When the origin stored it, milliseconds since 1970. */
  readonly timeMs: number;
  /** Its sequence in the stream that the policy reads. */
  readonly sequence: number;
  /** Names the stream that `sequence` counts in, and the life of it: `<site>.<stream>.<epoch>`. */
  readonly stream?: string;
}

/** A rule as reports name it. */
export interface RuleRef {
  readonly policy: string;
  /** 0-based place in the policy. */
  readonly index: number;
  /** The rule's own name, or `#1` for the first. */
  readonly name: string;
}

export type QuarantineReason =
  | "predicate_failed"
  | "payload_not_json"
  | "payload_too_deep"
  | "payload_too_large"
  | "payload_compressed"
  | "content_type_unsupported"
  | "header_invalid"
  | "subject_invalid"
  | "schema_invalid"
  | "envelope_invalid"
  | "redaction_failed";

export type Decision =
  | {
      readonly type: "forward";
      readonly rule: RuleRef;
      /** The tenant's subject that it leaves under: the event's own, or what the rule rewrites it to. */
      readonly subject: string;
      /** The raw header block to send, without transport headers; empty when there are no headers. */
      readonly headers: Uint8Array;
      readonly data: Uint8Array;
      /** How many values were redacted in the payload. */
      readonly redactions: number;
    }
  | { readonly type: "drop"; readonly rule: RuleRef; readonly reason: "denied" }
  | { readonly type: "drop"; readonly rule: null; readonly reason: "no_rule" }
  | {
      readonly type: "quarantine";
      readonly rule: RuleRef;
      readonly reason: QuarantineReason;
      readonly error: string;
    };
