/** What a tenant may take of the disk: the sum of the limits that the server holds its streams and its account to. */
import type { DesiredTenant } from "./desired.ts";

/** The log against each of the streams that it is made of. */
export const LOG_STORAGE_FACTOR = 3;
/** For what apps make, and for the sessions of MQTT, at the least. */
const APPS_LEAST_BYTES = 32 * 1024 ** 2;

/** Bytes on disk that a tenant may take at most. */
export interface TenantBudget {
  readonly tenant: string;
  /** What its apps publish, what peers send, views, mirrors, dead letters: so many streams of `limits.storage` each. */
  readonly streams: number;
  /** What its account may take: the log, and what its apps make. */
  readonly accountBytes: number;
  readonly totalBytes: number;
}

/** What a tenant's account may take: its log, and `limits.streamStorage`. */
export function accountBudget({ limits }: DesiredTenant): number {
  const log = limits.storageBytes * LOG_STORAGE_FACTOR;
  return log + Math.max(limits.streamStorageBytes, APPS_LEAST_BYTES);
}

/** The budget of a tenant. @param views how many of its exports run as a view */
export function tenantBudget(tenant: DesiredTenant, views: number): TenantBudget {
  const { name, limits, imports } = tenant;
  const mirrors = new Set(imports.filter((one) => one.mirror === true).map(({ from }) => from)).size;
  const quiet = imports.some((one) => one.mirror !== true && one.live === false) ? 1 : 0;
  // Out and in; what is not live; views with the one stream of dead letters; mirrors.
  const streams = 2 + quiet + (views > 0 ? views + 1 : 0) + mirrors;
  const accountBytes = accountBudget(tenant);
  return { tenant: name, streams, accountBytes, totalBytes: streams * limits.storageBytes + accountBytes };
}
