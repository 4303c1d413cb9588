/**
 * The views that run, or that the one before has run, go on at once, before all else that a leadership begins with. Only those of
 * which nothing has changed: by the site's state and the keys here their policy has the version that they ran by. The others begin
 * with the first pass, as after a restart.
 */
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { planExports } from "../control/routes.ts";
import { KvStateStore } from "../control/state_store.ts";
import type { TenantKeys } from "../nats/tenant_keys.ts";
import { policyVersion, usedKeys } from "../policy/compile.ts";
import { viewOf, type WantedView } from "./adapters.ts";

export interface WantedViewsOptions {
  readonly nc: NatsConnection;
  readonly site: string;
  /** The keys of the tenants; none are made. */
  readonly keys: Pick<TenantKeys, "peek">;
}

/** The views that the state wants, by their keys: those of events of this site. */
export async function wantedViews({
  nc,
  site,
  keys,
}: WantedViewsOptions): Promise<ReadonlyMap<string, WantedView>> {
  const wanted = new Map<string, WantedView>();
  const state = await KvStateStore.read(jetstream(nc), site);
  if (state === null) return wanted;
  const keysOf = async (tenant: string) => (await keys.peek(tenant)).keys;
  for (const plan of planExports(state)) {
    // What another stream is read for may be read from another one by now.
    if (plan.route.type !== "view" || plan.origin !== site) continue;
    const { policy, tenant } = plan;
    const needed = usedKeys(policy).length === 0 ? {} : await keysOf(tenant.name);
    const view = await viewOf(plan, policyVersion(policy, needed, tenant.schemas), async () => needed);
    wanted.set(view.target.key, view);
  }
  return wanted;
}
