/** `tenant key list|rotate`: keys for pseudonyms and encrypted values. Only their ids are shown; keys stay at the site. */
import { z } from "zod";
import type { TenantKeyList } from "../../../routes/answers.ts";
import { KEY_KINDS, type KeyInfo } from "../../model/keys.ts";
import { checked } from "../check.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";

export const TENANT_KEY_LIST: Command = {
  name: "tenant key list",
  args: ["<tenant>"],
  about: "ids of a tenant's keys for pseudonyms and encrypted values",
  flags: {},
  run: async (call) => {
    const { items } = await (await call.api()).get<TenantKeyList>(paths.keys(argument(call, 0)));
    const rows = items.map(({ kind, id, active }) => [kind, id, active ? "active" : "old"]);
    return { json: items, text: table(["KIND", "ID", "STATE"], rows) };
  },
};

export const TENANT_KEY_ROTATE: Command = {
  name: "tenant key rotate",
  args: ["<tenant>", "<kind>"],
  about: "makes a new key for pseudonyms, or to encrypt with",
  flags: {},
  run: async (call) => {
    const tenant = argument(call, 0);
    const kind = checked(z.enum(KEY_KINDS), argument(call, 1), "<kind>");
    const made = await (await call.api()).post<KeyInfo>(paths.key(tenant, kind));
    return {
      json: made,
      text: `Key ${made.id} is the active ${kind} key of tenant ${tenant}. The ones before are kept.`,
    };
  },
};
