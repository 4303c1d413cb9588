/**
 * What stands for a selected value. `mask` with `keep`, `truncate` and `pseudonym` are of texts: other values are masked as a
 * whole, but for pseudonyms of numbers, `true`, `false` and `null`. `replace` and `encrypt` are of values of any type.
 */
import type { PolicyKeys } from "../../model/keys.ts";
import type { Redaction } from "../../model/schema/policy.ts";
import { encryptorOf } from "./encrypt.ts";
import { maskText, type WriteText } from "./mask.ts";
import { pseudonymText } from "./pseudonym.ts";
import { unescapeString } from "./text.ts";
import type { Workspace } from "./workspace.ts";
import { Writer } from "./writer.ts";

const QUOTE = 0x22;
const WHOLE = Uint8Array.from('"***"', (char) => char.charCodeAt(0));

/** Writes the replacement of the value `[from, to)`; `broken` when its text holds half a surrogate pair. */
export type Replace = (workspace: Workspace, from: number, to: number) => "replaced" | "broken";

/** What a redaction does with a value. */
export type Action =
  | { readonly type: "remove" }
  | { readonly type: "replace"; readonly replace: Replace }
  /** What stays of a text is still looked through by detectors. */
  | { readonly type: "truncate"; readonly length: number };

/** What redactions write with. */
export interface ActionContext {
  readonly keys: PolicyKeys;
  readonly tenant: string;
}

/**
 * How strictly a redaction hides a value: the strictest of several wins, in the order remove, mask and replace, pseudonym,
 * encrypt, mask that keeps the length, mask that keeps a part, truncate.
 */
export function strengthOf(redaction: Redaction): number {
  switch (redaction.with) {
    case "remove":
      return 7;
    case "replace":
      return 6;
    case "mask":
      return redaction.keep === undefined ? 6 : redaction.keep === "length" ? 3 : 2;
    case "pseudonym":
      return 5;
    case "encrypt":
      return 4;
    case "truncate":
      return 1;
  }
}

/** Which key a redaction needs and does not get; `null` when it has what it needs. */
export function missingKey(redaction: Redaction, keys: PolicyKeys): string | null {
  if (redaction.with === "pseudonym" && keys.pseudonym === undefined) return "A pseudonym";
  if (redaction.with === "encrypt" && keys.encrypt === undefined) return "Encryption";
  return null;
}

/** What a redaction does with the values that its path selects. */
export function compileAction(redaction: Redaction, context: ActionContext): Action {
  switch (redaction.with) {
    case "remove":
      return { type: "remove" };
    case "truncate":
      return { type: "truncate", length: redaction.length };
    case "mask":
      if (redaction.keep === undefined) return { type: "replace", replace: maskWhole };
      return { type: "replace", replace: ofText(compileText(redaction, context), "mask") };
    case "pseudonym":
      return { type: "replace", replace: ofText(compileText(redaction, context), "pseudonym") };
    case "replace":
      return {
        type: "replace",
        replace: constant(new TextEncoder().encode(JSON.stringify(redaction.value))),
      };
    case "encrypt": {
      const { encrypt: key } = context.keys;
      return {
        type: "replace",
        replace: key === undefined ? maskWhole : encrypted(encryptorOf(key, context.tenant)),
      };
    }
  }
}

/** What a redaction writes for a text, which for a detector is what it has found. */
export function compileText(redaction: Redaction, { keys }: ActionContext): WriteText {
  switch (redaction.with) {
    case "mask":
      return maskText(redaction.keep);
    case "pseudonym":
      return keys.pseudonym === undefined ? maskText(undefined) : pseudonymText(keys.pseudonym);
    case "replace": {
      const inside = new TextEncoder().encode(JSON.stringify(String(redaction.value)).slice(1, -1));
      return (_text, _from, _to, out) => out.raw(inside);
    }
    case "remove":
      return () => {};
    case "truncate":
    case "encrypt":
      return maskText(undefined);
  }
}

/** `"***"`, whatever the value is. */
export const maskWhole: Replace = constant(WHOLE);

function constant(written: Uint8Array): Replace {
  return (workspace, from, to) => {
    workspace.replace(from, to, written, written.length);
    return "replaced";
  };
}

function ofText(write: WriteText, action: "mask" | "pseudonym"): Replace {
  const out = new Writer();
  return (workspace, from, to) => {
    const { bytes } = workspace;
    const first = bytes[from] as number;
    let text: Uint8Array = bytes;
    let start = from;
    let end = to;
    if (first === QUOTE) {
      text = workspace.textRoom(to - from);
      start = 0;
      end = unescapeString(bytes, from + 1, to - 1, text);
      if (end < 0) return "broken";
    } else if (action === "mask" || (first | 0x20) === 0x7b) {
      return maskWhole(workspace, from, to);
    }
    out.clear();
    out.quote();
    write(text, start, end, out);
    out.quote();
    workspace.replace(from, to, out.bytes, out.length);
    return "replaced";
  };
}

function encrypted(encrypt: (value: Uint8Array) => string): Replace {
  const out = new Writer();
  return (workspace, from, to) => {
    out.clear();
    out.quote();
    out.ascii(encrypt(workspace.bytes.subarray(from, to)));
    out.quote();
    workspace.replace(from, to, out.bytes, out.length);
    return "replaced";
  };
}
