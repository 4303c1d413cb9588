/**
 * The key that nats-server encrypts its store with. With another key than before, nats-server 2.15.1 starts without the streams that it cannot
 * read, and whoever makes one of the same name destroys it; where it is told the key before, it loses all consumers. So the key is
 * held against a note in the data folder before the server starts.
 */
import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { LeafmeshError } from "../model/errors.ts";
import type { EncryptionSettings } from "../model/schema/secret.ts";
import type { DataFolder } from "./data_folder.ts";
import { readTextFile, writeSecretFile } from "./files.ts";
import { keysFolder } from "./keys.ts";
import { readSecret, type SecretPlace } from "./secret_source.ts";

const KEY_FILE = "jetstream.key";
const NOTE_FILE = "store.encrypted";
/** What stands between quotes in nats-server's configuration as it is. */
const KEY = /^[A-Za-z0-9+/=_.:-]{16,512}$/;

const Note = z.object({ cipher: z.enum(["chachapoly", "aes"]), salt: z.string(), check: z.string() });

/**
 * Prepares the configuration of an encrypted store, or makes sure that a store without is none.
 *
 * @returns whether the store is encrypted
 * @throws LeafmeshError `key_invalid` when the key is another than before, or there is none for a store that is encrypted
 */
export async function prepareStoreKey(
  folder: DataFolder,
  settings: EncryptionSettings | undefined,
  place: Omit<SecretPlace, "what">,
): Promise<boolean> {
  const noteFile = join(folder.path, NOTE_FILE);
  const text = await readTextFile(noteFile);
  const note = text === null ? null : Note.parse(JSON.parse(text));
  if (settings === undefined) {
    if (note === null) return false;
    throw new LeafmeshError(
      "key_invalid",
      `The store of ${folder.path} is encrypted: set server.encryption with its key, or give the site another data folder. Nothing was started or changed`,
    );
  }
  if (note === null && (await readdir(join(folder.file("store"), "jetstream")).catch(() => [])).length > 0) {
    throw new LeafmeshError(
      "key_invalid",
      `The store of ${folder.path} is not encrypted: server.encryption is for a new data folder, as turning it on may repeat events. Nothing was started or changed`,
    );
  }
  const cipher = settings.cipher ?? note?.cipher ?? "chachapoly";
  const key = await storeKey(folder, settings, place);
  if (note !== null && (note.cipher !== cipher || !isKeyOf(note, key))) {
    const what =
      note.cipher === cipher
        ? "the key of server.encryption is another than"
        : `cipher '${cipher}' is another than '${note.cipher}',`;
    throw new LeafmeshError(
      "key_invalid",
      `The store of ${folder.path} cannot be read: ${what} what it was encrypted with. Nothing was started or changed; a key cannot be changed in place`,
    );
  }
  await writeSecretFile(folder.file("storeKeyConfig"), `cipher: "${cipher}"\nkey: "${key}"\n`, "replace");
  if (note === null) {
    const salt = randomBytes(16).toString("hex");
    const made = { cipher, salt, check: checkOf(key, salt).toString("hex") };
    await writeSecretFile(noteFile, `${JSON.stringify(made)}\n`, "replace");
  }
  return true;
}

async function storeKey(
  folder: DataFolder,
  settings: EncryptionSettings,
  place: Omit<SecretPlace, "what">,
): Promise<string> {
  const file = join(keysFolder(folder.path), KEY_FILE);
  if (settings.key === undefined) await writeSecretFile(file, `${randomBytes(32).toString("hex")}\n`, "keep");
  const key = await readSecret(settings.key ?? { file }, { what: "the key of the store", ...place });
  if (KEY.test(key)) return key;
  throw new LeafmeshError(
    "key_invalid",
    `The key of the store has ${key.length} characters, expected 16 to 512 of letters, digits and + / = _ . : -`,
  );
}

function isKeyOf(note: z.infer<typeof Note>, key: string): boolean {
  const check = Buffer.from(note.check, "hex");
  const own = checkOf(key, note.salt);
  return own.length === check.length && timingSafeEqual(own, check);
}

/** Tells keys apart, and costs who guesses. */
function checkOf(key: string, salt: string): Buffer {
  return scryptSync(key, Buffer.from(salt, "hex"), 32);
}
