/** What a command is: words, arguments, flags, and what it does. */
import type { ErrorCode } from "../model/errors.ts";
import type { ApiClient } from "./client.ts";
import type { Effects } from "./effects.ts";

export interface Flag {
  /** Placeholder of its value; a flag without one is a switch. */
  readonly value?: string;
  readonly about: string;
  /** May be given more than once. */
  readonly many?: boolean;
  readonly short?: string;
}
export type Flags = Readonly<Record<string, Flag>>;

export interface Command {
  /** For example `tenant add`. */
  readonly name: string;
  /** Positional arguments: `<needed>`, `[optional]`, a last `<more...>` for one or more, `[more...]` for any number. */
  readonly args: readonly string[];
  readonly about: string;
  /** Shown below the flags in the help of the command. */
  readonly details?: string;
  readonly flags: Flags;
  readonly run: (call: Call) => Promise<Result>;
}

/** One call of a command: checked against its arguments and flags. */
export interface Call {
  readonly args: readonly string[];
  /** Value of a flag, the last one given. */
  readonly flag: (name: string) => string | undefined;
  readonly all: (name: string) => readonly string[];
  readonly has: (name: string) => boolean;
  readonly effects: Effects;
  /** The API that the global flags name. */
  readonly api: () => Promise<ApiClient>;
  readonly json: boolean;
}

/** What a command has to say; with `--json` only `json` is printed. */
export interface Result {
  readonly json: unknown;
  readonly text: string;
  /** What went wrong although there is a result: it decides the exit code. */
  readonly failed?: ErrorCode;
  /** Exit code of a command that prints by itself; then nothing is printed here. */
  readonly exit?: number;
}

/** Flags that every command takes. */
export const GLOBAL_FLAGS = {
  api: { value: "URL", about: "the sidecar's API (default: LEAFMESH_API, else http://127.0.0.1:7480)" },
  "token-file": { value: "PATH", about: "file with the token" },
  ca: { value: "PATH", about: "CA that the API's certificate is of (default: LEAFMESH_CA)" },
  data: { value: "DIR", about: "data folder of the sidecar: its keys/api.token is the token" },
  json: { about: "print one JSON value" },
  help: { about: "show what a command takes", short: "h" },
} as const satisfies Flags;

/** An argument that the command has declared as needed. */
export function argument(call: Call, index: number): string {
  return call.args[index] ?? "";
}
