/** What routes of jobs have in common: each has an id, they are listed, and one is shown at once or when it has ended. */
import { z } from "@hono/zod-openapi";
import { jsonResponse } from "./schema/response.ts";

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

/** The answer that lists jobs. @param id name of the list in the OpenAPI document */
export function jobList<Report extends z.ZodType>(report: Report, id: string) {
  return jsonResponse(z.object({ items: z.array(report).readonly() }).meta({ id }), "All");
}
