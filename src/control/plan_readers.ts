/** Steps for the consumers that users of a tenant read its log through. */
import type { DesiredTenant } from "../model/desired.ts";
import { userConsumer } from "../model/names.ts";
import { readerSpec } from "./assets.ts";
import { consumerDifferences } from "./differences.ts";
import type { PlanInput } from "./plan.ts";
import type { Step } from "./step.ts";

/** A user makes no consumer: who makes one has the server send where it likes. So the sidecar makes it, and it is all the user gets. */
export function planReaders(
  input: PlanInput,
  tenant: DesiredTenant,
): { readonly steps: readonly Step[]; readonly deletes: readonly Step[] } {
  const observed = input.observed.readers?.get(tenant.name) ?? [];
  const users = tenant.users.filter((user) => user.log === true);
  const wanted = new Set(users.map(({ name }) => userConsumer(name)));
  const deletes = observed
    .filter(({ name }) => !wanted.has(name))
    .map(({ name }): Step => {
      const why = "its user is gone, or has no consumer any more";
      return { type: "delete-reader", tenant: tenant.name, consumer: name, why };
    });
  // Without an answer of the account nothing is known yet.
  if (!tenant.log || !input.observed.logs.has(tenant.name)) return { steps: [], deletes };
  const steps = users.flatMap((user): Step[] => {
    const spec = readerSpec(tenant.name, user);
    const there = observed.find(({ name }) => name === spec.durable_name);
    if (there === undefined) return [{ type: "create-reader", tenant: tenant.name, spec }];
    const same = consumerDifferences(spec, there.config).length === 0;
    return same ? [] : [{ type: "update-reader", tenant: tenant.name, spec }];
  });
  return { steps, deletes };
}
