/**
 * Which member runs which tenant's views. All views of a tenant are at one member. A tenant stays where it is as long as the members
 * have about as many views each; a hash of names would move tenants for nothing, and put two tenants of a small site at one member.
 */

/** How many views of each tenant each member has: tenant, then member. */
export type Places = ReadonlyMap<string, ReadonlyMap<string, number>>;

export interface Choice {
  readonly places: Places;
  /** Members that may run views; the first is preferred where two have as many. */
  readonly members: readonly string[];
  /** Whether a member can run a tenant's views: it may lack its keys. */
  readonly can: (member: string, tenant: string) => boolean;
}

/** The member for a tenant's next view: the one that has the others, else the one with the fewest. @returns `null`: none can */
export function choosePlace({ places, members, can }: Choice, tenant: string): string | null {
  const able = members.filter((member) => can(member, tenant));
  const there = [...(places.get(tenant) ?? [])].filter(([member]) => able.includes(member));
  const [most] = there.sort(([, left], [, right]) => right - left);
  if (most !== undefined) return most[0];
  const loads = loadsOf(places, able);
  return able.reduce<string | null>(
    (least, one) => (least === null || (loads.get(one) ?? 0) < (loads.get(least) ?? 0) ? one : least),
    null,
  );
}

/** The tenant to move next, and where; `null`: all are where they should be. One move after the other, this comes to an end. */
export function nextMove(choice: Choice): { readonly tenant: string; readonly to: string } | null {
  const { places, members, can } = choice;
  for (const [tenant, at] of [...places].sort(byName)) {
    const here = [...at.keys()];
    const right = here.length === 1 && here.every((one) => members.includes(one) && can(one, tenant));
    if (right) continue;
    const to = choosePlace(choice, tenant);
    if (to !== null && here.some((one) => one !== to)) return { tenant, to };
  }
  const loads = loadsOf(places, members);
  const order = [...members].sort((left, right) => (loads.get(left) ?? 0) - (loads.get(right) ?? 0));
  let best: { readonly tenant: string; readonly to: string; readonly gain: number } | null = null;
  for (const [tenant, at] of [...places].sort(byName)) {
    const [[from, views] = ["", 0]] = at;
    for (const to of order) {
      const apart = (loads.get(from) ?? 0) - (loads.get(to) ?? 0);
      if (to === from || views >= apart || !can(to, tenant)) continue;
      const gain = Math.min(views, apart - views);
      if (best === null || gain > best.gain) best = { tenant, to, gain };
    }
  }
  return best === null ? null : { tenant: best.tenant, to: best.to };
}

function loadsOf(places: Places, members: readonly string[]): Map<string, number> {
  const loads = new Map(members.map((member) => [member, 0]));
  for (const at of places.values()) {
    for (const [member, views] of at) loads.set(member, (loads.get(member) ?? 0) + views);
  }
  return loads;
}

function byName([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : 1;
}
