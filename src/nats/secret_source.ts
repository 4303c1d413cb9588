/** Reads secrets from where the site file says: a private file, the environment, or a command. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { errorText, LeafmeshError } from "../model/errors.ts";
import type { SecretSource } from "../model/schema/secret.ts";
import { readSecretFile } from "./files.ts";

const COMMAND_WITHIN_MS = 10_000;
const MAX_OUTPUT_BYTES = 16 * 1024;
const SHOWN_STDERR = 400;

export interface SecretPlace {
  /** What it is, for messages: `the site key`. */
  readonly what: string;
  /** Folder that relative paths start from; commands run in it. */
  readonly base: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default 10 s. */
  readonly commandWithinMs?: number;
}

/**
 * A secret, without white space at its ends. Messages name its place and never its content.
 *
 * @throws LeafmeshError `key_invalid` when there is none, others may read the file, or the command fails or takes too long
 */
export async function readSecret(source: SecretSource, place: SecretPlace): Promise<string> {
  const { what, base, env } = place;
  const from =
    "file" in source
      ? source.file
      : "env" in source
        ? `variable ${source.env}`
        : `command '${source.command[0]}'`;
  const refuse = (why: string, cause?: unknown) =>
    new LeafmeshError("key_invalid", `Cannot read ${what} from ${from}: ${why}`, { cause });
  let text: string;
  if ("file" in source) {
    const bytes = await readSecretFile(resolve(base, source.file));
    if (bytes === null) throw refuse("there is no such file");
    text = new TextDecoder().decode(bytes);
  } else if ("env" in source) {
    const value = env[source.env];
    if (value === undefined) throw refuse("it is not set");
    text = value;
  } else {
    text = await run(source.command, place).catch((error: unknown) => {
      throw refuse(errorText(error), error);
    });
  }
  const secret = text.trim();
  if (secret === "") throw refuse("it is empty");
  return secret;
}

/** What a command prints. Its errors may be shown, what it prints may not. */
async function run([file = "", ...args]: readonly string[], place: SecretPlace): Promise<string> {
  const { base, env, commandWithinMs = COMMAND_WITHIN_MS } = place;
  const child = spawn(file, args, { cwd: base, env: { ...env }, stdio: ["ignore", "pipe", "pipe"] });
  return await new Promise<string>((done, fail) => {
    const output: Buffer[] = [];
    let size = 0;
    let said = "";
    const end = (error: Error) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      child.stdout.destroy();
      child.stderr.destroy();
      fail(error);
    };
    const timer = setTimeout(
      () => end(new Error(`it did not end within ${commandWithinMs} ms`)),
      commandWithinMs,
    );
    child.stdout.on("data", (bytes: Buffer) => {
      size += bytes.length;
      if (size > MAX_OUTPUT_BYTES) end(new Error(`it prints more than ${MAX_OUTPUT_BYTES} bytes`));
      else output.push(bytes);
    });
    child.stderr.on("data", (bytes: Buffer) => {
      if (said.length < SHOWN_STDERR) said += bytes.toString();
    });
    child.on("error", (error) => end(error));
    child.on("close", (code) => {
      clearTimeout(timer);
      if (code === 0) done(Buffer.concat(output).toString());
      else fail(new Error(`it ended with ${code}: ${said.slice(0, SHOWN_STDERR).trim()}`));
    });
  });
}
