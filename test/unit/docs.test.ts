/** What the documents name is there: files, commands, flags, routes, scripts, settings. Their YAML is valid. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { readCommandLine } from "../../src/cli/args.ts";
import { COMMANDS } from "../../src/cli/commands/mod.ts";
import { checkSiteFile, checkState } from "../../src/control/check_state.ts";
import { ALARMS } from "../../src/model/alarms.ts";
import { desiredTenant } from "../../src/model/desired.ts";
import { LINT_CODES } from "../../src/model/lint_codes.ts";
import { Forbid, Sensitive } from "../../src/model/schema/guards.ts";
import { ExportPolicy, ImportPolicy, Redaction, Rule } from "../../src/model/schema/policy.ts";
import { PolicyTest, PolicyTestFile, TestExpectation } from "../../src/model/schema/policy_test.ts";
import {
  AlarmSettings,
  ApiSettings,
  AuditSettings,
  Peer,
  ServerSettings,
  SiteFile,
} from "../../src/model/schema/site.ts";
import {
  Dedupe,
  TenantDocument,
  TenantLimits,
  TenantSettings,
  TenantUser,
} from "../../src/model/schema/tenant.ts";
import { DEFAULT_ROLE } from "../../src/model/schema/user.ts";
import { parseLocated, parseSiteFile, parseTenantFile } from "../../src/model/site_file.ts";
import { formatBytes, formatDurationMs } from "../../src/model/units.ts";
import { DEFAULT_LEAF, DEFAULT_LISTEN } from "../../src/nats/addresses.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { type Access, GROUP_TEXT, ROLE_TABLE } from "../../src/nats/roles.ts";
import { checkRules } from "../../src/policy/check_rules.ts";
import { testApi } from "./routes/api_support.ts";

const ROOT = join(import.meta.dir, "../..");
const FILES = [
  "README.md",
  "ARCHITECTURE.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "docs/alarms.md",
  "docs/limits.md",
  "docs/high-availability.md",
  "docs/audit.md",
  "docs/erasure.md",
  "docs/replay.md",
  "docs/runbook.md",
  "docs/backup.md",
  "docs/secrets.md",
  "docs/configuration.md",
  "docs/users.md",
  "docs/dead-letters.md",
  "docs/joining.md",
  "docs/trying-policies.md",
  "docs/lint.md",
  "docs/clusters.md",
  "docs/lifecycle.md",
  "docs/faults.md",
  "docs/api-access.md",
  "docs/links.md",
  "docs/cel.md",
  "docs/jsonpath.md",
  "docs/security.md",
];
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const documents = FILES.map((file) => ({ file, text: read(file) }));

interface Block {
  readonly file: string;
  readonly language: string;
  readonly text: string;
}

const blocks: readonly Block[] = documents.flatMap(({ file, text }) =>
  [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = "", body = ""]) => ({
    file,
    language,
    text: body,
  })),
);
const spans = documents.flatMap(({ file, text }) =>
  [...text.replace(/^```[\s\S]*?^```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => ({
    file,
    span,
  })),
);

/** The words of a line as a shell would split them. */
function words(line: string): string[] {
  const found = line.matchAll(/'([^']*)'|"([^"]*)"|([^\s'"]+)/g);
  return [...found].map(([, single, double, plain]) => single ?? double ?? plain ?? "");
}

/** Command lines: in blocks behind a prompt or at the start of a line, in the text as `leafmesh …`. */
const commandLines = [
  ...blocks.flatMap(({ file, text }) =>
    [...text.matchAll(/^ *(?:[a-z]*\$ )?leafmesh ((?!<)[^\n]+)$/gm)].map(([, line = ""]) => ({ file, line })),
  ),
  ...spans.flatMap(({ file, span }) =>
    span.startsWith("leafmesh ") ? [{ file, line: span.slice("leafmesh ".length) }] : [],
  ),
];

