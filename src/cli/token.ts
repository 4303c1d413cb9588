/** Which API, and the admin token for it. A token is never an argument: others could read it in the list of processes. */
import { join } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import type { Effects } from "./effects.ts";

export interface Token {
  readonly value: string;
  /** Where it was found, for messages. */
  readonly source: string;
}

const DEFAULT_API = "http://127.0.0.1:7480";
const DATA_ROOT = "leafmesh-data";

/**
 * URL of the API: `--api`, `LEAFMESH_API`, or the default.
 *
 * @throws LeafmeshError `request_invalid` when it is no http URL, or holds a password
 */
export function apiUrl(flag: string | undefined, env: Effects["env"]): string {
  const text = flag ?? env("LEAFMESH_API") ?? DEFAULT_API;
  const from = flag !== undefined ? "--api" : "LEAFMESH_API";
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new LeafmeshError("request_invalid", `${from} is no URL (expected for example ${DEFAULT_API})`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new LeafmeshError(
      "request_invalid",
      `${from} holds a user or password: the API knows only the admin token`,
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** Whether what is sent to `url` can be read on the way. */
export function isReadableOnTheWay(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !/^(localhost|127\..*|\[::1\])$/.test(hostname);
}

/** The CA of the API's certificate: `--ca`, `LEAFMESH_CA`; `undefined`: those of the machine. */
export async function findCa(
  flag: string | undefined,
  effects: Pick<Effects, "readFile" | "env">,
): Promise<string | undefined> {
  const path = flag ?? effects.env("LEAFMESH_CA");
  if (path === undefined || path === "") return undefined;
  const text = new TextDecoder().decode(await effects.readFile(path));
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new LeafmeshError("request_invalid", `${path} holds no certificate (expected PEM)`);
}

/**
 * The token: `--token-file`, `LEAFMESH_TOKEN`, the data folder's, or that of the only data folder below here.
 *
 * @throws LeafmeshError `unauthorized` when there is none, or more than one to choose from
 */
export async function findToken(
  flags: { readonly tokenFile: string | undefined; readonly data: string | undefined },
  effects: Pick<Effects, "readFile" | "listFolder" | "env">,
): Promise<Token> {
  if (flags.tokenFile !== undefined) return await tokenOfFile(flags.tokenFile, effects);
  const fromEnv = effects.env("LEAFMESH_TOKEN");
  if (flags.data === undefined && fromEnv !== undefined) return checked(fromEnv, "LEAFMESH_TOKEN");
  if (flags.data !== undefined) return await tokenOfFile(tokenPath(flags.data), effects);
  const found: string[] = [];
  for (const site of await effects.listFolder(DATA_ROOT)) {
    const folder = join(DATA_ROOT, site);
    if ((await effects.listFolder(join(folder, "keys"))).includes("api.token")) found.push(folder);
  }
  const [only, second] = found;
  if (only === undefined) {
    throw new LeafmeshError(
      "unauthorized",
      `No token is found: name the data folder with --data, a file with --token-file, or set LEAFMESH_TOKEN (looked for ${DATA_ROOT}/*/keys/api.token)`,
    );
  }
  if (second !== undefined) {
    throw new LeafmeshError(
      "unauthorized",
      `Several sites have a token here: choose with --data ${found.join(" or --data ")}`,
    );
  }
  return await tokenOfFile(tokenPath(only), effects);
}

const tokenPath = (dataFolder: string): string => join(dataFolder, "keys", "api.token");

async function tokenOfFile(path: string, { readFile }: Pick<Effects, "readFile">): Promise<Token> {
  try {
    return checked(new TextDecoder().decode(await readFile(path)), path);
  } catch (thrown) {
    if (thrown instanceof LeafmeshError && thrown.code === "not_found") {
      throw new LeafmeshError(
        "unauthorized",
        `There is no token file ${path}: has this sidecar been started once?`,
      );
    }
    throw thrown;
  }
}

function checked(text: string, source: string): Token {
  const value = text.trim();
  if (/^[\x21-\x7e]+$/.test(value)) return { value, source };
  throw new LeafmeshError("unauthorized", `${source} holds no token (expected one word)`);
}
