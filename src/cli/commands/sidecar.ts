/** `up`, `lint` and `version`: what needs no API, but for `lint` without a file. */
import { LeafmeshError } from "../../model/errors.ts";
import { formatFinding, type LintReport } from "../../model/finding.ts";
import type { Command } from "../command.ts";
import type { Effects } from "../effects.ts";
import { paths } from "../paths.ts";
import { count } from "../table.ts";
import type { UpOptions } from "../up.ts";

const DEFAULT_FILE = "site.yaml";

export const UP: Command = {
  name: "up",
  args: ["[site.yaml]"],
  about: "runs nats-server and the sidecar of a site until it is stopped",
  details: "Takes ./site.yaml when there is one; without a site file a site with the defaults starts.",
  flags: {
    site: { value: "NAME", about: "name of the site, where there is no site file" },
    data: { value: "DIR", about: "data folder (default leafmesh-data/<site>)" },
    api: { value: "HOST:PORT", about: "where the API listens (default 127.0.0.1:7480)" },
    listen: { value: "HOST:PORT", about: "where apps connect (default 127.0.0.1:4222)" },
    leaf: { value: "HOST:PORT", about: "where peers connect (default 127.0.0.1:7422)" },
    member: {
      value: "NAME",
      about: "name among the sidecars of the site (default a), see docs/high-availability.md",
    },
    "insecure-api": {
      about: "let the API listen in clear at an address that others reach, too; said at each start",
    },
    log: { value: "text|json", about: "how the log is written (default text)" },
  },
  run: async ({ args, flag, has, effects }) => {
    const log = flag("log") ?? "text";
    if (log !== "text" && log !== "json") {
      throw new LeafmeshError("request_invalid", `--log is '${log}', expected text or json`);
    }
    const overrides: UpOptions["overrides"] = Object.fromEntries(
      ["site", "data", "api", "listen", "leaf"].flatMap((name) => {
        const value = flag(name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
    const there = (await effects.listFolder(".")).includes(DEFAULT_FILE);
    const siteFile = args[0] ?? (there && overrides.site === undefined ? DEFAULT_FILE : undefined);
    const member = flag("member");
    const sidecar = await effects.sidecar();
    const exit = await sidecar.runSidecar({
      ...(siteFile === undefined ? {} : { siteFile }),
      overrides,
      log,
      ...(member === undefined ? {} : { member }),
      ...(has("insecure-api") ? { insecureApi: true } : {}),
    });
    return { json: null, text: "", exit };
  },
};

export const LINT: Command = {
  name: "lint",
  args: ["[file...]"],
  about: "checks site files, each by itself and all as a mesh; tenants' documents",
  details:
    "Give the files of all sites to find what one file cannot show: loops, second ways, flows that are forbidden, exports that\nnobody imports. Fails where there is an error, with --strict for a warning too. docs/lint.md explains the codes.\nWithout a file the policies in force are checked, by the API.",
  flags: { strict: { about: "fail for warnings too" } },
  run: async ({ api, args, has, effects }) => {
    const report =
      args.length === 0 ? await (await api()).get<LintReport>(paths.lint) : await lintNamed(args, effects);
    const { errors, files, warnings } = report;
    const sum = `${count(files.length, "file")}, ${count(errors, "error")}, ${count(warnings, "warning")}`;
    const failed = errors > 0 || (has("strict") && warnings > 0);
    return {
      json: report,
      text: [...report.findings.map(formatFinding), sum].join("\n"),
      ...(failed ? { failed: "config_invalid" as const } : {}),
    };
  },
};

async function lintNamed(names: readonly string[], effects: Effects): Promise<LintReport> {
  const sidecar = await effects.sidecar();
  const files = await Promise.all(
    names.map(async (name) => ({ name, text: new TextDecoder().decode(await effects.readFile(name)) })),
  );
  return sidecar.lintFiles(files);
}

export const VERSION: Command = {
  name: "version",
  args: [],
  about: "the version of this program",
  flags: {},
  run: async ({ effects }) => {
    const version = await effects.version();
    return { json: { version }, text: `leafmesh ${version}` };
  },
};
