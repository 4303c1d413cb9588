/** All that a command does to the world, so that tests can put another world in. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { createUser } from "@nats-io/nkeys";
import { hash } from "bcryptjs";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { fetchTrusting } from "../runtime/fetch.ts";
import { loadSidecar, type SidecarModule } from "./up.ts";

export interface Effects {
  /** @param ca trusts this CA alone, PEM; default: those of the machine */
  readonly fetch: (url: string, init: RequestInit, ca?: string) => Promise<Response>;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** @throws LeafmeshError `not_found` when it is not there, `request_invalid` when it cannot be read */
  readonly readFile: (path: string) => Promise<Uint8Array>;
  /** Writes a file that must not be there yet, its folders with it. @throws LeafmeshError `conflict` */
  readonly createFile: (path: string, text: string, mode: number) => Promise<void>;
  readonly removeFile: (path: string) => Promise<void>;
  /** Names in a folder; none when it is not there. */
  readonly listFolder: (path: string) => Promise<readonly string[]>;
  /** Asks on the terminal; `null` where there is none. */
  readonly ask: (question: string) => Promise<string | null>;
  readonly env: (name: string) => string | undefined;
  readonly now: () => Date;
  /** A new key pair of a user. */
  readonly createUserKey: () => { readonly publicKey: string; readonly seed: string };
  /** A new password, 192 bits of chance. */
  readonly createPassword: () => string;
  /** bcrypt of a password. */
  readonly hashPassword: (password: string, cost: number) => Promise<string>;
  /** Version of this program. */
  readonly version: () => Promise<string>;
  readonly sidecar: () => Promise<SidecarModule>;
}

/** The world as it is. */
export function systemEffects(): Effects {
  return {
    fetch: (url, init, ca) => (ca === undefined ? fetch(url, init) : fetchTrusting(ca)(url, init)),
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    readFile: async (path) => {
      try {
        return await readFile(path);
      } catch (thrown) {
        if (codeOf(thrown) === "ENOENT") throw new LeafmeshError("not_found", `There is no file ${path}`);
        throw new LeafmeshError("request_invalid", `Cannot read ${path}: ${errorText(thrown)}`, {
          cause: thrown,
        });
      }
    },
    createFile: async (path, text, mode) => {
      try {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, text, { mode, flag: "wx" });
      } catch (thrown) {
        if (codeOf(thrown) === "EEXIST")
          throw new LeafmeshError("conflict", `${path} is there already: nothing was overwritten`);
        throw new LeafmeshError("request_invalid", `Cannot write ${path}: ${errorText(thrown)}`, {
          cause: thrown,
        });
      }
    },
    removeFile: (path) => unlink(path),
    listFolder: async (path) => {
      try {
        return (await readdir(path)).sort();
      } catch {
        return [];
      }
    },
    ask: async (question) => {
      if (!process.stdin.isTTY) return null;
      const terminal = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return await terminal.question(question);
      } finally {
        terminal.close();
      }
    },
    env: (name) => process.env[name],
    now: () => new Date(),
    createUserKey: () => {
      const pair = createUser();
      return { publicKey: pair.getPublicKey(), seed: new TextDecoder().decode(pair.getSeed()) };
    },
    createPassword: () => randomBytes(24).toString("base64url"),
    hashPassword: (password, cost) => hash(password, cost),
    version: async () => {
      const manifest: unknown = JSON.parse(
        await readFile(new URL("../../package.json", import.meta.url), "utf8"),
      );
      const found = typeof manifest === "object" && manifest !== null && "version" in manifest;
      return found ? String(manifest.version) : "unknown";
    },
    sidecar: loadSidecar,
  };
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
}
