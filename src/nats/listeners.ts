/** Who listens to a subject, as nats-server tells of its own subscriptions (`$SYS.REQ.SERVER.<id>.SUBSZ`). */
import { z } from "zod";
import type { SystemApi } from "./system_api.ts";

/** More than so many at one server are not told apart. */
const MOST = 64;

const Subsz = z.object({
  subscriptions_list: z
    .array(
      z.object({ account: z.string().default(""), subject: z.string(), sid: z.string(), cid: z.number() }),
    )
    .nullish(),
});
const Connz = z.object({ connections: z.array(z.unknown()).nullish() });

/** A subscription of a server itself. */
export interface Listener {
  /** The server's name. */
  readonly server: string;
  /** Another one after the server has started anew. */
  readonly id: string;
}

/**
 * What of the site's servers themselves listens to a literal subject in an account. Neither clients nor other servers are among
 * them, nor who listens from another account, which imports it, nor with a wildcard.
 * @throws {LeafmeshError} `server_failed` where the connected server does not answer; another one that does not is left out
 */
export async function listenersOf(
  system: Pick<SystemApi, "askEach" | "request">,
  account: string,
  subject: string,
): Promise<readonly Listener[]> {
  return await system.askEach(async ({ id, name }) =>
    (await listenersAt(system, id, { account, subject })).map((one) => ({
      server: name,
      id: `${id}/${one}`,
    })),
  );
}

async function listenersAt(
  system: Pick<SystemApi, "request">,
  server: string,
  of: { readonly account: string; readonly subject: string },
): Promise<readonly string[]> {
  const query = { account: of.account, subscriptions: true, test: of.subject, limit: MOST };
  const { subscriptions_list } = Subsz.parse(await system.request("SUBSZ", query, server));
  const listeners = (subscriptions_list ?? []).filter(
    ({ account, subject }) => account === of.account && subject === of.subject,
  );
  const clients = new Set<number>();
  for (const cid of new Set(listeners.map((one) => one.cid))) {
    const { connections } = Connz.parse(await system.request("CONNZ", { cid }, server));
    if ((connections ?? []).length > 0) clients.add(cid);
  }
  return listeners.filter(({ cid }) => !clients.has(cid)).map(({ cid, sid }) => `${cid}/${sid}`);
}
