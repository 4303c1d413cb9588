/** Two tenants of one link: what acme publishes is shared through a view, what globex publishes natively. */
import type { TenantDocument } from "../../src/model/schema/tenant.ts";

export const TWO_KINDS = ["acme", "globex"] as const;

/** The tenants of `site`: berlin shares `<tenant>.orders.>` with austin. */
export function twoKinds(site: string): TenantDocument[] {
  return TWO_KINDS.map((tenant) =>
    site === "berlin"
      ? {
          tenant,
          exports: [
            {
              name: "out",
              to: ["austin"],
              rules: [
                {
                  subjects: [`${tenant}.orders.>`],
                  ...(tenant === "acme" ? { headers: { set: { seen: "yes" } } } : {}),
                },
              ],
            },
          ],
        }
      : { tenant, imports: [{ from: "berlin", subjects: [`${tenant}.>`] }] },
  );
}
