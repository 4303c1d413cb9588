/** Bounds of payloads that are looked into, and how a fault of the pass over one is reported. */
import type { QuarantineReason } from "../../model/event.ts";

/** Why a text was not accepted; `ok` is 0. The scanner knows the first five, see `wasm/skip.ts`. */
export const FAULT = {
  ok: 0,
  notJson: 1,
  tooDeep: 2,
  tooLarge: 3,
  brokenText: 4,
  /** A detector has found something in a name, which is not redacted. */
  foundInName: 5,
  /** The texts are too long for a pattern. */
  tooCostly: 6,
} as const;
export type Fault = (typeof FAULT)[keyof typeof FAULT];

/** Largest payload, before and after redaction, in bytes. */
export const DEFAULT_MAX_BYTES = 8 * 1024 * 1024;

/** A fault as a reason for quarantine. The text names places in bytes, and nothing of what is there. */
export function failure(
  fault: Fault,
  at: number,
): { readonly type: "failed"; readonly reason: QuarantineReason; readonly error: string } {
  switch (fault) {
    case FAULT.tooDeep:
      return { type: "failed", reason: "payload_too_deep", error: `Payload nests too deep at byte ${at}` };
    case FAULT.tooLarge:
      return { type: "failed", reason: "payload_too_large", error: "Payload is too large to redact" };
    case FAULT.brokenText:
      return {
        type: "failed",
        reason: "redaction_failed",
        error: `Payload has half a surrogate pair in a name or in a text that is looked at, at byte ${at}`,
      };
    case FAULT.foundInName:
      return {
        type: "failed",
        reason: "redaction_failed",
        error: `Payload has a name in which a detector finds something at byte ${at}, and names are not redacted`,
      };
    case FAULT.tooCostly:
      return {
        type: "failed",
        reason: "redaction_failed",
        error: `Payload has more text than the rule's patterns may be searched for in, at byte ${at}`,
      };
    default:
      return {
        type: "failed",
        reason: "payload_not_json",
        error: at < 0 ? "Payload is not valid UTF-8" : `Payload is not JSON at byte ${at}`,
      };
  }
}
