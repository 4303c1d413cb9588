/** Reads a command line: finds the command, checks its arguments and flags, and suggests what was meant. */
import { parseArgs } from "node:util";
import { LeafmeshError } from "../model/errors.ts";
import { nearestWord } from "../model/suggest.ts";
import { type Command, type Flag, type Flags, GLOBAL_FLAGS } from "./command.ts";

export interface CommandLine {
  readonly command: Command;
  readonly args: readonly string[];
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly switches: ReadonlySet<string>;
}

/** `null` where no command is named: the overview is shown. */
export interface Reading {
  readonly line: CommandLine | null;
  readonly help: boolean;
}

/**
 * Reads the words after `leafmesh`.
 *
 * @throws LeafmeshError `request_invalid` naming what is unknown, missing or too much, with a suggestion
 */
export function readCommandLine(words: readonly string[], commands: readonly Command[]): Reading {
  const command = findCommand(words, commands);
  const flags: Flags = { ...command?.flags, ...GLOBAL_FLAGS };
  const { args, values, switches } = readFlags(words, flags, command);
  const help = switches.has("help");
  if (command === null) {
    if (args.length > 0) throw unknownCommand(args, commands);
    return { line: null, help: true };
  }
  const own = args.slice(command.name.split(" ").length);
  if (!help) checkArguments(command, own);
  return { line: { command, args: own, values, switches }, help };
}

/** How a command is called: `leafmesh tenant add <tenant> [flags]`. */
export function usage(command: Command): string {
  const flags = Object.keys(command.flags).length === 0 ? [] : ["[flags]"];
  return ["leafmesh", command.name, ...command.args, ...flags].join(" ");
}

/** The command with the most words in front; flags may stand anywhere. */
function findCommand(words: readonly string[], commands: readonly Command[]): Command | null {
  const globals = Object.entries<Flag>(GLOBAL_FLAGS).filter(([, flag]) => flag.value !== undefined);
  const valued = new Set(globals.map(([name]) => `--${name}`));
  const plain = words.filter((word, i) => !word.startsWith("-") && !valued.has(words[i - 1] ?? ""));
  const fits = (command: Command) => command.name.split(" ").every((word, i) => plain[i] === word);
  const found = commands.filter(fits).sort((a, b) => b.name.length - a.name.length);
  return found[0] ?? null;
}

function readFlags(words: readonly string[], flags: Flags, command: Command | null) {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, flag]) => [
      name,
      {
        type: flag.value === undefined ? ("boolean" as const) : ("string" as const),
        multiple: true,
        ...(flag.short === undefined ? {} : { short: flag.short }),
      },
    ]),
  );
  const { tokens } = parseArgs({
    args: [...words],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const args: string[] = [];
  const values = new Map<string, string[]>();
  const switches = new Set<string>();
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const flag = flags[token.name];
    if (flag === undefined || !Object.hasOwn(flags, token.name))
      throw unknownFlag(token.rawName, token.name, flags, command);
    if (flag.value === undefined) {
      if (token.value !== undefined) throw invalid(`${token.rawName} takes no value`);
      switches.add(token.name);
      continue;
    }
    if (token.value === undefined || (token.inlineValue === false && /^--?[a-z]/.test(token.value))) {
      throw invalid(`${token.rawName} needs a value: ${token.rawName} ${flag.value}`);
    }
    const before = values.get(token.name) ?? [];
    if (before.length > 0 && flag.many !== true) throw invalid(`${token.rawName} is given twice`);
    values.set(token.name, [...before, token.value]);
  }
  return { args, values, switches };
}

function checkArguments(command: Command, args: readonly string[]): void {
  const needed = command.args.filter((arg) => arg.startsWith("<"));
  const most = command.args.some((arg) => /\.\.\.[>\]]$/.test(arg))
    ? Number.POSITIVE_INFINITY
    : command.args.length;
  if (args.length < needed.length) {
    throw invalid(`${needed[args.length]} is missing: ${usage(command)}`);
  }
  if (args.length > most) throw invalid(`'${args[most]}' is too much: ${usage(command)}`);
}

function unknownCommand(args: readonly string[], commands: readonly Command[]): LeafmeshError {
  const names = commands.map(({ name }) => name);
  const group = [args.slice(0, 2), args.slice(0, 1)]
    .map((words) => words.join(" "))
    .find((words) => names.some((name) => name.startsWith(`${words} `)));
  const inGroup = names.filter((name) => name.startsWith(`${group} `));
  const quoted = inGroup.map((name) => `'${name}'`).join(", ");
  if (group === args.join(" ")) return invalid(`'leafmesh ${group}' wants one more word: ${quoted}`);

  const prefix = group === undefined ? "" : `${group} `;
  const rest = group === undefined ? args : args.slice(group.split(" ").length);
  for (const length of [3, 2, 1]) {
    const given = rest.slice(0, length).join(" ");
    const known = (group === undefined ? names : inGroup).map((name) => name.slice(prefix.length));
    const near = nearestWord(
      given,
      known.filter((name) => name.split(" ").length === length),
    );
    if (near !== null)
      return invalid(`Unknown command '${prefix}${given}': did you mean 'leafmesh ${prefix}${near}'?`);
  }
  const hint = group === undefined ? "see 'leafmesh help'" : `one of: ${quoted}`;
  return invalid(`Unknown command '${prefix}${rest[0]}': ${hint}`);
}

function unknownFlag(raw: string, name: string, flags: Flags, command: Command | null): LeafmeshError {
  if (name === "token") {
    return invalid(
      "A token is no argument, others could read it: use --token-file, LEAFMESH_TOKEN or --data",
    );
  }
  const near = nearestWord(name, Object.keys(flags));
  const help = command === null ? "leafmesh help" : `leafmesh ${command.name} --help`;
  return invalid(`Unknown flag ${raw}: ${near === null ? `see '${help}'` : `did you mean --${near}?`}`);
}

function invalid(message: string): LeafmeshError {
  return new LeafmeshError("request_invalid", message);
}
