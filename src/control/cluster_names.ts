/** Names of what a cluster has, from its list of all: also of what has no leader for a moment. */
import type { NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { LeafmeshError } from "../model/errors.ts";
import { LOG_CONSUMER, viewConsumer } from "../model/names.ts";
import type { ClusterNames } from "./observe.ts";

const WITHIN_MS = 5000;
const VIEWS = viewConsumer("");
const Answer = z.object({
  total: z.number().default(0),
  consumers: z.array(z.string()).nullish(),
  error: z.object({ description: z.string().default("") }).optional(),
});

/**
 * Asks the server of a connection to MESH. Consumers that somebody else made for a moment are not ours: they may be held by
 * a server that is gone. @param peers names of all peers
 */
export function clusterNames(nc: NatsConnection, peers: ReadonlySet<string>): ClusterNames {
  return {
    isOurs: (name) => name === LOG_CONSUMER || name.startsWith(VIEWS) || peers.has(name),
    consumers: async (stream) => {
      const found: string[] = [];
      for (;;) {
        const request = JSON.stringify({ offset: found.length });
        const reply = await nc.request(`$JS.API.CONSUMER.NAMES.${stream}`, request, { timeout: WITHIN_MS });
        const { total, consumers, error } = Answer.parse(reply.json());
        if (error !== undefined) {
          throw new LeafmeshError("server_failed", `The consumers of ${stream}: ${error.description}`);
        }
        found.push(...(consumers ?? []));
        if ((consumers ?? []).length === 0 || found.length >= total) return found;
      }
    },
  };
}
