/** `leafmesh up`: the sidecar as a process, from the site file to the signal that ends it. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import process from "node:process";
import { checkSiteFile } from "../control/check_state.ts";
import { withSchemaFiles } from "../control/schema_files.ts";
import { errorText, exitCode, formatProblem, LeafmeshError } from "../model/errors.ts";
import { nameProblem } from "../model/names.ts";
import type { SiteFile } from "../model/schema/site.ts";
import { locateProblems, parseLocatedSiteFile } from "../model/site_file.ts";
import { parseDurationMs } from "../model/units.ts";
import { sleep } from "../nats/wait.ts";
import { createLog } from "../observe/log.ts";
import { type Sidecar, startSidecar } from "./start.ts";
import { listenForStop, signalExit } from "./stop_signals.ts";

/** Name of the site that starts without a site file. */
const DEFAULT_SITE = "local-site";

export interface RunOptions {
  /** Path of `site.yaml`; without it a single site with the defaults starts. */
  readonly siteFile?: string;
  /** What the command line says wins over the site file. */
  readonly overrides: {
    readonly site?: string;
    readonly data?: string;
    /** `host:port` of the API, of apps, of peers. */
    readonly api?: string;
    readonly listen?: string;
    readonly leaf?: string;
  };
  readonly log: "text" | "json";
  /** Lets the API listen in clear where others can listen, too. */
  readonly insecureApi?: boolean;
  /** Name among the sidecars of the site; default that of the environment variable LEAFMESH_MEMBER, else `a`. */
  readonly member?: string;
}

/** How long views have to finish what they have in hand, where the site file does not say. */
const DRAIN_MS = 20_000;
/** The process ended before all was drained: what was under way goes on at the next start, as after a crash. */
const NOT_DRAINED = 10;

/**
 * Runs a sidecar until SIGINT or SIGTERM, and lets it drain then. A second signal ends the process at once.
 * @returns the exit code
 */
export async function runSidecar(options: RunOptions): Promise<number> {
  const signals = listenForStop();
  let sidecar: Sidecar | null = null;
  void signals.second.then(async (name) => {
    await sidecar?.leave().catch(() => undefined);
    process.exit(signalExit(name));
  });
  try {
    const { file, base } = await loadSite(options);
    const log = createLog({
      format: options.log,
      write: (line) => process.stderr.write(line),
      now: () => new Date(),
      site: file.site,
    });
    const member = memberName(options.member);
    sidecar = await startSidecar({
      file,
      base,
      log,
      env: process.env,
      signal: signals.signal,
      insecureApi: options.insecureApi === true,
      ...(member === undefined ? {} : { member }),
    });
    process.stdout.write(welcome(sidecar, options.log === "text"));
    const name = await signals.first;
    const drainMs = file.drain === undefined ? DRAIN_MS : (parseDurationMs(file.drain) ?? DRAIN_MS);
    log("info", "sidecar", `${name}: stopping, within ${drainMs} ms; a second signal ends it at once`);
    const late = new AbortController();
    const drained = await Promise.race([
      sidecar.stop().then(() => true),
      sleep(drainMs, late.signal).then(() => false),
    ]);
    late.abort();
    if (drained) return 0;
    log("warn", "sidecar", `not drained after ${drainMs} ms: the next start goes on from what is stored`);
    await sidecar.leave();
    process.exit(NOT_DRAINED);
  } catch (error) {
    process.stderr.write(failure(error, options.siteFile));
    return error instanceof LeafmeshError ? exitCode(error.code) : 1;
  }
}

/** @throws LeafmeshError `config_invalid` for what cannot be a name */
function memberName(given: string | undefined): string | undefined {
  const name = given ?? process.env.LEAFMESH_MEMBER;
  if (name === undefined) return undefined;
  const problem = nameProblem(name);
  if (problem === null) return name;
  const source = given === undefined ? "the environment variable LEAFMESH_MEMBER" : "--member";
  throw new LeafmeshError("config_invalid", `${source} is '${name}': it ${problem}`);
}

async function loadSite(options: RunOptions): Promise<{ readonly file: SiteFile; readonly base: string }> {
  const { siteFile, overrides } = options;
  const file = siteFile === undefined ? { site: overrides.site ?? DEFAULT_SITE } : await readSite(siteFile);
  const base = siteFile === undefined ? process.cwd() : dirname(resolve(siteFile));
  return { base, file: override(file, overrides) };
}

async function readSite(path: string): Promise<SiteFile> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new LeafmeshError("config_invalid", `${path} cannot be read: ${errorText(error)}`, {
      cause: error,
    });
  });
  const { value, source } = parseLocatedSiteFile(text, path);
  const { file, problems: unread } = withSchemaFiles(value, path);
  const problems = locateProblems(source, unread.length > 0 ? unread : checkSiteFile(file));
  if (problems.length > 0) {
    throw new LeafmeshError("config_invalid", `${path} is not valid`, { problems });
  }
  return file;
}

function override(file: SiteFile, overrides: RunOptions["overrides"]): SiteFile {
  const { site, data, api, listen, leaf } = overrides;
  const server = {
    ...file.server,
    ...(listen === undefined ? {} : { listen }),
    ...(leaf === undefined ? {} : { leaf }),
  };
  return {
    ...file,
    ...(site === undefined ? {} : { site }),
    ...(data === undefined ? {} : { data: resolve(data) }),
    ...(Object.keys(server).length === 0 ? {} : { server }),
    ...(api === undefined ? {} : { api: { ...file.api, listen: api } }),
  };
}

/** What is up. A new token is shown once to a person; JSON lines are for a collector of logs, which must not have it. */
function welcome(sidecar: Sidecar, person: boolean): string {
  const token =
    sidecar.madeToken === null || !person
      ? `  token   in ${sidecar.tokenSource}`
      : `  token   ${sidecar.madeToken}   (shown once; kept in ${sidecar.tokenSource})`;
  return `${[
    `leafmesh: site ${sidecar.site} is up`,
    `  apps    nats://${sidecar.listen}`,
    `  peers   ${sidecar.caFingerprint === null ? "nats-leaf" : "tls"}://${sidecar.leaf}   site key ${sidecar.siteKey}`,
    ...(sidecar.caFingerprint === null ? [] : [`  CA      SHA-256 ${sidecar.caFingerprint}`]),
    `  api     ${sidecar.apiUrl}   (OpenAPI at /openapi.json)`,
    token,
    `  data    ${sidecar.dataFolder}`,
  ].join("\n")}\n`;
}

function failure(error: unknown, file: string | undefined): string {
  if (!(error instanceof LeafmeshError)) {
    return `leafmesh: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
  const problems = error.problems
    .filter((problem) => !error.message.includes(problem.message))
    .map((problem) => `  ${formatProblem(problem, file)}\n`);
  return `leafmesh: ${error.message}\n${problems.join("")}`;
}
