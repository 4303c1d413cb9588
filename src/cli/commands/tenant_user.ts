/** `tenant user add|remove`. */
import { LeafmeshError } from "../../model/errors.ts";
import { Name } from "../../model/schema/scalars.ts";
import type { TenantSettings } from "../../model/schema/tenant.ts";
import { appliedText, checked } from "../check.ts";
import { argument, type Command } from "../command.ts";
import { paths } from "../paths.ts";
import { connectText, KEY_FLAGS, withUserKey } from "../user_key.ts";

export const TENANT_USER_ADD: Command = {
  name: "tenant user add",
  args: ["<tenant>", "<user>"],
  about: "adds a user to a tenant; its key is made here",
  flags: KEY_FLAGS,
  run: async (call) => {
    const tenant = argument(call, 0);
    const user = checked(Name, argument(call, 1), "<user>");
    const client = await call.api();
    const path = paths.tenant(tenant);
    const { value, etag } = await client.read<TenantSettings>(path);
    const users = value.users ?? [];
    if (users.some(({ name }) => name === user)) {
      throw new LeafmeshError(
        "conflict",
        `Tenant '${tenant}' has a user '${user}' already: choose another name`,
      );
    }
    return await withUserKey(call, tenant, user, async (key) => {
      const settings = { ...value, users: [...users, { name: user, key: key.publicKey }] };
      const applied = await client.putAndWait(path, settings, { ifMatch: etag });
      const how = await connectText(client, key, `${tenant}.hello`);
      return {
        json: { tenant, user, ...key, applied },
        text: `User ${user} of tenant ${tenant} is added ${appliedText(applied)}. Its key is ${key.publicKey}.\n${how}`,
      };
    });
  },
};

export const TENANT_USER_REMOVE: Command = {
  name: "tenant user remove",
  args: ["<tenant>", "<user>"],
  about: "removes a user: its connections are closed",
  flags: {},
  run: async (call) => {
    const [tenant, user] = [argument(call, 0), argument(call, 1)];
    const client = await call.api();
    const path = paths.tenant(tenant);
    const { value, etag } = await client.read<TenantSettings>(path);
    const users = (value.users ?? []).filter(({ name }) => name !== user);
    if (users.length === (value.users ?? []).length) {
      const known = users.map(({ name }) => name).join(", ") || "none";
      throw new LeafmeshError("not_found", `Tenant '${tenant}' has no user '${user}' (users: ${known})`);
    }
    const applied = await client.putAndWait(path, { ...value, users }, { ifMatch: etag });
    return {
      json: { tenant, user, removed: true, applied },
      text: `User ${user} of tenant ${tenant} is removed ${appliedText(applied)}.`,
    };
  },
};