describe("docs/runbook.md", () => {
  const sections = read("docs/runbook.md").split(/^## /m).slice(1);

  test("has one section for each alarm, and no other", () => {
    const named = sections.map((section) => /^`([a-z-]+)`\n/.exec(section)?.[1] ?? section);
    expect(named.toSorted()).toEqual(Object.keys(ALARMS).toSorted());
  });

  test.each(sections)("says what to see, to do, and what is lost: %.30s", (section) => {
    for (const part of ["Means", "See", "Do", "If nothing is done"])
      expect(section).toContain(`**${part}.** `);
  });
});

describe("the documents", () => {
  test("name files that exist", () => {
    const path =
      /(?:^|[\s(`])(?:\.\/)?((?:src|routes|test|scripts|examples|docs)\/[\w./-]*|[A-Z]+\.md|compose\.yaml|LICENSE)/g;
    const missing = documents.flatMap(({ file, text }) =>
      [...text.matchAll(path)]
        .map(([, name = ""]) => name.replace(/[.,]$/, ""))
        .filter((name) => !existsSync(join(ROOT, name)))
        .map((name) => `${file}: ${name}`),
    );
    expect(missing).toEqual([]);
  });

  test("link to files that exist", () => {
    const missing = documents.flatMap(({ file, text }) =>
      [...text.matchAll(/\]\((?!https:)([^)#]+)\)/g)]
        .map(([, target = ""]) => join(file, "..", target))
        .filter((target) => !existsSync(join(ROOT, target))),
    );
    expect(missing).toEqual([]);
  });

  test("name scripts that package.json has", () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(read("package.json")));
    const named = documents.flatMap(({ text }) =>
      [...text.matchAll(/\bbun run ([\w:]+)/g)].map(([, name]) => name),
    );
    expect(named.filter((name) => scripts[name ?? ""] === undefined)).toEqual([]);
    for (const name of new Set(named)) {
      const file = /(scripts\/\S+)/.exec(scripts[name ?? ""] ?? "")?.[1];
      if (file !== undefined) expect(existsSync(join(ROOT, file))).toBe(true);
    }
  });

  test.each(commandLines)("$file: leafmesh $line", ({ line }) => {
    // What a prompt shows after the command's own words is not the command's.
    const own = words(line).filter((word) => word !== "…");
    if (own[0] === "help") return;
    const known = COMMANDS.filter(({ name }) => name === own.slice(0, name.split(" ").length).join(" "));
    expect(known).not.toEqual([]);
    // In a sentence a command may stand without its arguments.
    const [command] = known.toSorted((a, b) => b.name.length - a.name.length);
    if (own.join(" ") !== command?.name) readCommandLine(own, COMMANDS);
  });

  test("name routes that the API has", async () => {
    const { paths } = z
      .object({ paths: z.record(z.string(), z.unknown()) })
      .parse(await (await testApi().app.request("/openapi.json")).json());
    const known = Object.keys(paths).map((path) => new RegExp(`^${path.replace(/\{\w+\}/g, "[^/]+")}$`));
    const named = documents.flatMap(({ text }) =>
      [
        ...text.matchAll(
          /(?<=[`\s]|:\d{4})(\/v1(?:\/[\w{}-]+)+|\/healthz|\/readyz|\/metrics|\/openapi\.json)/g,
        ),
      ].map(([, path = ""]) => path),
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((path) => !known.some((pattern) => pattern.test(path)))).toEqual([]);
  });

  test("name metrics that exist", () => {
    const source = read("src/observe/metrics.ts");
    const named = spans.flatMap(
      ({ span }) => /^leafmesh_((?:route|view|link|shadow)_\w+)$/.exec(span)?.[1] ?? [],
    );
    expect(named).not.toEqual([]);
    expect(named.filter((name) => !source.includes(`"${name}"`))).toEqual([]);
  });

  test("name environment variables that are read", () => {
    const sources = ["src/cli/token.ts", "src/sidecar/run.ts", "src/nats/find.ts", "scripts/setup"]
      .map(read)
      .join("\n");
    const named = spans.flatMap(({ span }) => (/^(?:LEAFMESH|NATS)_[A-Z]+$/.test(span) ? [span] : []));
    expect(named.filter((name) => !sources.includes(name))).toEqual([]);
  });

  test("hold no path of a machine and no host of a registry", () => {
    for (const { text } of documents) {
      expect(text).not.toMatch(/\/(?:home|root|work|Users)\/|registry\.|npmjs/);
    }
  });
});

describe("the YAML of the documents", () => {
  const yaml = blocks.filter(({ language }) => language === "yaml");
  const peersOf = (names: readonly string[], site: string) =>
    [...new Set(names)]
      .filter((name) => name !== site)
      .map((name) => ({ name, key: createSigningKey().publicKey }));

  test("is there", () => expect(yaml.length).toBeGreaterThanOrEqual(3));

  test.each(yaml.map((block, index) => [`${block.file} #${index + 1}`, block] as const))(
    "%s is valid",
    (_, block) => {
      const value = z.record(z.string(), z.unknown()).parse(parse(block.text));
      if (Object.keys(value).every((key) => key in SiteFile.shape)) {
        const text = "site" in value ? block.text : `site: berlin\n${block.text}`;
        expect(checkSiteFile(parseSiteFile(text, block.file))).toEqual([]);
      } else if ("tenant" in value) {
        const tenants = parseTenantFile(block.text, block.file);
        const names = tenants.flatMap(({ exports = [], imports = [] }) => [
          ...exports.flatMap(({ to }) => to),
          ...imports.map(({ from }) => from),
        ]);
        expect(checkState("berlin", tenants, peersOf(names, "berlin"))).toEqual([]);
      } else if ("tests" in value) {
        expect(parseLocated(PolicyTestFile, block.text, block.file).value.tests).not.toEqual([]);
      } else {
        const policy = parseLocated(ExportPolicy, block.text, block.file).value;
        expect(checkRules(policy, "")).toEqual([]);
      }
    },
  );
});

