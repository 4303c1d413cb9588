/** The ways that events take through a mesh: from where they are published, site by site, as long as both sides agree. */

import { tenantSubjects } from "../../model/names.ts";
import type { Treatment } from "./fields.ts";
import { exportFlow, type Flow, importFlow, publishedFlow, type RuleFlow } from "./flow.ts";
import type { Mesh, MeshRoute, PlacedExport, PlacedImport } from "./mesh.ts";
import type { RewriteTerm } from "./rewrite.ts";
import { Wildcards } from "./terms.ts";

/** One step of a way: a rule lets the events out, an import takes them in. */
export interface Hop {
  readonly route: MeshRoute;
  readonly rule: number;
  /** Place of the pattern in the rule's subjects. */
  readonly subject: number;
  readonly treatment: Treatment;
}

/** Events of one origin that have come to a site over one way. */
export interface Arrival extends Flow {
  readonly tenant: string;
  readonly origin: string;
  /** The sites that they have passed, the origin first, the one where they are now last. */
  readonly sites: readonly string[];
  readonly hops: readonly Hop[];
  /** The site where they are now. */
  readonly at: string;
  /** The import that has taken them in; `null` at a site whose file is not there. */
  readonly imported: PlacedImport | null;
  /** Every step since they were published stands in the files. */
  readonly complete: boolean;
  /** They have been at this site before. */
  readonly closes: boolean;
}

/** How much was done: each flow that was followed, each pair that was compared. */
export interface LintWork {
  flows: number;
  comparisons: number;
}

/** The arrivals of a tenant's events of one origin. */
export interface ArrivalsOf {
  readonly tenant: string;
  readonly origin: string;
  readonly arrivals: readonly Arrival[];
  /** There were more: only so many were followed. */
  readonly cut: boolean;
}

/** Most arrivals that are followed for a tenant and an origin: a mesh in which nothing comes twice has one a site and rule. */
export const MOST_ARRIVALS = 4096;

/** Follows the events of every tenant and origin through the mesh. */
export function followAll(mesh: Mesh, rewrite: RewriteTerm, work: LintWork): ArrivalsOf[] {
  const origins = new Map<string, Set<string>>();
  const addOrigin = (tenant: string, origin: string) => {
    const known = origins.get(tenant) ?? new Set<string>();
    origins.set(tenant, known.add(origin));
  };
  for (const site of mesh.sites.values())
    for (const tenant of site.tenants.keys()) addOrigin(tenant, site.name);
  for (const { tenant, origin } of mesh.imports) addOrigin(tenant, origin);
  return [...origins].flatMap(([tenant, names]) =>
    [...names].map((origin) => new Follower(mesh, { tenant, origin }, rewrite, work).follow()),
  );
}

interface Standing extends Flow {
  readonly sites: readonly string[];
  readonly hops: readonly Hop[];
  readonly complete: boolean;
}

class Follower {
  readonly #mesh: Mesh;
  readonly #of: { readonly tenant: string; readonly origin: string };
  readonly #rewrite: RewriteTerm;
  readonly #work: LintWork;
  readonly #wildcards = new Wildcards();
  readonly #arrivals: Arrival[] = [];
  #cut = false;

  constructor(
    mesh: Mesh,
    of: { readonly tenant: string; readonly origin: string },
    rewrite: RewriteTerm,
    work: LintWork,
  ) {
    this.#mesh = mesh;
    this.#of = of;
    this.#rewrite = rewrite;
    this.#work = work;
  }

  follow(): ArrivalsOf {
    const { tenant, origin } = this.#of;
    const open: Standing[] = [];
    if (this.#mesh.sites.get(origin)?.tenants.has(tenant) === true) {
      const published = publishedFlow(tenantSubjects(tenant), this.#wildcards);
      open.push({ ...published, sites: [origin], hops: [], complete: true });
    }
    open.push(...this.#fromOutside());
    // Breadth first: where it must be cut, the short ways are there.
    for (let at = 0; at < open.length && !this.#cut; at++) {
      const standing = open[at];
      if (standing !== undefined) open.push(...this.#leave(standing));
    }
    return { tenant, origin, arrivals: this.#arrivals, cut: this.#cut };
  }

  /** What sites take in from peers whose files are not there: all that the import accepts. */
  #fromOutside(): Standing[] {
    const { tenant, origin } = this.#of;
    return this.#mesh.importsFromOutside(tenant, origin).flatMap((imported) => {
      const { from, subjects } = imported.policy;
      const before = origin === from ? [from] : [origin, from];
      return subjects.flatMap((pattern) => {
        const flow = publishedFlow(pattern, this.#wildcards);
        const outside = { ...flow, sites: before, hops: [], complete: false };
        return this.#arrive(outside, { at: imported.site.name, imported, flow, hop: null });
      });
    });
  }

  /** The flows that go on from where one stands now. */
  #leave(standing: Standing): Standing[] {
    const { tenant, origin } = this.#of;
    const here = standing.sites[standing.sites.length - 1] ?? origin;
    // A policy lets the same out to all of its peers.
    const byPolicy = new Map<PlacedExport, RuleFlow[]>();
    return this.#mesh.routesFrom(tenant, origin, here).flatMap((route) => {
      const { exported } = route;
      const flows =
        byPolicy.get(exported) ?? exportFlow(standing, exported.policy, this.#rewrite, this.#wildcards);
      byPolicy.set(exported, flows);
      return flows.flatMap((left) => {
        const { rule, subject, treatment } = left;
        const { to: at, imported } = route;
        const accepted =
          imported === null ? [left] : importFlow(left, imported.policy.subjects, this.#wildcards);
        return accepted.flatMap((flow) =>
          this.#arrive(standing, { at, imported, flow, hop: { route, rule, subject, treatment } }),
        );
      });
    });
  }

  /** Notes an arrival; the flow itself where it may go on. A mirror is a copy that nothing is passed on from. */
  #arrive(
    standing: Standing,
    {
      at,
      imported,
      flow,
      hop,
    }: Pick<Arrival, "at" | "imported"> & { readonly flow: Flow; readonly hop: Hop | null },
  ): Standing[] {
    if (this.#arrivals.length >= MOST_ARRIVALS) {
      this.#cut = true;
      return [];
    }
    this.#work.flows += 1;
    const { source, now, cuts } = flow;
    const next = {
      source,
      now,
      cuts,
      sites: [...standing.sites, at],
      hops: hop === null ? standing.hops : [...standing.hops, hop],
      complete: standing.complete,
    };
    const closes = standing.sites.includes(at);
    this.#arrivals.push({ ...next, ...this.#of, at, imported, closes });
    return closes || imported === null || imported.policy.mirror === true ? [] : [next];
  }
}
