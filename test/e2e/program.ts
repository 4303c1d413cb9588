/** The program `leafmesh` as a process of its own, and what it leaves behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface ProgramOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the program itself; for example the script of package.json. */
  readonly command?: readonly [string, ...string[]];
}

/** A process whose words are kept. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { cwd, env = {}, command = ["bun", MAIN] }: ProgramOptions) {
    const [file, ...before] = command;
    this.#child = spawn(file, [...before, ...args], { cwd, env: { ...process.env, ...env } });
    this.#child.stdout?.on("data", (chunk) => {
      this.stdout += String(chunk);
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.stderr += String(chunk);
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", (code) => resolve(code)));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Exit code, when the process is over by itself. */
  async ended(): Promise<number | null> {
    return await this.#ended;
  }

  /** Asks it to stop, and waits until it has. @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) await this.stop();
  }
}

/** What a run that ends by itself said, and its exit code. */
export async function run(args: readonly string[], options: ProgramOptions) {
  await using program = new Program(args, options);
  const code = await program.ended();
  return { code, stdout: program.stdout, stderr: program.stderr };
}

/** Command lines of the processes that work in `folder` or name it. */
export async function processesIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => "");
    if (line.includes(folder) || cwd.startsWith(folder)) found.push(line);
  }
  return found;
}
