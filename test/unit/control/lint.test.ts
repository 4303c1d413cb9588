/** Seeded bad meshes: each line with a fault says so in a comment, `# lint: <code>`, and no other line may be told. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { renderSiteFile } from "../../../scripts/demo_parts/policies.ts";
import { SITES, type Site } from "../../../scripts/demo_parts/scenario.ts";
import { type LintFile, lintFiles, lintSite } from "../../../src/control/lint.ts";
import { formatFinding } from "../../../src/model/finding.ts";
import { LINT_CODES } from "../../../src/model/lint_codes.ts";
import type { SiteFile } from "../../../src/model/schema/site.ts";
import { parseSiteFile } from "../../../src/model/site_file.ts";
import { createSigningKey } from "../../../src/nats/keys.ts";
import { createCa } from "../../../src/nats/pki/certificates.ts";
import { lintMesh } from "../../../src/policy/lint/mod.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/lint");
const faults = readdirSync(FOLDER).sort();

function meshOf(fault: string): LintFile[] {
  const names = readdirSync(join(FOLDER, fault)).sort();
  return names.map((name) => ({ name, text: readFileSync(join(FOLDER, fault, name), "utf8") }));
}

/** `berlin.yaml:7 loop` for each mark. */
function expectedOf(files: readonly LintFile[]): string[] {
  return files.flatMap(({ name, text }) =>
    text.split("\n").flatMap((line, index) => {
      const codes = /# lint: (.+)$/.exec(line)?.[1]?.split(", ") ?? [];
      return codes.toSorted().map((code) => `${name}:${index + 1} ${code}`);
    }),
  );
}

describe("lintFiles() of bad meshes", () => {
  test.each(faults)("%s", (fault) => {
    const files = meshOf(fault);
    const { findings } = lintFiles(files);
    const found = findings.map(({ file, line, code }) => `${file}:${line} ${code}`);
    expect(found.toSorted()).toEqual(expectedOf(files).toSorted());
    // Whatever order they are given in.
    expect(
      lintFiles(files.toReversed())
        .findings.map(({ code }) => code)
        .toSorted(),
    ).toEqual(findings.map(({ code }) => code).toSorted());
  });

  test("there is one for each code", () => {
    const marked = new Set(
      faults.flatMap((fault) => expectedOf(meshOf(fault)).map((one) => one.split(" ")[1])),
    );
    // Of that one a mesh is made below.
    expect(Object.keys(LINT_CODES).filter((code) => !marked.has(code))).toEqual(["too-many-paths"]);
  });
});

describe("lintFiles() of good meshes", () => {
  test("is silent on the examples for compose.yaml", () => {
    const folder = join(import.meta.dirname, "../../../examples/compose");
    const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
    expect(files).toHaveLength(6);
    expect(
      lintFiles(files.map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }))).findings,
    ).toEqual([]);
  });

  test("is silent on the site files that the demo writes", async () => {
    const addresses = bySite((index) => ({
      listen: `127.0.0.1:${4000 + index}`,
      leaf: `127.0.0.1:${5000 + index}`,
      api: `127.0.0.1:${6000 + index}`,
    }));
    const keys = bySite((index) => KEYS[index] ?? "");
    const authorities = await Promise.all(
      SITES.map((site) => createCa(site, { now: new Date(), ttlMs: 3_600_000 })),
    );
    const cas = bySite((index) => authorities[index]?.certPem ?? "");
    const users = { acme: KEYS[3] ?? "", globex: KEYS[4] ?? "" };
    const files = SITES.map((site) => ({
      name: `${site}.yaml`,
      text: renderSiteFile({ site, data: site, addresses, keys, cas, users }),
    }));
    expect(lintFiles(files).findings.map(formatFinding)).toEqual([]);
  });
});

const KEYS = Array.from({ length: 5 }, () => createSigningKey().publicKey);

function bySite<T>(make: (index: number) => T): Record<Site, T> {
  const [berlin, austin, tokyo] = SITES.map((_, index) => make(index));
  if (berlin === undefined || austin === undefined || tokyo === undefined)
    throw new Error("there are three sites");
  return { berlin, austin, tokyo };
}

