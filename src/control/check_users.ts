/** What is wrong with the users of a tenant that their schema cannot see. Pure. */
import type { Problem } from "../model/errors.ts";
import { tenantSubjects } from "../model/names.ts";
import type { TenantDocument } from "../model/schema/tenant.ts";
import { includes } from "../model/subject.ts";

/** Problems with paths in the tenant's document: users of one name, subjects of somebody else, a log that is not kept. */
export function checkUsers({ tenant, users = [], log }: TenantDocument): Problem[] {
  const problems: Problem[] = [];
  const report = (path: string, message: string) => problems.push({ path, message });
  for (const [index, user] of users.entries()) {
    const path = `users[${index}]`;
    const first = users.findIndex(({ name }) => name === user.name);
    if (first !== index) report(`${path}.name`, `User '${user.name}' is there already, as users[${first}]`);
    for (const [place, pattern] of (user.subjects ?? []).entries()) {
      if (includes(tenantSubjects(tenant), pattern)) continue;
      report(
        `${path}.subjects[${place}]`,
        `'${pattern}' is not of the tenant (expected subjects that begin with '${tenant}.')`,
      );
    }
    if (user.log === true && log === false) {
      report(`${path}.log`, `tenant '${tenant}' keeps no log: remove 'log: false' from the tenant`);
    }
  }
  return problems;
}
