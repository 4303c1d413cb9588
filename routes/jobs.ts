/** What routes of jobs have in common: each has an id, and one is shown at once or when it has ended. */
import { z } from "@hono/zod-openapi";

/** How long `wait=true` waits for the end. */
const WAIT_MS = 10_000;

/** The id of a job, as a part of the path. */
export const JobId = z.string().min(1).max(64);

/** Whether an answer waits. @param when what it waits for, for example `when it has ended` */
export function waitQuery(when: string) {
  return z.strictObject({
    wait: z
      .enum(["true", "false"])
      .optional()
      .meta({ description: `Answer ${when}, or after ${WAIT_MS / 1000} seconds` }),
  });
}

/** How long an answer waits for the end of its job, milliseconds. */
export function waitMs({ wait }: z.infer<ReturnType<typeof waitQuery>>): number {
  return wait === "true" ? WAIT_MS : 0;
}