describe("docs/lint.md", () => {
  test("has the table of codes that is in force", () => {
    const rows = [...read("docs/lint.md").matchAll(/^\| `([a-z-]+)` \| (\w+) \| (.+) \|$/gm)];
    const told = rows.map(([, code = "", severity, about]) => [code, { severity, about }]);
    expect(told).toEqual(Object.entries(LINT_CODES));
  });
});

describe("docs/alarms.md", () => {
  test("has every alarm, as it is raised", () => {
    const rows = [...read("docs/alarms.md").matchAll(/^\| `([a-z-]+)` \| (\w+) \| (.+) \| (.+) \|$/gm)];
    const told = rows.map(([, name = "", severity, means, todo]) => [name, { severity, means, todo }]);
    expect(told).toEqual(Object.entries(ALARMS));
  });
});

describe("docs/users.md", () => {
  const text = read("docs/users.md");
  const cell = ({ type, groups }: Access) =>
    `${type === "only" ? "" : "all but "}${groups.map((group) => `*${group}*`).join(", ")}`;

  test("has the table of roles that is in force", () => {
    const rows = [...text.matchAll(/^\| `([a-z]+)` \| (.+) \| (.+) \| (.+) \|$/gm)].map(([row]) => row);
    expect(rows).toEqual(
      Object.entries(ROLE_TABLE).map(
        ([role, { about, publish, subscribe }]) =>
          `| \`${role}\` | ${about} | ${cell(publish)} | ${cell(subscribe)} |`,
      ),
    );
  });

  test("says what each group of subjects is", () => {
    const rows = [...text.matchAll(/^\| \*([a-z-]+)\* \| (.+) \|$/gm)].map(([, group, about]) => [
      group,
      about,
    ]);
    expect(rows).toEqual(Object.entries(GROUP_TEXT));
  });
});

describe("docs/configuration.md", () => {
  const text = read("docs/configuration.md");
  const shapes = {
    SiteFile,
    ServerSettings,
    AlarmSettings,
    ApiSettings,
    AuditSettings,
    Peer,
    TenantUser,
    TenantLimits,
    Dedupe,
    TenantSettings,
    TenantDocument,
    ExportPolicy,
    Rule,
    ImportPolicy,
    Forbid,
    Sensitive,
  };
  const keys = Object.entries(shapes).flatMap(([name, schema]) =>
    Object.keys(schema.shape).map((key) => [name, key] as const),
  );

  test.each(keys)("says what %s.%s is", (_, key) => {
    expect(text).toMatch(new RegExp(`\`(?:[a-z]+\\.)?${key}(?:\`|\\.[a-z]+\`)`));
  });

  test("says what each redaction does", () => {
    for (const option of Redaction.options) {
      expect(text).toContain(`| \`${option.shape.with.value}\` |`);
    }
  });

  test("gives the defaults that are in force", () => {
    const row = (key: string): string =>
      new RegExp(`^\\| \`${key.replace(".", "\\.")}\` \\| \`([^\`]+)\``, "m").exec(text)?.[1] ?? "";
    const { limits, dedupe, log } = desiredTenant({ tenant: "acme" });
    expect(text).toContain(`| \`${DEFAULT_LISTEN}\` |`);
    expect(row("leaf")).toBe(DEFAULT_LEAF);
    expect(row("limits.storage")).toBe(formatBytes(limits.storageBytes));
    expect(row("limits.maxAge")).toBe(formatDurationMs(limits.maxAgeMs));
    expect(row("limits.maxMsgSize")).toBe(formatBytes(limits.maxMsgBytes));
    expect(row("limits.whenFull")).toBe(limits.whenFull);
    expect(row("dedupe.window")).toBe(formatDurationMs(dedupe.windowMs));
    expect(row("dedupe.ids")).toBe(dedupe.ids);
    expect(row("log")).toBe(String(log));
    expect(row("limits.streams")).toBe(String(limits.streams));
    expect(row("limits.consumers")).toBe(String(limits.consumers));
    expect(limits.streamStorageBytes).toBe(3 * limits.storageBytes);
    expect(row("role")).toBe(DEFAULT_ROLE);
  });
});

test.each([
  ...Object.keys(PolicyTestFile.shape).filter((key) => key !== "tests"),
  ...Object.keys(PolicyTest.shape).map((key) => `tests[].${key}`),
  ...Object.keys(TestExpectation.shape).map((key) => (key === "outcome" ? key : `expect.${key}`)),
])("docs/trying-policies.md says what %s is", (key) => {
  expect(read("docs/trying-policies.md")).toContain(`\`${key}\``);
});
