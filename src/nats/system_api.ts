/** What the sidecar asks of the server over the system account (`$SYS.REQ.SERVER.<id>.…`). */
import type { NatsConnection } from "@nats-io/transport-node";
import type { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { linkAccount, tenantOfAccount } from "../model/names.ts";
import { redactSeeds } from "./server_log.ts";
import {
  AccountDetail,
  type AccountInfo,
  Accountz,
  Connz,
  Health,
  HealthProblems,
  type Leaf,
  type LeafStatus,
  Leafz,
  linkUp,
  Reply,
  Routez,
  type ServerInfo,
  Varz,
} from "./system_answers.ts";

const REQUEST_DEADLINE_MS = 5_000;
/** Connections that the server tells of in one answer. */
const CONNECTIONS_PAGE = 1024;

/** A client's connection. */
export interface ClientConnection {
  readonly id: number;
  /** Of the server that it is connected to. */
  readonly server: string;
  /** The user's public key, or the name that it has logged in with. */
  readonly login: string;
  readonly ip: string;
}

/** Whether a server stores events. `broken`: it does, but not in these streams (`<account>/<stream>`). */
export type StoringStatus =
  | { readonly type: "on" }
  | { readonly type: "off" }
  | { readonly type: "broken"; readonly streams: readonly string[] };

/**
 * The system API of the server that a connection of the system account is connected to. Of a cluster, the other servers are
 * asked too for what each of them has alone: links and clients.
 */
export class SystemApi {
  readonly #connection: NatsConnection;
  readonly #clustered: boolean;

  constructor(connection: NatsConnection, clustered = false) {
    this.#connection = connection;
    this.#clustered = clustered;
  }

  /** The connected server's id; it changes when the server restarts. */
  get serverId(): string {
    return this.#connection.info?.server_id ?? "";
  }

  /** The name that the connected server has. */
  get serverName(): string {
    return this.#connection.info?.server_name ?? "";
  }

  /** The server's own account of itself. */
  async varz(): Promise<ServerInfo> {
    return Varz.parse(await this.request("VARZ"));
  }

  /**
   * Whether the server stores events. When it cannot write to its disk it switches JetStream off, or leaves a stream that
   * takes nothing any more; neither mends itself before a restart.
   * @param streams whether its streams are looked at one by one
   */
  async storing(streams = true): Promise<StoringStatus> {
    if ((await this.varz()).jetstream?.config === undefined) return { type: "off" };
    if (!streams) return { type: "on" };
    const { errors } = HealthProblems.parse(await this.request("HEALTHZ", { details: true }));
    const broken = (errors ?? []).filter(({ type }) => type === "STREAM");
    if (broken.length === 0) return { type: "on" };
    return { type: "broken", streams: broken.map(({ account, stream }) => `${account}/${stream}`) };
  }

  /** Whether server, streams and consumers are ready, in the server's words when not. */
  async health(): Promise<{ readonly ok: boolean; readonly error: string }> {
    const reply = Health.parse(await this.request("HEALTHZ"));
    return { ok: reply.status === "ok", error: reply.error };
  }

  /** Names of all accounts that the running server has, without the two that are not ours (`$G`, `$SYS`). */
  async accounts(): Promise<string[]> {
    const { accounts } = Accountz.parse(await this.request("ACCOUNTZ"));
    return (accounts ?? []).filter((name) => !name.startsWith("$")).sort();
  }

  /** One account with its borders as they are in force; `null` when the server has no such account. */
  async account(name: string): Promise<AccountInfo | null> {
    if (!(await this.accounts()).includes(name)) return null;
    return AccountDetail.parse(await this.request("ACCOUNTZ", { account: name })).account_detail;
  }

  /** Ids of all servers of the site that this one is connected to, itself first. */
  async servers(): Promise<readonly string[]> {
    return (await this.namedServers()).map(({ id }) => id);
  }

  /** The servers of the site that this one is connected to, itself first. */
  async namedServers(): Promise<readonly { readonly id: string; readonly name: string }[]> {
    return [{ id: this.serverId, name: this.serverName }, ...(await this.otherServers())];
  }

  /**
   * What each server of the site answers, itself first; another one that does not answer is left out.
   * @throws what `ask` throws for the connected server
   */
  async askEach<T>(
    ask: (server: { readonly id: string; readonly name: string }) => Promise<readonly T[]>,
  ): Promise<T[]> {
    const answers: T[] = [];
    for (const server of await this.namedServers()) {
      try {
        answers.push(...(await ask(server)));
      } catch (error) {
        if (server.id === this.serverId) throw error;
      }
    }
    return answers;
  }

  /** The other servers of the site that this one is connected to. */
  async otherServers(): Promise<readonly { readonly id: string; readonly name: string }[]> {
    if (!this.#clustered) return [];
    const { routes } = Routez.parse(await this.request("ROUTEZ"));
    const names = new Map((routes ?? []).map(({ remote_id, remote_name }) => [remote_id, remote_name]));
    return [...names].map(([id, name]) => ({ id, name }));
  }

  /**
   * The servers of the site that this one is connected to, itself among them, by name, each with the accounts that have a leaf
   * connection there; `null`: it does not answer.
   */
  async serverLinks(): Promise<ReadonlyMap<string, ReadonlySet<string> | null>> {
    const links = await Promise.all(
      (await this.namedServers()).map(async ({ id, name }): Promise<[string, ReadonlySet<string> | null]> => {
        try {
          const { leafs } = Leafz.parse(await this.request("LEAFZ", {}, id));
          return [name, new Set((leafs ?? []).map(({ account }) => account))];
        } catch {
          return [name, null];
        }
      }),
    );
    return new Map(links);
  }

  /** The leaf link of each of `peers`: of a cluster any one, of this server before those of others. */
  async leafs(peers: readonly string[]): Promise<LeafStatus[]> {
    const leafs = await this.#leafs();
    return peers.map((peer) => {
      const found = leafs.find(({ account }) => account === linkAccount(peer));
      return found === undefined ? { type: "down", peer } : linkUp(peer, found);
    });
  }

  /** The accounts that have a leaf connection, at any server. */
  async leafAccounts(): Promise<string[]> {
    return [...new Set((await this.#leafs()).map(({ account }) => account))];
  }

  /** Whether there is a link with a peer, at any server. */
  async isLinked(peer: string): Promise<boolean> {
    return (await this.leafAccounts()).includes(linkAccount(peer));
  }

  /**
   * Cuts the leaf connections of a peer, which a reload alone leaves open.
   *
   * @param where at this server alone, or at every server of the site
   * @returns how many there were
   */
  async kickLeaf(peer: string, where: "here" | "everywhere" = "everywhere"): Promise<number> {
    return await this.kickAccount(linkAccount(peer), where);
  }

  /**
   * Cuts the leaf connections of an account, at all servers that answer.
   *
   * @returns how many there were
   * @throws LeafmeshError `server_failed` when one of the servers does not answer; those at the others are cut
   */
  async kickAccount(account: string, where: "here" | "everywhere" = "everywhere"): Promise<number> {
    const cut = async (server: string): Promise<number> => {
      const found = (await this.#leafsAt(server)).filter((leaf) => leaf.account === account);
      for (const leaf of found) await this.request("KICK", { cid: leaf.id }, server);
      return found.length;
    };
    const servers = where === "here" ? [this.serverId] : await this.servers();
    const results = await Promise.allSettled(servers.map(cut));
    let count = 0;
    for (const result of results) {
      if (result.status === "rejected") throw result.reason;
      count += result.value;
    }
    return count;
  }

  /** The open connections of clients in an account. */
  async connections(account: string): Promise<ClientConnection[]> {
    const found: ClientConnection[] = [];
    for (const server of await this.servers()) found.push(...(await this.#connections(account, server)));
    return found;
  }

  /**
   * Closes the connections of a user in an account that a reload has left open. Another server of the site that does not answer
   * has its own sidecar to do so.
   *
   * @returns how many there were
   */
  async kickUser(account: string, login: string): Promise<number> {
    const all = await this.askEach(({ id }) => this.#connections(account, id));
    const left = all.filter((one) => one.login === login);
    // One that has gone by itself in between is no failure.
    for (const { id, server } of left) await this.request("KICK", { cid: id }, server).catch(() => undefined);
    return left.length;
  }

  /**
   * Makes the server read its configuration file again, twice: an account that is new is deaf for what it imports until
   * the second time (NATS-FACTS 0.4).
   *
   * @throws LeafmeshError `server_config_refused` with the server's words; the old configuration stays in force
   */
  async reload(): Promise<void> {
    for (let i = 0; i < 2; i++) await this.request("RELOAD");
  }

  /**
   * One request to the server, or another one of the site; resolves to the reply's `data`.
   *
   * @throws LeafmeshError `server_config_refused` when a RELOAD is refused, `server_failed` otherwise
   */
  async request(verb: string, body: unknown = {}, server = this.serverId): Promise<unknown> {
    const subject = `$SYS.REQ.SERVER.${server}.${verb}`;
    let reply: z.infer<typeof Reply>;
    try {
      const message = await this.#connection.request(subject, JSON.stringify(body), {
        timeout: REQUEST_DEADLINE_MS,
      });
      reply = Reply.parse(message.json());
    } catch (thrown) {
      throw new LeafmeshError("server_failed", `nats-server does not answer ${verb}: ${errorText(thrown)}`, {
        cause: thrown,
      });
    }
    if (reply.error === undefined) return reply.data;
    const words = redactSeeds(reply.error.description);
    throw verb === "RELOAD"
      ? new LeafmeshError(
          "server_config_refused",
          `nats-server refuses to reload its configuration: ${words}`,
        )
      : new LeafmeshError("server_failed", `nats-server refuses ${verb}: ${words}`);
  }

  /** All leaf connections, those of the connected server first. */
  async #leafs(): Promise<Leaf[]> {
    return (await Promise.all((await this.servers()).map((server) => this.#leafsAt(server)))).flat();
  }

  async #leafsAt(server: string): Promise<readonly Leaf[]> {
    return Leafz.parse(await this.request("LEAFZ", {}, server)).leafs ?? [];
  }

  async #connections(account: string, server: string): Promise<ClientConnection[]> {
    const found: ClientConnection[] = [];
    for (let offset = 0; ; offset += CONNECTIONS_PAGE) {
      const query = { acc: account, auth: true, limit: CONNECTIONS_PAGE, offset };
      const { total, connections } = Connz.parse(await this.request("CONNZ", query, server));
      for (const { cid, authorized_user, ip } of connections ?? []) {
        found.push({ id: cid, server, login: authorized_user, ip });
      }
      if ((connections ?? []).length === 0 || offset + CONNECTIONS_PAGE >= total) return found;
    }
  }
}

/** Tenants whose account the running server has although `wanted` does not name them (for `retiredTenants`). */
export function retiredTenants(accounts: readonly string[], wanted: readonly string[]): string[] {
  return accounts
    .map(tenantOfAccount)
    .filter((tenant) => tenant !== null)
    .filter((tenant) => !wanted.includes(tenant))
    .sort();
}
