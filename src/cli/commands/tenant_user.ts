/** `tenant user add|list|remove|revoke`. */
import { z } from "zod";
import type { SiteReport, TenantUserList } from "../../../routes/answers.ts";
import { LeafmeshError } from "../../model/errors.ts";
import { Name } from "../../model/schema/scalars.ts";
import { type TenantSettings, TenantUser } from "../../model/schema/tenant.ts";
import { DEFAULT_ROLE, ROLES } from "../../model/schema/user.ts";
import { parseDurationMs } from "../../model/units.ts";
import { appliedText, checked } from "../check.ts";
import { argument, type Call, type Command } from "../command.ts";
import { connectText, SETTINGS_FLAGS, withSettings } from "../connect_text.ts";
import { paths } from "../paths.ts";
import { table } from "../table.ts";
import { KEY_FLAGS, PASSWORD_FLAGS, type Secret, told, withCredential } from "../user_credential.ts";

export const TENANT_USER_ADD: Command = {
  name: "tenant user add",
  args: ["<tenant>", "<user>"],
  about: "adds a user to a tenant; its key or password is made here",
  details: `Roles: ${ROLES.join(", ")}; see docs/users.md for what each may do.`,
  flags: {
    role: { value: "ROLE", about: `what the user may do: ${ROLES.join(", ")} (default ${DEFAULT_ROLE})` },
    subjects: {
      value: "PATTERN",
      about: "publisher, subscriber: these subjects alone (may be given more than once)",
      many: true,
    },
    log: { about: "subscriber: a durable consumer of its own on the tenant's log" },
    expires: { value: "TIME", about: "how long it is let in, 30d, or until when, 2027-01-31T00:00:00Z" },
    ...PASSWORD_FLAGS,
    mqtt: { about: "a client of MQTT, with a password; it connects over nothing else" },
    ...KEY_FLAGS,
    ...SETTINGS_FLAGS,
  },
  run: async (call) => {
    const tenant = argument(call, 0);
    const name = checked(Name, argument(call, 1), "<user>");
    const role = checked(z.enum(ROLES), call.flag("role") ?? DEFAULT_ROLE, "--role");
    const subjects = call.all("subjects").flatMap((list) => list.split(","));
    const expires = expiryOf(call);
    const client = await call.api();
    const path = paths.tenant(tenant);
    const { value, etag } = await client.read<TenantSettings>(path);
    const users = value.users ?? [];
    if (users.some((user) => user.name === name)) {
      throw new LeafmeshError(
        "conflict",
        `Tenant '${tenant}' has a user '${name}' already: choose another name`,
      );
    }
    const site = await client.get<SiteReport>(paths.site);
    return await withCredential(call, tenant, name, async (half, secret) => {
      const user = checked(
        TenantUser,
        {
          name,
          ...half,
          ...(call.flag("role") === undefined ? {} : { role }),
          ...(subjects.length === 0 ? {} : { subjects }),
          ...(call.has("log") ? { log: true } : {}),
          ...(call.has("mqtt") ? { mqtt: true } : {}),
          ...(expires === null ? {} : { expires }),
        },
        "The user",
      );
      const connecting = { tenant, name, role, log: call.has("log"), mqtt: call.has("mqtt"), secret };
      return await withSettings(call, site, connecting, async (settings) => {
        const changed = { ...value, users: [...users, user] };
        const applied = await client.putAndWait(path, changed, { ifMatch: etag });
        const until = expires === null ? "" : ` until ${expires}`;
        const how = connectText(site, connecting, settings);
        return {
          json: { tenant, user: name, role, ...told(secret), expires, settings, applied },
          text: `User ${name} of tenant ${tenant} is added as ${role}${until} ${appliedText(applied)}. ${hasText(secret)}\n${how}`,
        };
      });
    });
  },
};

export const TENANT_USER_LIST: Command = {
  name: "tenant user list",
  args: ["<tenant>"],
  about: "the users of a tenant, with their roles and open connections",
  flags: {},
  run: async (call) => {
    const tenant = argument(call, 0);
    const { items } = await (await call.api()).get<TenantUserList>(paths.users(tenant));
    const rows = items.map((user) => [
      user.name,
      user.role,
      user.kind,
      user.login,
      user.subjects?.join(" ") ?? "-",
      user.expires === null ? "-" : user.expired ? `expired ${user.expires}` : user.expires,
      String(user.connections),
    ]);
    const none = `Tenant ${tenant} has no users: 'leafmesh tenant user add ${tenant} <user>' adds one.`;
    const head = ["USER", "ROLE", "KIND", "LOGIN", "SUBJECTS", "EXPIRES", "CONNECTIONS"];
    return { json: items, text: rows.length === 0 ? none : table(head, rows, 160) };
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
      text: `User ${user} of tenant ${tenant} is removed ${appliedText(applied)}: it is nobody now, and its connections are closed.`,
    };
  },
};

export const TENANT_USER_REVOKE: Command = {
  ...TENANT_USER_REMOVE,
  name: "tenant user revoke",
  about: "the same as remove",
};

function hasText(secret: Secret): string {
  return secret.type === "nkey" ? `Its key is ${secret.publicKey}.` : "It has a password.";
}

/** When the user expires, RFC 3339; `null` without the flag. @throws LeafmeshError `request_invalid` */
function expiryOf(call: Call): string | null {
  const given = call.flag("expires");
  if (given === undefined) return null;
  const now = call.effects.now().getTime();
  const ms = parseDurationMs(given);
  const time =
    ms === null ? Date.parse(/^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:\d{2})$/.test(given) ? given : "") : now + ms;
  if (Number.isNaN(time)) {
    throw new LeafmeshError(
      "request_invalid",
      `--expires '${given}' is no duration and no time (expected for example 30d, or 2027-01-31T00:00:00Z)`,
    );
  }
  if (time <= now) throw new LeafmeshError("request_invalid", `--expires ${given} is over already`);
  return new Date(time).toISOString();
}
