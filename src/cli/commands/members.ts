/** `members`: the sidecars of the site. */
import type { MemberList } from "../../../routes/answers.ts";
import type { Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

export const MEMBERS: Command = {
  name: "members",
  args: [],
  about: "the sidecars of the site: who lives, who leads, which views run where",
  flags: {},
  run: async ({ api }) => {
    const { items } = await (await api()).get<MemberList>(paths.members);
    const rows = items.map(({ name, leads, alive, version, api: at, views }) => [
      name,
      leads ? "leads" : alive ? "follows" : "down",
      version,
      at,
      views.join(", "),
    ]);
    const text = table(["member", "state", "version", "api", "views"], rows);
    return {
      json: items,
      text: items.length === 0 ? "each server of the cluster has its own sidecar" : text,
    };
  },
};
