/** What is passed on or mirrored otherwise than it looks. */
import type { Finding } from "../../model/finding.ts";
import { overlaps } from "../../model/subject.ts";
import { compileRoute } from "../route.ts";
import { finding, type Mesh, type PlacedExport, type PlacedImport, placed } from "./mesh.ts";

/** Exports in transit of what does not come here, or only into a mirror. */
export function findIdleTransit(mesh: Mesh): Finding[] {
  return mesh.exports.flatMap((exported) => {
    const { site, tenant, origin } = exported;
    if (origin === site.name) return [];
    const imports = mesh.imports.filter(
      (one) => one.site === site && one.tenant === tenant && one.origin === origin,
    );
    if (imports.length === 0) return [];
    const live = imports.filter((one) => one.policy.mirror !== true);
    return live.length === 0 ? [ofMirror(exported, imports)] : notBrought(exported, live);
  });
}

function ofMirror({ site, origin, policy, path }: PlacedExport, mirrors: readonly PlacedImport[]): Finding {
  const message = `Export '${policy.name}' passes on events of '${origin}', which are only mirrored here: a mirror passes nothing on`;
  const related = mirrors.map((one) => placed(site, one.path, "the mirror"));
  return finding("transit-of-mirror", { site, path: `${path}.origin` }, message, related);
}

function notBrought(
  { site, origin, policy, path }: PlacedExport,
  imports: readonly PlacedImport[],
): Finding[] {
  const brought = imports.flatMap((one) => one.policy.subjects);
  const related = imports.map((one) => placed(site, `${one.path}.subjects`, `what comes here of ${origin}`));
  return policy.rules.flatMap((rule, index) =>
    rule.deny === true
      ? []
      : rule.subjects.flatMap((pattern, place) => {
          if (brought.some((one) => overlaps(one, pattern))) return [];
          const at = { site, path: `${path}.rules[${index}].subjects[${place}]` };
          const message = `No import brings '${pattern}' of '${origin}' here, so there is nothing to pass on`;
          return [finding("nothing-to-pass-on", at, message, related)];
        }),
  );
}

/** Mirrors of what a policy has changed: they are no copies of what was published. */
export function findMirrorsOfViews(mesh: Mesh): Finding[] {
  return mesh.exports.flatMap((exported) =>
    mesh.routesFrom(exported.tenant, exported.origin, exported.site.name).flatMap((route) => {
      const { imported } = route;
      if (route.exported !== exported || imported === null || imported.policy.mirror !== true) return [];
      if (compileRoute(exported.policy).type === "native") return [];
      const redacts = exported.policy.rules.findIndex((rule) => rule.redact !== undefined);
      const message =
        redacts < 0
          ? `This mirrors a view of '${exported.site.name}': it holds what export '${exported.policy.name}' lets through`
          : `This mirrors a view that redacts: it holds what export '${exported.policy.name}' of '${exported.site.name}' lets through, not what was published`;
      const where = redacts < 0 ? `${exported.path}.rules` : `${exported.path}.rules[${redacts}].redact`;
      const at = { site: imported.site, path: `${imported.path}.mirror` };
      return [finding("mirror-of-redacted", at, message, [placed(exported.site, where, "the view")])];
    }),
  );
}
