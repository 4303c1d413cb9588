/**
 * What a user of a tenant proves itself with, a key or a password: made here, in a file that only its owner may read. The
 * sidecar gets the public half of the key, or the hash of the password.
 */
import { resolve } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import { userLogin } from "../model/names.ts";
import { PublicKey } from "../model/schema/scalars.ts";
import { checked } from "./check.ts";
import type { Call, Flags } from "./command.ts";

/** The half that the sidecar gets. */
export type PublicHalf = { readonly key: string } | { readonly passwordHash: string };

/** The half that stays with the user. */
export type Secret =
  | { readonly type: "nkey"; readonly publicKey: string; readonly file: string | null }
  | {
      readonly type: "password";
      readonly login: string;
      readonly password: string;
      readonly file: string | null;
    };

/** A random password guesses at 192 bits: no work of the server makes it safer. One that a person chose may need it. */
const MADE_COST = 4;
const CHOSEN_COST = 10;
/** bcrypt reads no more. */
const MOST_PASSWORD_BYTES = 72;
const LEAST_PASSWORD_CHARACTERS = 12;

/** Flags that say which key a user gets. */
export const KEY_FLAGS = {
  "key-file": {
    value: "PATH",
    about: "where the secret is written, mode 0600 (default ./<tenant>-<user>.nk, or .password)",
  },
  key: { value: "U…", about: "public key of a user that has its seed already: none is made" },
} as const satisfies Flags;

/** Flags that say that a user gets a password. */
export const PASSWORD_FLAGS = {
  password: { about: "a password in the place of a key, for simple clients; it is made here" },
  "password-file": {
    value: "PATH",
    about: "a password that you choose: first line of the file, or of /dev/stdin",
  },
} as const satisfies Flags;

/**
 * Runs `work` with the user's credential. Where it fails, a secret that was made for it is removed again.
 *
 * @throws LeafmeshError `conflict` when the file is there already, `request_invalid` for a key or password that is none
 */
export async function withCredential<T>(
  call: Call,
  tenant: string,
  user: string,
  work: (half: PublicHalf, secret: Secret) => Promise<T>,
): Promise<T> {
  const chosen = call.flag("password-file");
  const brought = call.flag("key");
  const wantsPassword = call.has("password") || call.has("mqtt") || chosen !== undefined;
  if (brought !== undefined && wantsPassword) {
    throw new LeafmeshError("request_invalid", "A user has a key or a password: give --key or --password");
  }
  if (chosen !== undefined) {
    const password = await readPassword(call, chosen);
    const passwordHash = await call.effects.hashPassword(password, CHOSEN_COST);
    return await work(
      { passwordHash },
      { type: "password", login: userLogin(tenant, user), password, file: null },
    );
  }
  if (brought !== undefined) {
    const key = checked(PublicKey, brought, "--key");
    return await work({ key }, { type: "nkey", publicKey: key, file: null });
  }
  const suffix = wantsPassword ? "password" : "nk";
  const file = call.flag("key-file") ?? `./${tenant}-${user}.${suffix}`;
  const made = wantsPassword ? await makePassword(call, tenant, user, file) : makeKey(call, file);
  await call.effects.createFile(file, `${made.text}\n`, 0o600);
  try {
    return await work(made.half, made.secret);
  } catch (thrown) {
    await call.effects.removeFile(file);
    throw thrown;
  }
}

interface Made {
  readonly half: PublicHalf;
  readonly secret: Secret;
  /** What stands in the file. */
  readonly text: string;
}

function makeKey(call: Call, file: string): Made {
  const { publicKey, seed } = call.effects.createUserKey();
  return { half: { key: publicKey }, secret: { type: "nkey", publicKey, file }, text: seed };
}

async function makePassword(call: Call, tenant: string, user: string, file: string): Promise<Made> {
  const password = call.effects.createPassword();
  const passwordHash = await call.effects.hashPassword(password, MADE_COST);
  const secret = { type: "password", login: userLogin(tenant, user), password, file } as const;
  return { half: { passwordHash }, secret, text: password };
}

async function readPassword(call: Call, path: string): Promise<string> {
  const text = new TextDecoder().decode(await call.effects.readFile(path));
  const password = text.split(/\r?\n/)[0] ?? "";
  const bytes = new TextEncoder().encode(password).length;
  const refuse = (why: string) => new LeafmeshError("request_invalid", `The password in ${path} ${why}`);
  if (password.length < LEAST_PASSWORD_CHARACTERS) {
    throw refuse(`is shorter than ${LEAST_PASSWORD_CHARACTERS} characters`);
  }
  if (bytes > MOST_PASSWORD_BYTES) throw refuse(`is longer than ${MOST_PASSWORD_BYTES} bytes`);
  return password;
}

/** What may be said of a secret. */
export function told(secret: Secret): Readonly<Record<string, string | null>> {
  return secret.type === "nkey"
    ? { publicKey: secret.publicKey, file: secret.file }
    : { login: secret.login, file: secret.file };
}

/** A path that holds wherever the file that names it is read. */
export function absolute(path: string): string {
  return resolve(path);
}
