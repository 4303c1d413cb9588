/**
 * What an exporter asks for whose consumer stands behind what its peer has stored: the RESET with which the peer took it back was lost, with
 * an older copy of the exporter's store, or with a disk that was full. The peer takes the source out, and attaches it after what it has.
 */
import { z } from "zod";
import { remoteStreams, siteApiPrefix } from "../../model/names.ts";
import { Name } from "../../model/schema/scalars.ts";
import type { ApplyContext } from "../apply.ts";
import { takeOut } from "../apply_sources.ts";
import { observeMesh } from "../observe.ts";

export const AgainAsk = z.strictObject({
  tenant: Name,
  stream: z.string().regex(/^[a-z0-9_-]{1,120}$/),
});
export type AgainAsk = z.infer<typeof AgainAsk>;

/** Takes the sources of a peer's stream out; the plan puts them in again. */
export async function takeOutAgain(
  context: Pick<ApplyContext, "mesh" | "tenant" | "waits">,
  peer: string,
  ask: AgainAsk,
): Promise<void> {
  const there = await observeMesh(context.mesh);
  for (const stream of remoteStreams(ask.tenant)) {
    if (!there.has(stream)) continue;
    const account = { type: "mesh" } as const;
    await takeOut(context, { account, stream, api: siteApiPrefix(peer), source: ask.stream });
  }
}
