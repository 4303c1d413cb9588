/** The key of an app: made here, its seed in a file that only its owner may read; the sidecar gets the public half. */
import type { SiteReport } from "../../routes/answers.ts";
import { PublicKey } from "../model/schema/scalars.ts";
import { checked } from "./check.ts";
import type { ApiClient } from "./client.ts";
import type { Call } from "./command.ts";
import { paths } from "./paths.ts";

export interface UserKey {
  readonly publicKey: string;
  /** Where the seed stands; `null` for a key that was brought. */
  readonly file: string | null;
}

/** Flags that say which key a user gets. */
export const KEY_FLAGS = {
  "key-file": { value: "PATH", about: "where the seed is written, mode 0600 (default ./<tenant>-<user>.nk)" },
  key: { value: "U…", about: "public key of a user that has its seed already: none is made" },
} as const;

/**
 * Runs `work` with the user's key. Where it fails, a seed that was made for it is removed again.
 *
 * @throws LeafmeshError `conflict` when the file is there already, `request_invalid` for a key that is none
 */
export async function withUserKey<T>(
  call: Call,
  tenant: string,
  user: string,
  work: (key: UserKey) => Promise<T>,
): Promise<T> {
  const brought = call.flag("key");
  if (brought !== undefined)
    return await work({ publicKey: checked(PublicKey, brought, "--key"), file: null });
  const file = call.flag("key-file") ?? `./${tenant}-${user}.nk`;
  const { publicKey, seed } = call.effects.createUserKey();
  await call.effects.createFile(file, `${seed}\n`, 0o600);
  try {
    return await work({ publicKey, file });
  } catch (thrown) {
    await call.effects.removeFile(file);
    throw thrown;
  }
}

/** How an app with this key connects. */
export async function connectText(client: ApiClient, key: UserKey, subject: string): Promise<string> {
  const { server } = await client.get<SiteReport>(paths.site);
  const url = `nats://${server.listen}`;
  if (key.file === null) return `Connect to ${url} with the seed of ${key.publicKey}.`;
  return [
    `Its seed is in ${key.file}: keep it secret, there is no copy.`,
    `Connect to ${url} with it, for example:`,
    `  nats --server ${url} --nkey ${key.file} pub ${subject} hello`,
  ].join("\n");
}