describe("lintFiles()", () => {
  const loop = meshOf("loop");

  test("says of a loop where it closes, and which steps lead there", () => {
    expect(lintFiles(loop).findings.map(formatFinding)).toEqual([
      [
        "austin.yaml:12:24 error loop: acme.orders.*.v1 of berlin comes back to berlin via tokyo and austin",
        "    berlin.yaml:9:56 berlin exports it to tokyo",
        "    tokyo.yaml:8:72 tokyo exports it to austin",
        "    berlin.yaml:11:9 berlin imports it from austin",
      ].join("\n"),
    ]);
  });

  test("says what it can where files are missing", () => {
    const alone = loop.filter(({ name }) => name === "tokyo.yaml");
    expect(lintFiles(alone).findings).toEqual([]);
    // Austin alone knows that berlin's events go back to berlin.
    const austin = loop.filter(({ name }) => name === "austin.yaml");
    expect(lintFiles(austin).findings.map(({ path, code }) => [path, code])).toEqual([
      ["tenants[0].exports[0].to[0]", "loop"],
    ]);
  });

  test("tells all problems of files that cannot be read, and goes on with the others", () => {
    const files = [
      { name: "broken.yaml", text: "site: [" },
      {
        name: "shape.yaml",
        text: 'site: lima\nforbid:\n  - { from: Lima, to: "*", subject: [] }\nsensitive: [{ fields: [] }]\n',
      },
      {
        name: "tenant.yaml",
        text: "tenant: acme\nexports: [{ name: x, to: [y], rules: [{ subjects: [acme.>], deny: true }] }]\n",
      },
      ...loop,
    ];
    const { findings, errors, warnings } = lintFiles(files);
    expect(findings.map(({ file, line, code }) => `${file}:${line} ${code}`)).toEqual([
      "broken.yaml:1 invalid",
      "shape.yaml:3 invalid",
      "shape.yaml:3 invalid",
      "shape.yaml:4 invalid",
      "tenant.yaml:2 nothing-exported",
      "austin.yaml:12 loop",
    ]);
    expect(findings.slice(1, 4).map(({ message }) => message)).toEqual([
      expect.stringContaining("'Lima' must be a lower-case letter"),
      expect.stringContaining("unknown key 'subject' (did you mean 'subjects'?)"),
      "is empty, expected at least 1 entry",
    ]);
    expect([errors, warnings]).toEqual([6, 0]);
  });

  test("a state without a text has paths in place of lines", () => {
    const file = parseSiteFile(loop.find(({ name }) => name === "austin.yaml")?.text ?? "", "austin.yaml");
    const [found] = lintSite(file, "austin").findings;
    expect(found).not.toHaveProperty("line");
    expect(found === undefined ? "" : formatFinding(found)).toStartWith(
      "austin error loop: tenants[0].exports[0].to[0]: ",
    );
  });

  test("compares no more for 50 sites and 20 tenants than their routes ask for", () => {
    const names = Array.from({ length: 50 }, (_, n) => `s${n}`);
    const tenants = Array.from({ length: 20 }, (_, n) => `t${n}`);
    const files = names.map((site) => ({
      file: site,
      value: fullMesh(site, names, tenants),
      placeOf: () => null,
    }));
    const work = { flows: 0, comparisons: 0 };
    expect(lintMesh(files, { work })).toEqual([]);
    // Two flows a route: the rules for orders and for stock.
    expect(work.flows).toBeLessThanOrEqual(2 * 50 * 49 * 20 + 50 * 20);
    expect(work.comparisons).toBe(0);
  }, 30_000);
});

/** A site that sends to all others, and takes from all. */
function fullMesh(site: string, names: readonly string[], tenants: readonly string[]): SiteFile {
  const others = names.filter((name) => name !== site);
  return {
    site,
    peers: others.map((name) => ({
      name,
      key: KEYS[0] ?? "",
      ...(site < name ? { dial: "tls://x:1" } : {}),
    })),
    tenants: tenants.map((tenant) => ({
      tenant,
      exports: [
        {
          name: "all",
          to: others,
          rules: [
            { subjects: [`${tenant}.internal.>`], deny: true },
            { subjects: [`${tenant}.orders.*`], redact: [{ path: "$.email", with: "remove" }] },
            { subjects: [`${tenant}.stock.>`] },
          ],
        },
      ],
      imports: others.map((from) => ({ from, subjects: [`${tenant}.>`] })),
    })),
  };
}
