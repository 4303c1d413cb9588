/**
 * The views that the one before has run go on at once, before all else that a leadership begins with. Only those of which nothing
 * has changed: by the site's state and the keys here their policy has the version that the one before ran. The others begin with
 * the first pass, as after a restart.
 */
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { planExports } from "../control/routes.ts";
import { KvStateStore } from "../control/state_store.ts";
import { viewKey } from "../control/step.ts";
import { TenantKeys } from "../nats/tenant_keys.ts";
import { policyVersion } from "../policy/compile.ts";
import { type SiteViews, viewRunner } from "./adapters.ts";

export interface EarlyViewsOptions {
  readonly nc: NatsConnection;
  readonly site: string;
  readonly dataFolder: string;
  readonly views: SiteViews;
  /** What the one before has run, with the version of each policy. */
  readonly ran: ReadonlyMap<string, string>;
}

/** @returns how many views go on */
export async function continueViews({
  nc,
  site,
  dataFolder,
  views,
  ran,
}: EarlyViewsOptions): Promise<number> {
  if (ran.size === 0) return 0;
  const state = await KvStateStore.read(jetstream(nc), site);
  if (state === null) return 0;
  const keys = new TenantKeys(dataFolder);
  const keysOf = async (tenant: string) => (await keys.peek(tenant)).keys;
  const runner = viewRunner(views, keysOf);
  let count = 0;
  for (const plan of planExports(state)) {
    const before = ran.get(viewKey(plan));
    // What another stream is read for may be read from another one by now.
    if (before === undefined || plan.route.type !== "view" || plan.origin !== site) continue;
    const { policy, tenant } = plan;
    if (policyVersion(policy, await keysOf(tenant.name), tenant.schemas) !== before) continue;
    await runner.start(plan, before);
    count++;
  }
  return count;
}
