/** Flows held against what operators have declared: forbidden flows, and fields that are sensitive. */
import type { Finding } from "../../model/finding.ts";
import type { Forbid, Sensitive } from "../../model/schema/guards.ts";
import { isRedacted } from "./fields.ts";
import { exampleOf, type Flow, narrowFlow } from "./flow.ts";
import { finding, type Mesh, type MeshSite, placed } from "./mesh.ts";
import type { Arrival, ArrivalsOf } from "./paths.ts";
import { narrowTo, patternOf, substitute, Wildcards } from "./terms.ts";
import { exportPlace, listOf, rulePath } from "./wording.ts";

/** A declaration where it stands. */
interface Declared<T> {
  readonly guard: T;
  readonly site: MeshSite;
  readonly path: string;
  /** Of this tenant alone; `null`: of all. */
  readonly tenant: string | null;
}

/** Whether some of the flow was published, or is now, under one of the patterns; `undefined`: any. */
export function concerns(flow: Flow, subjects: readonly string[] | undefined): boolean {
  if (subjects === undefined) return true;
  const wildcards = new Wildcards();
  return subjects.some((pattern) => {
    const published = narrowTo(flow.source, pattern, wildcards);
    if (published !== null && exampleOf({ ...flow, source: substitute(flow.source, published) }) !== null)
      return true;
    return narrowFlow(flow, pattern, wildcards) !== null;
  });
}

/** Flows of the mesh that a `forbid` of any file forbids. What the file of the exporter itself forbids, its own check tells. */
export function findForbidden(mesh: Mesh, all: readonly ArrivalsOf[]): Finding[] {
  const declared = forbidsOf(mesh);
  return all.flatMap(({ origin, arrivals }) => {
    const mine = declared.filter(({ guard }) => guard.from === "*" || guard.from === origin);
    if (mine.length === 0) return [];
    return arrivals.flatMap((arrival) => mine.flatMap((one) => forbidden(arrival, one) ?? []));
  });
}

function forbidsOf(mesh: Mesh): Declared<Forbid>[] {
  return [...mesh.sites.values()].flatMap((site) =>
    (site.value.forbid ?? []).map((guard, index) => ({
      guard,
      site,
      path: `forbid[${index}]`,
      tenant: null,
    })),
  );
}

function forbidden(arrival: Arrival, { guard, site, path }: Declared<Forbid>): Finding | null {
  const { at, origin, hops } = arrival;
  const last = hops[hops.length - 1];
  const to = (name: string) => guard.to === "*" || guard.to === name;
  if (at === origin || !to(at) || passed(arrival).some(to)) return null;
  if (last?.route.exported.site === site || !concerns(arrival, guard.subjects)) return null;
  const bare = bareFields(arrival, guard.fields);
  if (bare !== null && bare.length === 0) return null;
  const what = bare === null ? "" : ` with ${listOf(bare)} unredacted`;
  const message = `${patternOf(arrival.source)} of ${origin} reaches ${at}${wayOf(arrival)}${what}, which ${path} of ${site.name} forbids`;
  return reported("forbidden-flow", arrival, message, [placed(site, path, "forbidden here")]);
}

/** Fields named as sensitive that may reach a site unredacted. */
export function findSensitive(mesh: Mesh, all: readonly ArrivalsOf[]): Finding[] {
  const declared = sensitivesOf(mesh);
  if (declared.length === 0) return [];
  return all.flatMap(({ tenant, arrivals }) => {
    const mine = declared.filter((one) => one.tenant === null || one.tenant === tenant);
    return arrivals.flatMap((arrival) => mine.flatMap((one) => leak(arrival, one) ?? []));
  });
}

function sensitivesOf(mesh: Mesh): Declared<Sensitive>[] {
  return [...mesh.sites.values()].flatMap((site) => [
    ...(site.value.sensitive ?? []).map((guard, index) => ({
      guard,
      site,
      path: `sensitive[${index}]`,
      tenant: null,
    })),
    ...[...site.tenants.values()].flatMap(({ tenant, path }) =>
      (tenant.sensitive ?? []).map((guard, index) => ({
        guard,
        site,
        path: `${path}.sensitive[${index}]`,
        tenant: tenant.tenant,
      })),
    ),
  ]);
}

/** A declaration is about what its site publishes and passes on. */
function leak(arrival: Arrival, { guard, site, path }: Declared<Sensitive>): Finding | null {
  const { at, origin, hops } = arrival;
  const to = (name: string) => guard.to?.includes(name) ?? true;
  const own = origin === site.name || hops.some((hop) => hop.route.exported.site === site);
  if (!own || at === origin || !to(at) || passed(arrival).some(to)) return null;
  if (!concerns(arrival, guard.subjects)) return null;
  const bare = bareFields(arrival, guard.fields);
  if (bare === null || bare.length === 0) return null;
  const verb = bare.length === 1 ? "is" : "are";
  const message = `${listOf(bare)} of ${patternOf(arrival.source)} ${verb} sensitive and may reach ${at}${wayOf(arrival)} unredacted`;
  return reported("sensitive-field", arrival, message, [placed(site, path, "named as sensitive here")]);
}

/** The fields that no rule on the way redacts; `null`: it is not about fields. */
function bareFields({ hops }: Arrival, fields: readonly string[] | undefined): string[] | null {
  const rules = hops.map(({ treatment }) => treatment);
  return fields?.filter((field) => !isRedacted(field, rules)) ?? null;
}

/** The sites between: what is wrong there already is told there. */
function passed({ hops }: Arrival): string[] {
  return hops.slice(0, -1).map(({ route }) => route.to);
}

function wayOf({ sites }: Arrival): string {
  const via = sites.slice(1, -1);
  return via.length === 0 ? "" : ` via ${listOf(via)}`;
}

function reported(
  code: "forbidden-flow" | "sensitive-field",
  { hops, imported }: Arrival,
  message: string,
  related: Finding["related"],
): Finding | null {
  const last = hops[hops.length - 1];
  if (last !== undefined) {
    const before = hops.slice(0, -1).map(exportPlace);
    return finding(code, { site: last.route.exported.site, path: rulePath(last) }, message, [
      ...before,
      ...related,
    ]);
  }
  return imported === null ? null : finding(code, imported, message, related);
}

/** Declarations that name no site of the mesh, where the files of all peers are there: else it may be one of the others. */
export function findUnknownSites(mesh: Mesh): Finding[] {
  const known = new Set<string>(mesh.sites.keys());
  for (const site of mesh.sites.values()) {
    for (const peer of site.peers.keys()) if (!known.has(peer)) return [];
  }
  const unknown = (site: MeshSite, path: string, name: string): Finding[] =>
    name === "*" || known.has(name)
      ? []
      : [
          finding(
            "unknown-site",
            { site, path },
            `'${name}' is no site that these files know: ${listOf([...known].sort())}`,
          ),
        ];
  return [
    ...forbidsOf(mesh).flatMap(({ guard, site, path }) => [
      ...unknown(site, `${path}.from`, guard.from),
      ...unknown(site, `${path}.to`, guard.to),
    ]),
    ...sensitivesOf(mesh).flatMap(({ guard, site, path }) =>
      (guard.to ?? []).flatMap((name, place) => unknown(site, `${path}.to[${place}]`, name)),
    ),
  ];
}
