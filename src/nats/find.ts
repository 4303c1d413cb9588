/** Finds the nats-server of this machine and checks that it is new enough. */
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { errorText, LeafmeshError } from "../model/errors.ts";

/** The oldest server with durable sourcing over leaf links and fast ingest (ADR-60, ADR-50). */
export const MINIMUM_SERVER_VERSION = "2.15.0";

const INSTALL_HINT = `run scripts/setup, or install nats-server ${MINIMUM_SERVER_VERSION} or newer`;
const VERSION_DEADLINE_MS = 10_000;

/** An nats-server that was found, and where the search found it. */
export interface ServerBinary {
  readonly path: string;
  /** For example `2.15.1`. */
  readonly version: string;
  readonly source: "site file" | "$NATS_SERVER" | "PATH" | "project cache";
}

export interface FindServerOptions {
  /** `server.binary` of the site file; nothing else is tried when it is given. */
  readonly explicit?: string | undefined;
  /** Default: the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Default: `.tools/bin/nats-server` of this project. */
  readonly cached?: string;
}

/**
 * Finds nats-server: the site file's, `$NATS_SERVER`, the first on `PATH` that is new enough, the project's cache.
 *
 * @throws LeafmeshError `server_missing` when there is none, `server_too_old` when all that was found is too old; both
 * name what was found, where, and what to do.
 */
export async function findServer(options: FindServerOptions = {}): Promise<ServerBinary> {
  const env = options.env ?? process.env;
  if (options.explicit !== undefined) return await required(options.explicit, "site file");
  const named = env.NATS_SERVER;
  if (named !== undefined && named !== "") return await required(named, "$NATS_SERVER");

  const cached = options.cached ?? join(projectRoot(), ".tools", "bin", "nats-server");
  const places: readonly (readonly [string, ServerBinary["source"]])[] = [
    ...(env.PATH ?? "")
      .split(delimiter)
      .filter((folder) => folder !== "")
      .map((folder) => [join(folder, "nats-server"), "PATH"] as const),
    [cached, "project cache"],
  ];
  const tooOld: string[] = [];
  for (const [path, source] of places) {
    if (!(await executable(path))) continue;
    const version = await serverVersion(path).catch(() => null);
    if (version === null) continue;
    if (isNewEnough(version)) return { path, version, source };
    tooOld.push(`${version} at ${path} (${source})`);
  }
  if (tooOld.length > 0) {
    throw new LeafmeshError(
      "server_too_old",
      `Found nats-server ${tooOld.join(", ")}, but ${MINIMUM_SERVER_VERSION} or newer is needed: ${INSTALL_HINT}`,
    );
  }
  throw new LeafmeshError(
    "server_missing",
    `No nats-server on PATH, in $NATS_SERVER or at ${cached}: ${INSTALL_HINT}`,
  );
}

/** Version that `nats-server --version` prints, for example `2.15.1`. */
export async function serverVersion(path: string): Promise<string> {
  const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: VERSION_DEADLINE_MS });
  const found = /^nats-server: v(\d+\.\d+\.\d+\S*)/m.exec(stdout)?.[1];
  if (found === undefined) throw new Error(`'${path} --version' printed no version of nats-server`);
  return found;
}

/** Whether `version` is at least {@link MINIMUM_SERVER_VERSION}. */
export function isNewEnough(version: string): boolean {
  const [found, least] = [version, MINIMUM_SERVER_VERSION].map((text) => text.split(/[.-]/).map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (found?.[i] ?? 0) - (least?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

async function required(path: string, source: "site file" | "$NATS_SERVER"): Promise<ServerBinary> {
  const full = resolve(path);
  if (!(await executable(full))) {
    throw new LeafmeshError(
      "server_missing",
      `No executable nats-server at ${full} (from ${source}): correct the path, or remove it and ${INSTALL_HINT}`,
    );
  }
  let version: string;
  try {
    version = await serverVersion(full);
  } catch (thrown) {
    throw new LeafmeshError(
      "server_missing",
      `${full} (from ${source}) is no working nats-server: ${errorText(thrown)}`,
      { cause: thrown },
    );
  }
  if (!isNewEnough(version)) {
    throw new LeafmeshError(
      "server_too_old",
      `nats-server at ${full} (from ${source}) is ${version}, but ${MINIMUM_SERVER_VERSION} or newer is needed: ${INSTALL_HINT}`,
    );
  }
  return { path: full, version, source };
}

async function executable(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** The folder that holds `src/`. */
function projectRoot(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}
