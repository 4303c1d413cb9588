/** Checks what was given on the command line or in a file before it leaves this machine. */
import type { z } from "zod";
import { type ErrorCode, formatProblem, LeafmeshError } from "../model/errors.ts";
import { schemaProblemList } from "../model/schema_problems.ts";
import type { Call } from "./command.ts";

/** `value` as the schema has it. @throws LeafmeshError with all problems; a seed is never repeated */
export function checked<T extends z.ZodType>(
  schema: T,
  value: unknown,
  what: string,
  code: ErrorCode = "request_invalid",
): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = schemaProblemList(schema, value, parsed.error);
  const list = problems.map((problem) => `\n  ${formatProblem(problem)}`).join("");
  throw new LeafmeshError(code, `${what} is not valid:${list}`, { problems });
}

/** Text of the file that a flag names. @throws LeafmeshError `request_invalid` when the flag is missing */
export async function fileOfFlag(call: Call, flag: string): Promise<{ path: string; text: string }> {
  const path = call.flag(flag);
  if (path === undefined) throw new LeafmeshError("request_invalid", `--${flag} PATH is missing`);
  return { path, text: new TextDecoder().decode(await call.effects.readFile(path)) };
}

/** What became of a write, as a sentence's end. */
export function appliedText(applied: boolean): string {
  return applied ? "and applied" : "but not all is applied yet: see 'leafmesh status' and 'leafmesh plan'";
}
