/**
 * Keeps the connection of one that has led from changing anything: what it sends is held back until the lease is certain again, and
 * refused where another one leads.
 */
import type { Msg, NatsConnection, SubscriptionOptions } from "@nats-io/transport-node";
import { LeafmeshError } from "../../model/errors.ts";

/** One leadership, from its begin to its end. */
export interface Term {
  readonly epoch: number;
  /** Whether this sidecar leads as far as it knows. */
  readonly holds: () => boolean;
  /** Whether this sidecar leads, for certain and now. */
  readonly certain: () => boolean;
  /** Looks where that is in doubt. */
  readonly confirm: () => Promise<boolean>;
}

/** @throws LeafmeshError `no_leader` when another one leads, or nobody can tell */
export async function requireTerm(term: Term): Promise<void> {
  if (term.certain() || (await term.confirm())) return;
  throw new LeafmeshError("no_leader", `This sidecar leads no more (epoch ${term.epoch})`);
}

/**
 * Guards a connection that belongs to a term alone. Requests wait until the term is certain; what is published without an answer is
 * left out where it is not, and what arrives meanwhile is not heard.
 */
export function guardConnection(nc: NatsConnection, term: Term): NatsConnection {
  const request = nc.request.bind(nc);
  const requestMany = nc.requestMany.bind(nc);
  const publish = nc.publish.bind(nc);
  const subscribe = nc.subscribe.bind(nc);
  return Object.assign(nc, {
    request: async (...args: Parameters<NatsConnection["request"]>): Promise<Msg> => {
      await requireTerm(term);
      return await request(...args);
    },
    requestMany: async (...args: Parameters<NatsConnection["requestMany"]>) => {
      await requireTerm(term);
      return await requestMany(...args);
    },
    publish: (...args: Parameters<NatsConnection["publish"]>) => {
      if (term.certain()) publish(...args);
    },
    subscribe: (subject: string, options: SubscriptionOptions = {}) => {
      const { callback } = options;
      if (callback === undefined) return subscribe(subject, options);
      const heard: NonNullable<SubscriptionOptions["callback"]> = (error, message) => {
        if (term.certain()) {
          callback(error, message);
          return;
        }
        void term.confirm().then((sure) => {
          if (sure) callback(error, message);
        });
      };
      return subscribe(subject, { ...options, callback: heard });
    },
  });
}
