/** Turns what a policy says of an event into what a session does with it. Fails closed: any doubt puts the event aside. */
import { errorText } from "../model/errors.ts";
import type { Decision, MeshEvent, QuarantineReason, RuleRef } from "../model/event.ts";
import { FencedWriter, messageSize } from "../nats/fenced_writer.ts";
import type { DeadLetterEntry } from "./dead_letter_writer.ts";
import { OUTCOME, type Outcome } from "./ledger.ts";
import type { KnownSubject } from "./subject_cache.ts";
import type { RedriveMark, ViewMessage, ViewMessageBuilder } from "./view_message.ts";

/** How an event is decided, from one position on. */
export interface Decider {
  readonly decide: (event: MeshEvent) => Decision;
  /** Version of the policy, safe in a header. */
  readonly version: string;
}

/** Header blocks over this are refused by nats-server. Source: `server/stream.go`, math.MaxUint16. */
const MAX_HEADER_BYTES = 65_535 - FencedWriter.overheadBytes;

/** What becomes of an event. */
export type Decided =
  | {
      readonly type: "forward";
      readonly message: ViewMessage;
      readonly rule: RuleRef;
      readonly redactions: number;
    }
  | {
      readonly type: "drop";
      readonly outcome: Exclude<Outcome, typeof OUTCOME.forwarded | typeof OUTCOME.redriven>;
    }
  | { readonly type: "quarantine"; readonly entry: DeadLetterEntry };

/** An event and its stored subject. */
export interface Taken {
  readonly event: MeshEvent;
  readonly subject: KnownSubject;
}

/** A policy may hand out views on scratch memory that its next decision overwrites. */
export function keep(decided: Decided): Decided {
  if (decided.type !== "forward") return decided;
  const { message } = decided;
  return {
    ...decided,
    message: {
      ...message,
      head: message.head.slice(0, message.headTo),
      tail: message.tail.slice(),
      data: message.data.slice(),
    },
  };
}

export interface EventDeciderOptions {
  /** Name of the export policy. */
  readonly policy: string;
  /** Tells one life of the source stream from the next. */
  readonly epoch: string;
  readonly builder: ViewMessageBuilder;
  /** Bytes of header and payload that the view takes in one message, without the fence. */
  readonly maxMsgBytes: number;
}

export class EventDecider {
  readonly #options: EventDeciderOptions;

  constructor(options: EventDeciderOptions) {
    this.#options = options;
  }

  /** Fails closed: whatever goes wrong in deciding puts the event aside. */
  decide({ event, subject }: Taken, { decide, version }: Decider, mark: RedriveMark | null = null): Decided {
    const { policy, epoch, maxMsgBytes, builder } = this.#options;
    let decision: Decision;
    try {
      decision = decide(event);
    } catch (error) {
      const rule = { policy, index: -1, name: "(none)" };
      return {
        type: "quarantine",
        entry: { event, rule, reason: "redaction_failed", error: errorText(error), version, epoch },
      };
    }
    switch (decision.type) {
      case "drop":
        return { type: "drop", outcome: decision.reason === "denied" ? OUTCOME.denied : OUTCOME.noRule };
      case "quarantine": {
        const { rule, reason, error } = decision;
        return { type: "quarantine", entry: { event, rule, reason, error, version, epoch } };
      }
      case "forward": {
        const { rule } = decision;
        const putAside = (reason: QuarantineReason, error: string): Decided => {
          return { type: "quarantine", entry: { event, rule, reason, error, version, epoch } };
        };
        if (subject.problem !== null) return putAside("subject_invalid", subject.problem);
        const message = builder.build(event, decision, version, mark);
        const size = messageSize(message);
        const headerBytes = size - message.data.length;
        if (headerBytes <= MAX_HEADER_BYTES && size <= maxMsgBytes) {
          return { type: "forward", message, rule, redactions: decision.redactions };
        }
        return putAside(
          "payload_too_large",
          `Header block of ${headerBytes} and payload of ${message.data.length} bytes are more than the view takes (${maxMsgBytes})`,
        );
      }
      default: {
        const never: never = decision;
        throw new Error(`Unhandled decision ${String(never)}`);
      }
    }
  }
}
