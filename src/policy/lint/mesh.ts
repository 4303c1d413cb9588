/** The files of a mesh as lint sees them: sites by name, and the routes on which both sides agree. */
import type { Finding, RelatedPlace } from "../../model/finding.ts";
import { LINT_CODES, type LintCode } from "../../model/lint_codes.ts";
import type { ExportPolicy, ImportPolicy } from "../../model/schema/policy.ts";
import type { Peer, SiteFile } from "../../model/schema/site.ts";
import type { TenantDocument } from "../../model/schema/tenant.ts";
import type { Place } from "../../model/source.ts";

/** A site file with the places of its values. */
export interface LintedSite {
  readonly file: string;
  readonly value: Pick<SiteFile, "site" | "peers" | "tenants" | "forbid" | "sensitive">;
  /** Line and column of a value by its path; `null` where there is no text. */
  readonly placeOf: (path: string) => Place | null;
}

/** A site with what is looked up often. */
export interface MeshSite extends LintedSite {
  readonly name: string;
  readonly peers: ReadonlyMap<string, { readonly peer: Peer; readonly path: string }>;
  readonly tenants: ReadonlyMap<string, { readonly tenant: TenantDocument; readonly path: string }>;
}

/** An export policy where it stands. */
export interface PlacedExport {
  readonly site: MeshSite;
  readonly tenant: string;
  readonly origin: string;
  readonly policy: ExportPolicy;
  readonly path: string;
}

/** An import where it stands. */
export interface PlacedImport {
  readonly site: MeshSite;
  readonly tenant: string;
  readonly origin: string;
  readonly policy: ImportPolicy;
  readonly path: string;
}

/** A route on which both sides agree; to a site whose file is not there, one that it may agree on. */
export interface MeshRoute {
  readonly exported: PlacedExport;
  readonly to: string;
  /** `null`: the file of the site is not there. */
  readonly imported: PlacedImport | null;
}

/** The sites of a mesh by name. Of two files of one site the first counts. */
export class Mesh {
  readonly sites: ReadonlyMap<string, MeshSite>;
  readonly exports: readonly PlacedExport[];
  readonly imports: readonly PlacedImport[];
  readonly #routes = new Map<string, MeshRoute[]>();
  readonly #fromOutside = new Map<string, PlacedImport[]>();

  constructor(files: readonly LintedSite[]) {
    const sites = new Map<string, MeshSite>();
    for (const file of files) if (!sites.has(file.value.site)) sites.set(file.value.site, meshSite(file));
    this.sites = sites;
    this.exports = [...sites.values()].flatMap(exportsOf);
    this.imports = [...sites.values()].flatMap(importsOf);
    const wanted = new Map<string, PlacedImport[]>();
    for (const one of this.imports) {
      const { tenant, origin, policy } = one;
      add(wanted, JSON.stringify([tenant, origin, policy.from, one.site.name]), one);
      if (!sites.has(policy.from)) add(this.#fromOutside, JSON.stringify([tenant, origin]), one);
    }
    for (const exported of this.exports) {
      const { tenant, origin, site } = exported;
      const from = routeKey(tenant, origin, site.name);
      for (const to of new Set(exported.policy.to)) {
        if (!sites.has(to)) add(this.#routes, from, { exported, to, imported: null });
        if (!this.linked(site.name, to)) continue;
        for (const imported of wanted.get(JSON.stringify([tenant, origin, site.name, to])) ?? []) {
          add(this.#routes, from, { exported, to, imported });
        }
      }
    }
  }

  /** Whether two sites of the mesh name each other as peers. */
  linked(left: string, right: string): boolean {
    return (
      (this.sites.get(left)?.peers.has(right) ?? false) && (this.sites.get(right)?.peers.has(left) ?? false)
    );
  }

  /** Imports of a tenant's events of one origin from peers whose files are not there. */
  importsFromOutside(tenant: string, origin: string): readonly PlacedImport[] {
    return this.#fromOutside.get(JSON.stringify([tenant, origin])) ?? [];
  }

  /** The routes by which `site` sends what it has of a tenant's events of one origin. */
  routesFrom(tenant: string, origin: string, site: string): readonly MeshRoute[] {
    return this.#routes.get(routeKey(tenant, origin, site)) ?? [];
  }
}

function routeKey(tenant: string, origin: string, site: string): string {
  return JSON.stringify([tenant, origin, site]);
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function meshSite(file: LintedSite): MeshSite {
  const peers = new Map<string, { peer: Peer; path: string }>();
  for (const [index, peer] of (file.value.peers ?? []).entries()) {
    if (!peers.has(peer.name)) peers.set(peer.name, { peer, path: `peers[${index}]` });
  }
  const tenants = new Map<string, { tenant: TenantDocument; path: string }>();
  for (const [index, tenant] of (file.value.tenants ?? []).entries()) {
    if (!tenants.has(tenant.tenant)) tenants.set(tenant.tenant, { tenant, path: `tenants[${index}]` });
  }
  return { ...file, name: file.value.site, peers, tenants };
}

function exportsOf(site: MeshSite): PlacedExport[] {
  return [...site.tenants.values()].flatMap(({ tenant, path }) =>
    (tenant.exports ?? []).map((policy, index) => ({
      site,
      tenant: tenant.tenant,
      origin: policy.origin ?? site.name,
      policy,
      path: `${path}.exports[${index}]`,
    })),
  );
}

function importsOf(site: MeshSite): PlacedImport[] {
  return [...site.tenants.values()].flatMap(({ tenant, path }) =>
    (tenant.imports ?? []).map((policy, index) => ({
      site,
      tenant: tenant.tenant,
      origin: policy.origin ?? policy.from,
      policy,
      path: `${path}.imports[${index}]`,
    })),
  );
}

/** Where a thing stands, for a finding or beside one. */
export function placed(site: LintedSite, path: string, message: string): RelatedPlace {
  return { message, file: site.file, path, ...site.placeOf(path) };
}

/** A finding at a path of a site's file. */
export function finding(
  code: LintCode,
  at: { readonly site: LintedSite; readonly path: string },
  message: string,
  related: readonly RelatedPlace[] = [],
): Finding {
  return { code, severity: LINT_CODES[code].severity, ...placed(at.site, at.path, message), related };
}
