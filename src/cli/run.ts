/** Runs one command line: finds the command, lets it work, prints what it says, and gives the exit code. */
import { errorText, errorTitle, exitCode, formatProblem, LeafmeshError } from "../model/errors.ts";
import { withoutSecrets } from "../model/secrets.ts";
import { type CommandLine, readCommandLine } from "./args.ts";
import { ApiClient } from "./client.ts";
import type { Call, Command, Result } from "./command.ts";
import { COMMANDS } from "./commands/mod.ts";
import type { Effects } from "./effects.ts";
import { commandHelp, overview } from "./help.ts";
import { printable } from "./table.ts";
import { apiUrl, findCa, findToken, isReadableOnTheWay } from "./token.ts";

/**
 * Runs `leafmesh <words>`. Results go to stdout, with `--json` exactly one JSON value; errors to stderr.
 *
 * @returns the exit code: 0, or that of the error's code
 */
export async function runCli(
  words: readonly string[],
  effects: Effects,
  commands: readonly Command[] = COMMANDS,
): Promise<number> {
  const json = words.includes("--json");
  try {
    const { line, help } = readCommandLine(asked(words), commands);
    if (line === null || help) {
      effects.stdout(`${line === null ? overview(commands) : commandHelp(line.command)}\n`);
      return 0;
    }
    const result = await line.command.run(callOf(line, effects, json));
    if (result.exit !== undefined) return result.exit;
    print(result, effects, json);
    return result.failed === undefined ? 0 : exitCode(result.failed);
  } catch (thrown) {
    return fail(thrown, effects, json);
  }
}

/** `help x` is `x --help`, `--version` is `version`. */
function asked(words: readonly string[]): readonly string[] {
  const [first, ...rest] = words;
  if (first === "help") return [...rest, "--help"];
  return first === "--version" ? ["version", ...rest] : words;
}

function callOf(line: CommandLine, effects: Effects, json: boolean): Call {
  const all = (name: string) => line.values.get(name) ?? [];
  const flag = (name: string) => all(name)[0];
  return {
    args: line.args,
    flag,
    all,
    has: (name) => line.switches.has(name),
    effects,
    json,
    api: async () => {
      const url = apiUrl(flag("api"), effects.env);
      // A command may have a --data of its own.
      const data = "data" in line.command.flags ? undefined : flag("data");
      const token = await findToken({ tokenFile: flag("token-file"), data }, effects);
      if (isReadableOnTheWay(url))
        effects.stderr(`warning: the token crosses the network in clear text to ${url}\n`);
      const ca = await findCa(flag("ca"), effects);
      return new ApiClient({ url, token, fetch: (to, init) => effects.fetch(to, init, ca) });
    },
  };
}

function print(result: Result, effects: Effects, json: boolean): void {
  if (json) effects.stdout(`${JSON.stringify(result.json, null, 2)}\n`);
  else if (result.text !== "") effects.stdout(`${printable(result.text)}\n`);
}

function fail(thrown: unknown, effects: Effects, json: boolean): number {
  const known = thrown instanceof LeafmeshError;
  const error = known ? thrown : new LeafmeshError("internal", errorText(thrown), { cause: thrown });
  const message = withoutSecrets(error.message);
  const untold = error.problems.filter((problem) => !error.message.includes(problem.message));
  const list = untold.map((problem) => `\n  ${withoutSecrets(formatProblem(problem))}`).join("");
  const title = error.code === "internal" ? `${errorTitle("internal")}: ` : "";
  effects.stderr(`${printable(`leafmesh: ${title}${message}${list}`)}\n`);
  if (json) {
    const problems = error.problems.length === 0 ? {} : { problems: error.problems };
    effects.stdout(
      `${JSON.stringify({ error: { code: error.code, detail: message, ...problems } }, null, 2)}\n`,
    );
  }
  return exitCode(error.code);
}
