/** Who listens to a subject, as nats-server tells of its own subscriptions (`$SYS.REQ.SERVER.<id>.SUBSZ`). */
import { z } from "zod";
import type { SystemApi } from "./system_api.ts";

/** More than so many at one server are not told apart. */
const MOST = 64;

const Subsz = z.object({
  subscriptions_list: z.array(z.object({ subject: z.string(), sid: z.string(), cid: z.number() })).nullish(),
});
const Connz = z.object({ connections: z.array(z.unknown()).nullish() });

/**
 * What of the site's servers themselves listens to a literal subject in an account, by the server's name: the ids of the subscriptions.
 * Neither clients nor other servers are among them, nor who listens with a wildcard.
 * @throws {LeafmeshError} `server_failed` where the connected server does not answer; another one that does not is left out
 */
export async function listenersOf(
  system: Pick<SystemApi, "serverId" | "namedServers" | "request">,
  account: string,
  subject: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const { id, name } of await system.namedServers()) {
    try {
      found.set(name, await listenersAt(system, id, { account, subject }));
    } catch (error) {
      if (id === system.serverId) throw error;
    }
  }
  return found;
}

async function listenersAt(
  system: Pick<SystemApi, "request">,
  server: string,
  { account, subject }: { readonly account: string; readonly subject: string },
): Promise<readonly string[]> {
  const query = { account, subscriptions: true, test: subject, limit: MOST };
  const { subscriptions_list } = Subsz.parse(await system.request("SUBSZ", query, server));
  const listeners = (subscriptions_list ?? []).filter((one) => one.subject === subject);
  const clients = new Set<number>();
  for (const cid of new Set(listeners.map((one) => one.cid))) {
    const { connections } = Connz.parse(await system.request("CONNZ", { cid }, server));
    if ((connections ?? []).length > 0) clients.add(cid);
  }
  return listeners.filter(({ cid }) => !clients.has(cid)).map(({ cid, sid }) => `${cid}/${sid}`);
}
