/** The site key while it rotates: the next one stands in a file beside it until it takes its place. */
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { LeafmeshError } from "../model/errors.ts";
import { type MayChange, syncFolder, writeSecretFile } from "./files.ts";
import { createSigningKey, keysFolder, readSigningKey, type SigningKey } from "./keys.ts";

const CURRENT = "site.nk";
const NEXT = "site.next.nk";

export class SiteKeyFiles {
  /** The key in use: all that hold it sign with the next one as soon as it has taken its place. */
  readonly current: SigningKey;
  readonly #folder: string;
  readonly #kept: boolean;
  readonly #mayChange: MayChange | undefined;

  /**
   * @param elsewhere the site key is kept elsewhere (`secrets.site`), so its place is not ours to write
   * @param mayChange asked before a file is changed; default: it always may be
   */
  constructor(dataFolder: string, current: SigningKey, elsewhere: boolean, mayChange?: MayChange) {
    this.#mayChange = mayChange;
    this.#folder = keysFolder(dataFolder);
    this.current = current;
    this.#kept = elsewhere;
  }

  /** The key that is to take the place of the one in use; `null`: there is none. @throws LeafmeshError `key_invalid` */
  async next(): Promise<SigningKey | null> {
    return await readSigningKey(join(this.#folder, NEXT));
  }

  /** Makes the next key. @throws LeafmeshError `conflict` where the site key is kept elsewhere */
  async prepare(): Promise<SigningKey> {
    if (this.#kept) {
      throw new LeafmeshError(
        "conflict",
        "The site key is kept elsewhere (secrets.site), so it cannot be rotated from here: name a new one at each peer as 'nextKey', replace it where it is kept, and start again",
      );
    }
    const made = createSigningKey();
    const seed = new TextDecoder().decode(made.seed());
    await writeSecretFile(join(this.#folder, NEXT), `${seed}\n`, "replace", this.#mayChange);
    return made;
  }

  /** Puts the next key into the place of the one in use, in its file and for all that hold it. The one before is gone. */
  async replace(next: SigningKey): Promise<void> {
    await this.#mayChange?.();
    await rename(join(this.#folder, NEXT), join(this.#folder, CURRENT));
    await syncFolder(join(this.#folder, CURRENT));
    this.current.become(next);
  }
}
