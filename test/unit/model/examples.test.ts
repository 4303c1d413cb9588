import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SiteFile } from "../../../src/model/schema/site.ts";
import { parseSiteFile } from "../../../src/model/site_file.ts";
import { lintFiles } from "../../../src/sidecar/lint.ts";

const FOLDER = join(import.meta.dirname, "../../../examples");
const read = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".yaml"));

describe("the example site files", () => {
  test("are there", () => {
    expect(files.sort()).toEqual(["austin.yaml", "berlin.yaml", "single.yaml", "tokyo.yaml"]);
  });

  test.each(files)("%s has no problem of shape or meaning", (name) => {
    expect(lintFiles([{ name, text: read(name) }]).findings).toEqual([]);
  });

  test("have no problem together, as a mesh", () => {
    const mesh = ["berlin.yaml", "austin.yaml", "tokyo.yaml"].map((name) => ({ name, text: read(name) }));
    expect(lintFiles(mesh).findings).toEqual([]);
  });

  test("fit together: keys, dialling, exports and imports", () => {
    const sites = new Map<string, SiteFile>();
    for (const name of ["berlin", "austin", "tokyo"])
      sites.set(name, parseSiteFile(read(`${name}.yaml`), name));
    const keys = new Map<string, Set<string>>();
    const ports = new Set<string>();
    for (const [name, site] of sites) {
      for (const at of [site.server?.listen, site.server?.leaf, site.api?.listen]) ports.add(at ?? "");
      expect(site.peers?.map((peer) => peer.name).sort()).toEqual(
        [...sites.keys()].filter((other) => other !== name).sort(),
      );
      for (const peer of site.peers ?? []) {
        keys.set(peer.name, (keys.get(peer.name) ?? new Set()).add(peer.key));
        const back = sites.get(peer.name)?.peers?.find((one) => one.name === name);
        expect([
          name,
          peer.name,
          [peer.dial, back?.dial].filter((dial) => dial !== undefined).length,
        ]).toEqual([name, peer.name, 1]);
        if (peer.dial !== undefined) expect(peer.dial).toBe(`tls://${sites.get(peer.name)?.server?.leaf}`);
      }
      for (const tenant of site.tenants ?? []) {
        for (const { from } of tenant.imports ?? []) {
          const there = sites.get(from)?.tenants?.find((one) => one.tenant === tenant.tenant);
          expect([from, there?.exports?.some(({ to }) => to.includes(name))]).toEqual([from, true]);
        }
      }
    }
    expect([ports.size, [...keys.values()].map((one) => one.size)]).toEqual([9, [1, 1, 1]]);
  });
});
