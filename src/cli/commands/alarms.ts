/** `alarms`: what somebody must see to, now. */
import type { AlarmList } from "../../../routes/answers.ts";
import type { Command } from "../command.ts";
import { paths } from "../paths.ts";
import { elapsed, indent, printable } from "../table.ts";

export const ALARM_LIST: Command = {
  name: "alarms",
  args: [],
  about: "what is in danger now, and what to do about it",
  flags: {},
  run: async ({ api, effects }) => {
    const { items } = await (await api()).get<AlarmList>(paths.alarms);
    const text = items.map(({ severity, name, target, detail, todo, since }) =>
      [
        `${severity}  ${name}  ${target}, for ${elapsed(new Date(since), effects.now())}`,
        indent(printable(detail)),
        indent(`to do: ${todo}`),
      ].join("\n"),
    );
    return { json: items, text: items.length === 0 ? "no alarms" : text.join("\n\n") };
  },
};
