/** Whether a new version of a schema keeps what the version before promised. */
import { type Problem, unreachable } from "../../model/errors.ts";
import type { Compatibility, JsonSchema } from "../../model/schema/contract.ts";
import { proveWithin } from "./prove.ts";

/** What speaks against a new version; paths are JSON pointers as fragments. None: it is proved to be compatible. */
export function compatibilityProblems(
  earlier: JsonSchema,
  later: JsonSchema,
  mode: Compatibility,
): Problem[] {
  switch (mode) {
    case "none":
      return [];
    case "backward":
      return backward(earlier, later);
    case "forward":
      return forward(earlier, later);
    case "full":
      return [...backward(earlier, later), ...forward(earlier, later)];
    default:
      return unreachable(mode);
  }
}

function backward(earlier: JsonSchema, later: JsonSchema): Problem[] {
  return proveWithin(earlier, later).map(({ path, message }) => ({
    path,
    message: `not backward compatible: ${message}`,
  }));
}

/** The place is that of the version before: what it asked for is what the new one has given up. */
function forward(earlier: JsonSchema, later: JsonSchema): Problem[] {
  return proveWithin(later, earlier).map(({ path, message }) => ({
    path,
    message: `not forward compatible, what the version before asks here is not asked any more: ${message}`,
  }));
}
