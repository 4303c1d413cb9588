/**
 * What an exporter asks for whose consumer stands behind what its peer has stored: the RESET with which the peer took it back was lost, with
 * an older copy of the exporter's store, or with a disk that was full. The peer takes the source out, and attaches it after what it has.
 */
import type { z } from "zod";
import { remoteStreams, siteApiPrefix } from "../../model/names.ts";
import { unlessGone } from "../../nats/jetstream_errors.ts";
import type { ApplyContext } from "../apply.ts";
import { takeOut } from "../apply_sources.ts";
import { RewindAsk } from "./rewind.ts";

/** Which stream of which tenant. */
export const AgainAsk = RewindAsk.pick({ tenant: true, stream: true });
export type AgainAsk = z.infer<typeof AgainAsk>;

/** Takes the sources of a peer's stream out; the plan puts them in again. */
export async function takeOutAgain(
  context: Pick<ApplyContext, "mesh" | "tenant" | "waits">,
  peer: string,
  ask: AgainAsk,
): Promise<void> {
  const account = { type: "mesh" } as const;
  for (const stream of remoteStreams(ask.tenant)) {
    await unlessGone(
      takeOut(context, { account, stream, api: siteApiPrefix(peer), source: ask.stream }),
      undefined,
    );
  }
}
