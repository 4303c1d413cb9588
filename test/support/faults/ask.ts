/** Requests to the API of a site whose sidecar may be down just now. */
import { waitFor } from "../wait_for.ts";
import type { FaultRun } from "./fault.ts";

const WITHIN_MS = 120_000;
const REQUEST_MS = 10_000;

/** Asks a sidecar that may be down just now, until it answers with what is wanted. */
export async function ask(
  { world, site }: FaultRun,
  what: string,
  call: {
    readonly method: string;
    readonly path: string;
    readonly body?: object;
    readonly anyRevision?: boolean;
  },
): Promise<unknown> {
  return await waitFor(
    async () => {
      const headers: Record<string, string> = call.anyRevision === true ? { "if-match": "*" } : {};
      const signal = AbortSignal.timeout(REQUEST_MS);
      const response = await world.site(site).api(call.method, call.path, call.body, headers, signal);
      const text = await response.text();
      if (!response.ok) throw new Error(`${response.status} ${text.slice(0, 300)}`);
      return { value: JSON.parse(text) as unknown };
    },
    { what: `${site} to ${what}`, deadlineMs: WITHIN_MS, pollMs: 200 },
  ).then(({ value }) => value);
}
