/** The users of a tenant with what the server knows of them. */
import type { DesiredTenant } from "../model/desired.ts";
import { tenantAccount, userConsumer } from "../model/names.ts";
import { isExpired, loginOf, roleOf } from "../model/schema/user.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { UserReport } from "./api.ts";

/** Reports the users of a tenant in the order of its document. */
export async function reportUsers(
  { name: tenant, users }: DesiredTenant,
  system: Pick<SystemApi, "connections">,
  now: Date,
): Promise<readonly UserReport[]> {
  const open = new Map<string, number>();
  for (const { login } of await system.connections(tenantAccount(tenant))) {
    open.set(login, (open.get(login) ?? 0) + 1);
  }
  return users.map((user) => ({
    name: user.name,
    role: roleOf(user),
    kind: user.key === undefined ? "password" : "nkey",
    login: loginOf(tenant, user),
    subjects: user.subjects ?? null,
    consumer: user.log === true ? userConsumer(user.name) : null,
    expires: user.expires ?? null,
    expired: isExpired(user, now),
    connections: open.get(loginOf(tenant, user)) ?? 0,
  }));
}
