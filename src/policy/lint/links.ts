/** Sites and the links between them: whether both sides know each other, one of them dials, and keys are the same. */
import type { Finding } from "../../model/finding.ts";
import { finding, type LintedSite, type Mesh, type MeshSite, placed } from "./mesh.ts";

/** Files that name one site. */
export function findDuplicateSites(files: readonly LintedSite[]): Finding[] {
  const first = new Map<string, LintedSite>();
  return files.flatMap((site) => {
    const { site: name } = site.value;
    const before = first.get(name);
    if (before === undefined) {
      first.set(name, site);
      return [];
    }
    const message = `Site '${name}' has a file already: this one is left out of what is checked over the mesh`;
    return [
      finding("duplicate-site", { site, path: "site" }, message, [
        placed(before, "site", `the first file of ${name}`),
      ]),
    ];
  });
}

/** Peers that one side alone knows, and pairs of peers of which none or both dial. */
export function findBrokenLinks({ sites }: Mesh): Finding[] {
  return [...sites.values()].flatMap((site) =>
    [...site.peers.values()].flatMap(({ peer, path }): Finding[] => {
      const other = sites.get(peer.name);
      if (other === undefined || other === site) return [];
      const back = other.peers.get(site.name);
      if (back === undefined) {
        const message = `'${peer.name}' does not name '${site.name}' as its peer: nothing flows on one side's word`;
        const where = other.value.peers === undefined ? "site" : "peers";
        return [
          finding("one-sided-peer", { site, path }, message, [
            placed(other, where, `the peers of ${other.name}`),
          ]),
        ];
      }
      return site.name < other.name ? dialling(site, path, other, back.path) : [];
    }),
  );
}

function dialling(left: MeshSite, leftPath: string, right: MeshSite, rightPath: string): Finding[] {
  const dials = (site: MeshSite, peer: string) => site.peers.get(peer)?.peer.dial !== undefined;
  const count = [dials(left, right.name), dials(right, left.name)].filter((one) => one).length;
  if (count === 1) return [];
  const related = [placed(right, rightPath, `${right.name} names ${left.name} here`)];
  const at = { site: left, path: leftPath };
  if (count === 0) {
    const message = `'${left.name}' and '${right.name}' both wait for the other one to dial: give one of them 'dial'`;
    return [finding("nobody-dials", at, message, related)];
  }
  const message = `'${left.name}' and '${right.name}' both dial, and a link is one connection: take 'dial' from one of them`;
  return [finding("both-dial", at, message, related)];
}

/** Sites that the files name with different keys. */
export function findUnequalKeys({ sites }: Mesh): Finding[] {
  const first = new Map<string, { readonly site: MeshSite; readonly path: string; readonly key: string }>();
  const findings: Finding[] = [];
  for (const site of sites.values()) {
    for (const { peer, path } of site.peers.values()) {
      const at = { site, path: `${path}.key` };
      const known = first.get(peer.name);
      if (known === undefined) first.set(peer.name, { ...at, key: peer.key });
      else if (known.key !== peer.key) {
        const message = `'${peer.name}' has the key ${peer.key} here, and ${known.key} at '${known.site.name}'`;
        const related = [placed(known.site, known.path, `the key of ${peer.name} at ${known.site.name}`)];
        findings.push(finding("key-mismatch", at, message, related));
      }
    }
  }
  return findings;
}
