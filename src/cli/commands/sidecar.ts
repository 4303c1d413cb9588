/** `up`, `lint` and `version`: what needs no API. */
import { formatProblem, LeafmeshError, type Problem } from "../../model/errors.ts";
import { parseApplyFile } from "../../model/site_file.ts";
import type { Command } from "../command.ts";
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
    log: { value: "text|json", about: "how the log is written (default text)" },
  },
  run: async ({ args, flag, effects }) => {
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
    const sidecar = await effects.sidecar();
    const exit = await sidecar.runSidecar({
      ...(siteFile === undefined ? {} : { siteFile }),
      overrides,
      log,
    });
    return { json: null, text: "", exit };
  },
};

export const LINT: Command = {
  name: "lint",
  args: ["<file...>"],
  about: "checks site files and tenants' documents: every problem with line and column",
  flags: {},
  run: async ({ args, effects }) => {
    const sidecar = await effects.sidecar();
    const files: { file: string; problems: readonly Problem[] }[] = [];
    for (const file of args) {
      const text = new TextDecoder().decode(await effects.readFile(file));
      files.push({ file, problems: lintFile(text, file, sidecar.lintSiteFile) });
    }
    const found = files.reduce((sum, { problems }) => sum + problems.length, 0);
    const lines = files.flatMap(({ file, problems }) =>
      problems.map((problem) => formatProblem(problem, file)),
    );
    const sum = `${count(files.length, "file")}, ${count(found, "problem")}`;
    return {
      json: files,
      text: [...lines, sum].join("\n"),
      ...(found === 0 ? {} : { failed: "config_invalid" as const }),
    };
  },
};

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

/** What a policy means can only be checked in a site file: tenants' documents know neither site nor peers. */
function lintFile(
  text: string,
  file: string,
  lintSite: (text: string, file: string) => readonly Problem[],
): readonly Problem[] {
  try {
    return parseApplyFile(text, file).type === "site" ? lintSite(text, file) : [];
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "config_invalid") return thrown.problems;
    throw thrown;
  }
}
