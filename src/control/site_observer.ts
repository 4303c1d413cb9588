/** Looks at the server for the control plane: streams, consumers, accounts, and the servers of a cluster. */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { DesiredState } from "../model/desired.ts";
import { tenantAccount } from "../model/names.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { TenantKeys } from "../nats/tenant_keys.ts";
import { usedKeys } from "../policy/compile.ts";
import { clusterNames } from "./cluster_names.ts";
import type { ServerLinks } from "./linked_leaders.ts";
import { type Observed, type ObservedStreams, observeLog, observeMesh, observeReaders } from "./observe.ts";
import type { SiteServer } from "./site_server.ts";

export interface SiteObserverOptions {
  readonly nc: NatsConnection;
  readonly mesh: JetStreamManager;
  readonly tenant: (tenant: string) => Promise<JetStreamManager>;
  readonly system: SystemApi;
  readonly server: SiteServer;
  readonly tenantKeys: TenantKeys;
}

/** What the server of a site has now. */
export class SiteObserver {
  readonly #options: SiteObserverOptions;
  readonly #desired: () => DesiredState;
  #servers: ServerLinks | null = null;

  constructor(options: SiteObserverOptions, desired: () => DesiredState) {
    this.#options = options;
    this.#desired = desired;
  }

  /** Whether streams are kept by several servers. */
  get isClustered(): boolean {
    return (this.#desired().replicas ?? 1) > 1;
  }

  /** The servers of a cluster as the last pass saw them; `null`: the site is one server, or none has looked. */
  get servers(): ServerLinks | null {
    return this.#servers;
  }

  /** The streams of MESH with their consumers. */
  async streams(): Promise<ObservedStreams> {
    const { mesh, nc } = this.#options;
    if (!this.isClustered) return await observeMesh(mesh);
    const peers = new Set(this.#desired().peers.map(({ name }) => name));
    return await observeMesh(mesh, clusterNames(nc, peers));
  }

  /** All that a plan is held against. Before, the tenants' keys are read: versions of policies count them. */
  async observe({ tenants }: DesiredState): Promise<Observed> {
    const { system, tenant, tenantKeys } = this.#options;
    await this.#options.server.look();
    this.#servers = this.isClustered ? await system.serverLinks() : null;
    // What keeps keys from being read is told by the step that needs them.
    await Promise.all(
      tenants
        .filter(({ exports }) => exports.some((policy) => usedKeys(policy).length > 0))
        .map(({ name }) => tenantKeys.load(name).catch(() => undefined)),
    );
    const logs = new Map<string, NonNullable<Awaited<ReturnType<typeof observeLog>>> | null>();
    const readers = new Map<string, Awaited<ReturnType<typeof observeReaders>>>();
    const accounts = new Set(await system.accounts());
    await Promise.all(
      tenants.map(async ({ name }) => {
        if (!accounts.has(tenantAccount(name))) return;
        const info = await observeLog(await tenant(name), name);
        if (info === undefined) return;
        logs.set(name, info);
        if (info === null || info.state.consumer_count === 0) return;
        readers.set(name, await observeReaders(await tenant(name), name));
      }),
    );
    return { mesh: await this.streams(), logs, readers };
  }
}
