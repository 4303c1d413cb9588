/** The CLI in a world in memory: files, environment, and the API of a fake control behind `fetch`. */
import { createHash } from "node:crypto";

import type { Effects } from "../../../src/cli/effects.ts";
import { runCli } from "../../../src/cli/run.ts";
import type { SidecarModule } from "../../../src/cli/up.ts";
import { LeafmeshError } from "../../../src/model/errors.ts";
import { type TestApi, TOKEN, testApi } from "../routes/api_support.ts";

export const PUBLIC_KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
export const PASSWORD = "wJt4R0sZ5m2yCq8vXb1nKd7fHg3LpA6e";
export const SEED = "SUADM7XV4PWOY7FMUKKPGGT3QQMFCLOBJQR5OGBHHPYFYA2NBWWNQUHDWU";

export interface World {
  readonly api: TestApi;
  /** Path → content. */
  readonly files: Map<string, string>;
  readonly modes: Map<string, number>;
  readonly env: Map<string, string>;
  /** What was asked of the API: `PUT /v1/tenants/acme {…}`. */
  readonly requests: string[];
  readonly sidecar: SidecarModule;
  /** What is answered on the terminal; `null`: there is none. */
  answer: string | null;
  /** Replaces the network. */
  fetch: Effects["fetch"];
  run(...words: string[]): Promise<Outcome>;
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** What `--json` printed. */
  readonly json: () => unknown;
}

const BACKED_UP = {
  site: "berlin",
  createdAt: "2026-01-02T03:04:05Z",
  version: "0.1.0",
  files: 3,
  bytes: 7,
  keys: false,
};

export function createWorld(): World {
  const api = testApi();
  const files = new Map([["leafmesh-data/berlin/keys/api.token", `${TOKEN}\n`]]);
  const modes = new Map<string, number>();
  const env = new Map<string, string>();
  const requests: string[] = [];
  const normal = (path: string) => path.replace(/^\.\//, "");
  const world: World = {
    api,
    files,
    modes,
    env,
    requests,
    sidecar: {
      runSidecar: async () => 0,
      lintFiles: () => ({ files: [], findings: [], errors: 0, warnings: 0 }),
      testPolicies: async () => [],
      backupSite: async () => BACKED_UP,
      restoreSite: async () => BACKED_UP,
    },
    answer: null,
    fetch: async (url, init) => {
      const { pathname, search } = new URL(url);
      requests.push(
        `${init.method} ${pathname}${search}${init.body === undefined ? "" : ` ${String(init.body)}`}`,
      );
      return await api.app.request(url, init);
    },
    async run(...words) {
      let out = "";
      let err = "";
      const code = await runCli(words, {
        fetch: (url, init) => world.fetch(url, init),
        stdout: (text) => {
          out += text;
        },
        stderr: (text) => {
          err += text;
        },
        readFile: async (path) => {
          const text = files.get(normal(path));
          if (text === undefined) throw new LeafmeshError("not_found", `There is no file ${path}`);
          return new TextEncoder().encode(text);
        },
        createFile: async (path, text, mode) => {
          if (files.has(normal(path)))
            throw new LeafmeshError("conflict", `${path} is there already: nothing was overwritten`);
          files.set(normal(path), text);
          modes.set(normal(path), mode);
        },
        removeFile: async (path) => {
          files.delete(normal(path));
        },
        listFolder: async (path) => {
          const prefix = path === "." ? "" : `${normal(path)}/`;
          const inside = [...files.keys()].filter((file) => file.startsWith(prefix));
          return [...new Set(inside.map((file) => file.slice(prefix.length).split("/")[0] ?? ""))].sort();
        },
        ask: async (question) => {
          if (world.answer !== null) err += question;
          return world.answer;
        },
        env: (name) => env.get(name),
        now: () => new Date("2026-01-02T06:16:05Z"),
        createPassword: () => PASSWORD,
        hashPassword: async (password, cost) => hashOf(password, cost),
        createUserKey: () => ({ publicKey: PUBLIC_KEY, seed: SEED }),
        version: async () => "9.8.7",
        sidecar: async () => world.sidecar,
      });
      return { code, out, err, json: () => JSON.parse(out) as unknown };
    },
  };
  return world;
}

/** Stands for bcrypt: fast, and different for another password. */
export function hashOf(password: string, cost: number): string {
  const salted = createHash("sha256").update(password).digest("hex").slice(0, 53);
  return `$2b$${String(cost).padStart(2, "0")}$${salted}`;
}
