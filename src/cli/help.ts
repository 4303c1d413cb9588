/** What `leafmesh help` says. */
import { usage } from "./args.ts";
import { type Command, type Flag, GLOBAL_FLAGS } from "./command.ts";
import { facts, indent } from "./table.ts";

/** All commands, one a line. */
export function overview(commands: readonly Command[]): string {
  const lines = commands.map(
    (command) => [[command.name, ...command.args].join(" "), command.about] as const,
  );
  return [
    "leafmesh <command> [flags]",
    "",
    indent(facts(lines)),
    "",
    "Flags of every command:",
    indent(flagLines(Object.entries(GLOBAL_FLAGS))),
    "",
    "'leafmesh help <command>' shows the flags of one. Exit codes: 0 done, 2 invalid, 3 token, 4 not found,",
    "5 conflict, 6 nats-server, 7 peer, 8 apply failed, 9 API does not answer, 10 stopped before all was drained,",
    "130 and 143 ended at once by a second signal, 1 anything else.",
  ].join("\n");
}

/** One command with its flags. */
export function commandHelp(command: Command): string {
  const own = Object.entries(command.flags);
  return [
    usage(command),
    "",
    command.about,
    ...(own.length === 0 ? [] : ["", indent(flagLines(own))]),
    ...(command.details === undefined ? [] : ["", command.details]),
    "",
    "Flags of every command:",
    indent(flagLines(Object.entries(GLOBAL_FLAGS).filter(([name]) => !(name in command.flags)))),
  ].join("\n");
}

function flagLines(flags: readonly (readonly [string, Flag])[]): string {
  return facts(
    flags.map(([name, flag]) => {
      const short = flag.short === undefined ? "" : `-${flag.short}, `;
      const value = flag.value === undefined ? "" : ` ${flag.value}`;
      return [`${short}--${name}${value}`, `${flag.about}${flag.many === true ? " (more than once)" : ""}`];
    }),
  );
}
