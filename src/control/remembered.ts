/** What the next start renders its first configuration from, before the state bucket can be read. No secrets. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DesiredState } from "../model/desired.ts";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { type MayChange, writeSecretFile } from "../nats/files.ts";
import { LAYOUT, requireKnownLayout } from "./layout.ts";

/** A state with the tenants that are gone but whose account the server must keep until it restarts. */
export interface Remembered {
  readonly state: DesiredState;
  readonly retired: readonly string[];
  /** Accounts whose leaf connections are still to be cut: what they were made by is trusted no more. */
  readonly cut?: readonly string[];
}

const fileOf = (folder: string): string => join(folder, "desired.json");

/** What was remembered last; `null` on the first start. @throws {LeafmeshError} `data_folder_unusable`, `layout_newer`. */
export async function loadRemembered(folder: string): Promise<Remembered | null> {
  const path = fileOf(folder);
  try {
    const { layout = 0, ...remembered } = JSON.parse(await readFile(path, "utf8")) as Remembered & {
      readonly layout?: number;
    };
    requireKnownLayout(path, layout);
    return remembered;
  } catch (error) {
    if (error instanceof LeafmeshError) throw error;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw new LeafmeshError("data_folder_unusable", `${path} cannot be read: ${errorText(error)}`, {
      cause: error,
    });
  }
}

/** Replaces the file as a whole. @throws {LeafmeshError} `data_folder_unusable`. */
export async function rememberState(
  folder: string,
  remembered: Remembered,
  mayChange?: MayChange,
): Promise<void> {
  // Beside its place under a name of its own: none puts in place what another member wrote.
  await writeSecretFile(
    fileOf(folder),
    JSON.stringify({ ...remembered, layout: LAYOUT }),
    "replace",
    mayChange,
  );
}
