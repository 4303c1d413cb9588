/** What the sidecar asks of the server over the system account (`$SYS.REQ.SERVER.<id>.…`). */
import type { NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { linkAccount, tenantOfAccount } from "../model/names.ts";
import { parseGoDurationMs } from "./go_duration.ts";
import { redactSeeds } from "./server_log.ts";

const REQUEST_DEADLINE_MS = 5_000;

const Leaf = z.object({
  id: z.number(),
  name: z.string().default(""),
  account: z.string(),
  ip: z.string().default(""),
  port: z.number().default(0),
  rtt: z.string().optional(),
  is_spoke: z.boolean().default(false),
  in_msgs: z.number().default(0),
  out_msgs: z.number().default(0),
  in_bytes: z.number().default(0),
  out_bytes: z.number().default(0),
  compression: z.string().optional(),
});
const Leafz = z.object({ leafs: z.array(Leaf).nullish() });
const Accountz = z.object({ accounts: z.array(z.string()).nullish() });
const Export = z.object({
  type: z.enum(["service", "stream"]),
  subject: z.string(),
  approved_accounts: z.array(z.string()).nullish(),
});
const Import = z.object({
  type: z.enum(["service", "stream"]),
  /** Owner of the subject. */
  account: z.string(),
  subject: z.string(),
  /** Its name in the importing account. */
  local_subject: z.string(),
  invalid: z.boolean(),
});
const AccountDetail = z.object({
  account_detail: z.object({
    account_name: z.string(),
    jetstream_enabled: z.boolean(),
    leafnode_connections: z.number(),
    client_connections: z.number(),
    exports: z.array(Export).nullish(),
    imports: z.array(Import).nullish(),
  }),
});
const Varz = z.looseObject({
  server_id: z.string(),
  server_name: z.string(),
  version: z.string(),
  host: z.string(),
  port: z.number(),
  mem: z.number(),
  cpu: z.number(),
  connections: z.number(),
  slow_consumers: z.number(),
  start: z.string(),
  config_load_time: z.string(),
  config_digest: z.string().optional(),
  max_payload: z.number(),
  jetstream: z
    .looseObject({
      config: z
        .looseObject({
          store_dir: z.string().optional(),
          domain: z.string().optional(),
          sync_always: z.boolean().optional(),
        })
        .optional(),
    })
    .optional(),
  leaf: z
    .looseObject({
      host: z.string().optional(),
      port: z.number().optional(),
      tls_required: z.boolean().optional(),
      tls_verify: z.boolean().optional(),
      remotes: z.array(z.looseObject({ local_account: z.string().optional() })).optional(),
    })
    .optional(),
  feature_flags: z.record(z.string(), z.boolean()).optional(),
});
const HealthProblem = z.object({
  type: z.string(),
  account: z.string().default(""),
  stream: z.string().default(""),
});
const Reply = z.object({
  data: z.unknown().optional(),
  error: z.object({ code: z.number().optional(), description: z.string().default("") }).optional(),
});

const Connection = z.object({
  cid: z.number(),
  authorized_user: z.string().default(""),
  ip: z.string().default(""),
  name: z.string().default(""),
});
const Route = z.object({ remote_id: z.string(), remote_name: z.string().default("") });
const Routez = z.object({ routes: z.array(Route).nullish() });
const Connz = z.object({ total: z.number(), connections: z.array(Connection).nullish() });
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

/** The leaf link of one peer as this server sees it. */
export type LeafStatus =
  | { readonly type: "down"; readonly peer: string }
  | {
      readonly type: "up";
      readonly peer: string;
      /** Connection id, for a kick. */
      readonly id: number;
      /** The name that the peer's server gives itself: a claim, not a proof. */
      readonly name: string;
      readonly ip: string;
      readonly port: number;
      /** Whether we dialed. */
      readonly dialed: boolean;
      readonly rttMs: number | null;
      readonly inMessages: number;
      readonly outMessages: number;
      readonly inBytes: number;
      readonly outBytes: number;
      readonly compression: string | null;
    };

export type ServerInfo = z.infer<typeof Varz>;
export type AccountInfo = z.infer<typeof AccountDetail>["account_detail"];

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
    const { errors } = z
      .object({ errors: z.array(HealthProblem).nullish() })
      .parse(await this.request("HEALTHZ", { details: true }));
    const broken = (errors ?? []).filter(({ type }) => type === "STREAM");
    if (broken.length === 0) return { type: "on" };
    return { type: "broken", streams: broken.map(({ account, stream }) => `${account}/${stream}`) };
  }

  /** Whether server, streams and consumers are ready, in the server's words when not. */
  async health(): Promise<{ readonly ok: boolean; readonly error: string }> {
    const reply = z
      .object({ status: z.string(), error: z.string().default("") })
      .parse(await this.request("HEALTHZ"));
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
      const found = leafs.find(({ leaf }) => leaf.account === linkAccount(peer));
      return found === undefined ? { type: "down", peer } : up(peer, found.leaf);
    });
  }

  /** The accounts that have a leaf connection, at any server. */
  async leafAccounts(): Promise<string[]> {
    return [...new Set((await this.#leafs()).map(({ leaf }) => leaf.account))];
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

  /** Cuts the leaf connections of an account. @returns how many there were */
  async kickAccount(account: string, where: "here" | "everywhere" = "everywhere"): Promise<number> {
    const found = (await this.#leafs(where)).filter(({ leaf }) => leaf.account === account);
    for (const { server, leaf } of found) await this.request("KICK", { cid: leaf.id }, server);
    return found.length;
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

  /** All leaf connections with the server that has each. */
  async #leafs(
    where: "here" | "everywhere" = "everywhere",
  ): Promise<{ readonly server: string; readonly leaf: z.infer<typeof Leaf> }[]> {
    const found = await Promise.all(
      (where === "here" ? [this.serverId] : await this.servers()).map(async (server) => {
        const { leafs } = Leafz.parse(await this.request("LEAFZ", {}, server));
        return (leafs ?? []).map((leaf) => ({ server, leaf }));
      }),
    );
    return found.flat();
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

function up(peer: string, leaf: z.infer<typeof Leaf>): LeafStatus {
  return {
    type: "up",
    peer,
    id: leaf.id,
    name: leaf.name,
    ip: leaf.ip,
    port: leaf.port,
    dialed: leaf.is_spoke,
    rttMs: parseGoDurationMs(leaf.rtt),
    inMessages: leaf.in_msgs,
    outMessages: leaf.out_msgs,
    inBytes: leaf.in_bytes,
    outBytes: leaf.out_bytes,
    compression: leaf.compression ?? null,
  };
}
