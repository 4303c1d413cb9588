/** What differs between two states for the server's configuration, in words. */
import type { DesiredState } from "../model/desired.ts";

/** Each account and link that is added, removed or changed. */
export function describeChanges(before: DesiredState, after: DesiredState): string[] {
  return [
    ...describeNamed("tenant", before.tenants, after.tenants, (tenant) => [
      tenant.users,
      tenant.limits,
      tenant.imports,
    ]),
    ...describeNamed("peer", before.peers, after.peers, (peer) => peer),
    ...describeNamed("invitation", invitationsOf(before), invitationsOf(after), (one) => one.key),
  ];
}

function invitationsOf({ invitations = [] }: DesiredState) {
  return invitations.map(({ id, key }) => ({ name: id, key }));
}

function describeNamed<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  part: (one: T) => unknown,
): string[] {
  const said: string[] = [];
  for (const one of after) {
    const old = before.find((other) => other.name === one.name);
    if (old === undefined) said.push(`+ ${what} ${one.name}`);
    else if (JSON.stringify(part(old)) !== JSON.stringify(part(one))) said.push(`~ ${what} ${one.name}`);
  }
  for (const old of before) {
    if (!after.some((one) => one.name === old.name)) said.push(`- ${what} ${old.name}`);
  }
  return said;
}
