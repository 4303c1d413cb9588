/** The bootstrap token of the API, an operator's: made on the first start, kept in a file that only its owner may read. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { LeafmeshError } from "../../model/errors.ts";
import { BOOTSTRAP, type Grant } from "../../model/principal.ts";
import { type MayChange, readSecretFile, writeSecretFile } from "../../nats/files.ts";
import { keysFolder } from "../../nats/keys.ts";

const LEAST_LENGTH = 16;

/** Where the site file says that the token is; `off`: there is none. */
export type BootstrapSetting = { readonly file: string } | { readonly env: string } | "off";

/** The bootstrap token: where it stands, and whether a candidate is it. */
export class BootstrapToken {
  /** The token, when it was made just now: to be shown once. */
  readonly made: string | null;
  /** Where it can be read. */
  readonly source: string;
  readonly #file: string | null;
  #expected: Uint8Array | null;
  #end = new AbortController();

  constructor(value: string | null, place: { source: string; file: string | null; made: string | null }) {
    this.#expected = value === null ? null : digest(value);
    this.#file = place.file;
    this.source = place.source;
    this.made = place.made;
  }

  /** What a candidate stands for; takes the same time wherever it differs. */
  authenticate(candidate: string): Grant | null {
    if (this.#expected === null || !timingSafeEqual(digest(candidate), this.#expected)) return null;
    return { principal: BOOTSTRAP, signal: this.#end.signal };
  }

  /**
   * Puts another token in its place, in its file; what is open for the old one ends.
   * @returns the new token
   * @throws {LeafmeshError} `conflict` where the token comes from the environment, or is switched off
   */
  async rotate(mayChange?: MayChange): Promise<string> {
    if (this.#file === null) {
      throw new LeafmeshError(
        "conflict",
        `The bootstrap token is ${this.source}: change it there, and start the sidecar again`,
      );
    }
    const value = createToken();
    await writeSecretFile(this.#file, `${value}\n`, "replace", mayChange);
    this.#expected = digest(value);
    this.#end.abort();
    this.#end = new AbortController();
    return value;
  }
}

/**
 * Loads the token from where the site file says, or from the data folder, where it is made when there is none.
 * @throws {LeafmeshError} `config_invalid` when the named place has no token; `key_invalid` for a file that others may read.
 */
export async function loadBootstrapToken(
  dataFolder: string,
  setting: BootstrapSetting | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<BootstrapToken> {
  if (setting === "off") return new BootstrapToken(null, { source: "switched off", file: null, made: null });
  if (setting !== undefined && "env" in setting) {
    const source = `the environment variable ${setting.env}`;
    return new BootstrapToken(checked(env[setting.env], source), { source, file: null, made: null });
  }
  const file = setting === undefined ? join(keysFolder(dataFolder), "api.token") : setting.file;
  const there = await readToken(file);
  if (there !== undefined || setting !== undefined) {
    return new BootstrapToken(checked(there, file), { source: file, file, made: null });
  }
  const made = createToken();
  await writeSecretFile(file, `${made}\n`, "keep");
  return new BootstrapToken(made, { source: file, file, made });
}

const createToken = () => `lm_${randomBytes(32).toString("base64url")}`;
const digest = (text: string) => createHash("sha256").update(text).digest();

async function readToken(file: string): Promise<string | undefined> {
  const bytes = await readSecretFile(file);
  return bytes === null ? undefined : new TextDecoder().decode(bytes).trim();
}

function checked(value: string | undefined, source: string): string {
  if (value !== undefined && value.length >= LEAST_LENGTH) return value;
  const found = value === undefined ? "is not there" : `holds ${value.length} characters`;
  throw new LeafmeshError(
    "config_invalid",
    `The API token: ${source} ${found}, expected at least ${LEAST_LENGTH}`,
  );
}
