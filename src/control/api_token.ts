/** The admin token of the API: made on the first start, kept in a file that only its owner may read. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import { readSecretFile, writeSecretFile } from "../nats/files.ts";
import { keysFolder } from "../nats/keys.ts";

const LEAST_LENGTH = 16;

export interface ApiToken {
  /** Whether a candidate is the token; takes the same time wherever they differ. */
  check(candidate: string): boolean;
  /** The token, when it was made just now: to be shown once. */
  readonly made: string | null;
  /** Where it can be read. */
  readonly source: string;
}

/**
 * Loads the token from where the site file says, or from the data folder, where it is made when there is none.
 * @throws {LeafmeshError} `config_invalid` when the named place has no token; `key_invalid` for a file that others may read.
 */
export async function loadApiToken(
  dataFolder: string,
  setting: { readonly file: string } | { readonly env: string } | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ApiToken> {
  if (setting !== undefined && "env" in setting) {
    return token(env[setting.env], `the environment variable ${setting.env}`, null);
  }
  if (setting !== undefined) return token(await readToken(setting.file), setting.file, null);
  const file = join(keysFolder(dataFolder), "api.token");
  const there = await readToken(file);
  if (there !== undefined) return token(there, file, null);
  const made = `lm_${randomBytes(24).toString("base64url")}`;
  await writeSecretFile(file, `${made}\n`, "keep");
  return token(made, file, made);
}

async function readToken(file: string): Promise<string | undefined> {
  const bytes = await readSecretFile(file);
  return bytes === null ? undefined : new TextDecoder().decode(bytes).trim();
}

function token(value: string | undefined, source: string, made: string | null): ApiToken {
  if (value === undefined || value.length < LEAST_LENGTH) {
    const found = value === undefined ? "is not there" : `holds ${value.length} characters`;
    throw new LeafmeshError(
      "config_invalid",
      `The API token: ${source} ${found}, expected at least ${LEAST_LENGTH}`,
    );
  }
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = digest(value);
  return { check: (candidate) => timingSafeEqual(digest(candidate), expected), made, source };
}
