/** Real webhook payloads of GitHub, from the package `@octokit/webhooks-examples`. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { z } from "zod";

/** An object of JSON; its members are looked at only where a check needs them. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** One payload, with what GitHub says about it beside the payload. */
export interface Example {
  /** For example `pull_request`. */
  readonly event: string;
  /** For example `opened`; `null` where the event has no actions. */
  readonly action: string | null;
  readonly payload: JsonObject;
}

const Index = z.array(
  z.object({ name: z.string().min(1), examples: z.array(z.record(z.string(), z.unknown())) }),
);

/** Reads all payloads (329 of 58 events), in the order of the package. */
export async function loadExamples(): Promise<readonly Example[]> {
  const path = createRequire(import.meta.url).resolve("@octokit/webhooks-examples/api.github.com/index.json");
  const index = Index.parse(JSON.parse(await readFile(path, "utf8")));
  return index.flatMap(({ name, examples }) =>
    examples.map((payload) => ({
      event: name,
      action: typeof payload.action === "string" ? payload.action : null,
      payload,
    })),
  );
}
